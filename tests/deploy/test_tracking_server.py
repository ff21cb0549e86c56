"""The tracking server of the compose file, run here without containers: MLflow's server by the same command line, with
logins, on a real PostgreSQL and a real S3 store."""

import os
import re
import runpy
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from reference.postgresql import free_port
from reference.seaweedfs import CREDENTIALS, WEED, s3_store, wait_for

SECRETS = {
    "POSTGRES_PASSWORD": "", "S3_ACCESS_KEY": CREDENTIALS["AWS_ACCESS_KEY_ID"],
    "S3_SECRET_KEY": CREDENTIALS["AWS_SECRET_ACCESS_KEY"], "MLFLOW_SECRET_KEY": "signs", "MLFLOW_ADMIN": "ada",
    "MLFLOW_ADMIN_PASSWORD": "a password of tests",
}  # fmt: skip


@pytest.fixture(scope="module")
def compose(house):
    return yaml.safe_load((house / "mlflow" / "compose.yaml").read_text("utf-8"))


def filled(value, secrets):
    """A value of the compose file, as Compose fills it in."""
    return re.sub(r"\$\{(\w+)(?::[?-]([^}]*))?\}", lambda found: secrets.get(found[1], found[2]), str(value))


class Server(NamedTuple):
    """The addresses of the server, of its S3 store, and of the databases of its history and its users."""

    address: str
    store: str
    history: str
    users: str


@pytest.fixture(scope="module")
def server(house, compose, postgresql, mlflow_database, tmp_path_factory):
    """The server, with nothing in it."""
    if not WEED.exists() or not find_spec("flask_wtf") or not find_spec("boto3"):
        pytest.skip("no SeaweedFS, boto3 or mlflow[auth] on this machine")
    folder = tmp_path_factory.mktemp("server")
    services, port = compose["services"], free_port()
    command = shlex.split(services["mlflow"]["command"])
    s3 = shlex.split(services["s3"]["command"])
    options = [option for option in s3 if not option.startswith("-dir=")]
    with (
        postgresql.database(mlflow_database) as history,
        postgresql.database() as users,
        s3_store(folder, services["s3"]["environment"]["S3_BUCKET"], options) as store,
        open(folder / "server.log", "w") as log,
    ):
        config = folder / "basic_auth.ini"
        written = (house / "mlflow" / "basic_auth.ini").read_text("utf-8")
        config.write_text(written.replace("mlflow_auth", users.rpartition("/")[2]))
        environment = {
            name: filled(value, SECRETS | {"POSTGRES_PASSWORD": postgresql.password})
            for name, value in services["mlflow"]["environment"].items()
        } | {
            "PGHOST": "127.0.0.1", "PGPORT": str(postgresql.port), "PGUSER": "telmo", "MLFLOW_S3_ENDPOINT_URL": store,
            "MLFLOW_AUTH_CONFIG_PATH": str(config),
        }  # fmt: skip
        here = {
            "0.0.0.0": "127.0.0.1",
            "5000": str(port),
            "postgresql:///mlflow": f"postgresql:///{history.rpartition('/')[2]}",
        }
        command = [sys.executable, "-m", *(here.get(word, word) for word in command), "--workers", "1"]
        process = subprocess.Popen(command, env=os.environ | environment, cwd=folder, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(f"{address}/health", process, folder / "server.log")
            yield Server(address, store, history, users)
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture
def client(server, monkeypatch, tmp_path):
    """A client of the server who is logged in."""
    import mlflow

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", SECRETS["MLFLOW_ADMIN"])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRETS["MLFLOW_ADMIN_PASSWORD"])
    return mlflow.MlflowClient(server.address, server.address)


def stored(address):
    """What the S3 store holds, by name."""
    import boto3

    keys = {name.lower(): value for name, value in CREDENTIALS.items() if "KEY" in name}
    s3 = boto3.client("s3", endpoint_url=address, region_name="us-east-1", **keys)
    listed = s3.list_objects_v2(Bucket="mlflow").get("Contents", [])
    return {file["Key"]: s3.get_object(Bucket="mlflow", Key=file["Key"])["Body"].read() for file in listed}


@pytest.mark.parametrize("login", [None, ("ada", "password1234"), ("admin", "password1234"), ("ada", "wrong")])
def test_nobody_gets_in_without_the_password(server, login):
    import requests

    for place in ("/", "/api/2.0/mlflow/experiments/get?experiment_id=0", "/api/2.0/mlflow-artifacts/artifacts"):
        assert requests.get(server.address + place, auth=login, timeout=30).status_code == 401


def test_the_users_are_in_postgresql(server, client):
    import sqlalchemy as sa

    engine = sa.create_engine(server.users)
    with engine.connect() as connection:
        found = connection.execute(sa.text("SELECT username, is_admin, password_hash FROM users")).all()
    engine.dispose()
    assert [tuple(row[:2]) for row in found] == [("ada", True)]
    assert SECRETS["MLFLOW_ADMIN_PASSWORD"] not in found[0][2]


def test_a_history_moves_into_the_running_server(house, server, client, mlflow_store, tmp_path, monkeypatch):
    # Before the tests that make one there.
    import mlflow

    old = mlflow.MlflowClient(mlflow_store(tmp_path))
    experiment = old.create_experiment("moved", str(tmp_path / "mlruns" / "1"))
    run = old.create_run(experiment).info.run_id
    old.log_metric(run, "loss", 0.5, step=3)
    old.log_text(run, "läuft", "report.md")
    for name, value in (CREDENTIALS | {"MLFLOW_S3_ENDPOINT_URL": server.store}).items():
        monkeypatch.setenv(name, value)
    places = ["--artifacts", "mlflow-artifacts:/", "--copy-to", "s3://mlflow"]
    monkeypatch.setattr(sys, "argv", ["move_history.py", "mlflow.db", server.history, *places])
    runpy.run_path(str(house / "mlflow" / "move_history.py"), run_name="__main__")
    (point,) = client.get_metric_history(run, "loss")
    assert (point.value, point.step) == (0.5, 3)
    assert Path(client.download_artifacts(run, "report.md", str(tmp_path))).read_text("utf-8") == "läuft"
    assert stored(server.store)[f"{experiment}/{run}/artifacts/report.md"].decode() == "läuft"


def test_artifacts_go_through_the_server_to_s3_and_back(server, client, tmp_path):
    experiment = client.create_experiment("artifacts")
    run = client.create_run(experiment).info
    assert run.artifact_uri == f"mlflow-artifacts:/{experiment}/{run.run_id}/artifacts"
    (tmp_path / "weights.bin").write_bytes(bytes(range(256)) * 4096)
    client.log_artifact(run.run_id, str(tmp_path / "weights.bin"), "model")
    name = f"{experiment}/{run.run_id}/artifacts/model/weights.bin"
    assert stored(server.store)[name] == bytes(range(256)) * 4096
    fetched = client.download_artifacts(run.run_id, "model/weights.bin", str(tmp_path / "fetched"))
    assert Path(fetched).read_bytes() == bytes(range(256)) * 4096


def test_every_secret_is_asked_for_and_none_has_a_default(house, compose):
    text = (house / "mlflow" / "compose.yaml").read_text("utf-8")
    named = re.findall(r"\$\{(\w+)(:?[?-])?", text)
    secret = {name for name, _ in named if not name.startswith(("MLFLOW_ADDRESS", "MLFLOW_PORT", "MLFLOW_ALLOWED"))}
    assert secret == set(SECRETS)
    assert all(kind == ":?" for name, kind in named if name in secret)
    example = dict(re.findall(r"^(\w+)=(.*)$", (house / "mlflow" / ".env.example").read_text("utf-8"), re.MULTILINE))
    assert example == dict.fromkeys(SECRETS, "") | {"MLFLOW_ADMIN": "admin"}
    ignored = subprocess.run(["git", "check-ignore", "mlflow/.env"], cwd=house, capture_output=True, check=False)
    assert ignored.returncode == 0


def test_the_server_is_the_mlflow_that_telmo_is_pinned_to(house, compose):
    pinned = re.search(r"^mlflow==(\S+)", (house / "requirements.txt").read_text("utf-8"), re.MULTILINE)[1]
    assert f"mlflow[auth]=={pinned}\n" in (house / "mlflow" / "server-requirements.txt").read_text("utf-8")
    assert compose["services"]["mlflow"]["image"].endswith(f":{pinned}")
