"""What a run tells arrives at MLflow, whatever becomes of MLflow or of the process meanwhile."""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager

import mlflow
import pytest
import yaml
from matplotlib.figure import Figure
from mlflow.entities import Metric
from reference.postgresql import both_stores, free_port

from embeddings.errors import OutputError
from pipeline import outbox_sender
from pipeline.config import Tracking
from pipeline.config_file import Section
from pipeline.outbox import InUse, Outbox, outboxes
from pipeline.outbox_delivery import Delivery
from pipeline.sync import sync_stage
from pipeline.tracking import start_run, tracking_address

pytestmark = pytest.mark.usefixtures("quick_outbox")


class Config(Section):
    rate: float = 0.5
    units: tuple[int, ...] = (16,)


class Cut(ConnectionError):
    """What a server that is gone looks like."""


@pytest.fixture
def line(tracking_uri, monkeypatch):
    """The line to MLflow, which can be cut: `line["cut"] = True`."""
    state = {"cut": False, "calls": 0}
    client = mlflow.MlflowClient

    class Line:
        def __init__(self, **options):
            self._client = client(**options)

        def __getattr__(self, name):
            def call(*arguments, **options):
                state["calls"] += 1
                if state["cut"]:
                    raise Cut("no route to host")
                return getattr(self._client, name)(*arguments, **options)

            return call

    monkeypatch.setattr(mlflow, "MlflowClient", Line)
    # A store that only a server has.
    monkeypatch.setattr(Delivery, "is_remote", True)
    return state


def begin(name="a run", run_id=None, stage="train"):
    return start_run(Tracking(), stage, name, Config(), run_id)


def the_run(name="a run"):
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list", filter_string=f"run_name = '{name}'")
    return run


def points(run, name):
    return [
        (point.step, point.value) for point in mlflow.tracking.MlflowClient().get_metric_history(run.info.run_id, name)
    ]


@both_stores
def test_a_run_holds_all_that_it_was_told(tracking_uri, tmp_path, house, monkeypatch, capsys):
    (tmp_path / "train.csv").write_text("text,label\n")
    monkeypatch.chdir(tmp_path)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-qm", "a", "--allow-empty"], check=True)
    subprocess.run(["git", "remote", "add", "origin", "https://me:secret@example.org/a.git"], check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    before = int(1000 * time.time())
    with begin() as run:
        for step in range(250):
            run.metrics({"loss": 1 / (1 + step), "score": float("nan")}, step=step)
        run.data_set("train.csv", "ab" * 32, "train", {"num_rows": 3})
        run.data_set("docs:library/test", "ef" * 32, "test")
        run.source("cd" * 32, None)
        run.text("hello", "hello.txt")
        run.figure("empty.png", Figure)
        run.report("**A run**")
    found = the_run()
    assert found.info.run_id == run.run_id and found.info.status == "FINISHED" and found.info.start_time >= before
    assert [step for step, _ in points(found, "loss")] == list(range(250))
    assert (found.data.params["rate"], found.data.params["units"]) == ("0.5", "[16]")
    assert found.data.params["version.mlflow"] == mlflow.__version__
    assert found.data.tags["mlflow.source.git.commit"] == commit
    assert found.data.tags["mlflow.source.git.repoURL"] == "https://example.org/a.git"
    assert found.data.tags["mlflow.note.content"] == "**A run**" and found.data.tags["stage"] == "train"
    data, corpus = sorted(found.inputs.dataset_inputs, key=lambda data: data.dataset.digest)
    assert corpus.dataset.name == "docs:library/test"
    assert (data.dataset.name, data.dataset.digest, data.dataset.profile) == ("train.csv", "ab" * 18, '{"num_rows": 3}')
    assert str(tmp_path / "train.csv") in data.dataset.source and data.tags[0].value == "train"
    assert found.data.tags["telmo.bilm.sha256"] == "cd" * 32
    assert mlflow.artifacts.load_text(f"runs:/{run.run_id}/hello.txt") == "hello"
    assert capsys.readouterr().err == "", "and what arrived was not told as if it had not"
    assert yaml.safe_load(mlflow.artifacts.load_text(f"runs:/{run.run_id}/config.yaml")) == {"rate": 0.5, "units": [16]}
    assert {file.path for file in mlflow.artifacts.list_artifacts(run_id=run.run_id)} >= {"empty.png"}
    assert not outboxes()


def test_a_run_within_a_run_is_its_child_and_may_fail_alone(tracking_uri):
    with begin("parent") as parent:
        with pytest.raises(ValueError), begin("child") as child:
            assert parent.child() is child
            raise ValueError
        assert parent.child() is None
    assert the_run("child").data.tags["mlflow.parentRunId"] == parent.run_id
    assert [the_run(name).info.status for name in ("parent", "child")] == ["FINISHED", "FAILED"]


def test_a_server_that_is_down_from_the_start_hears_all_of_it_later(line, capsys, tmp_path):
    line["cut"] = True
    (tmp_path / "a.txt").write_text("as it was")
    before = int(1000 * time.time())
    with begin("parent") as run:
        first = run.run_id
        for step in range(10):
            run.metrics({"loss": step}, step=step)
            time.sleep(0.02)
        run.artifact(tmp_path / "a.txt")
        with begin("child") as child:
            child.params({"more": 1})
    (tmp_path / "a.txt").unlink()
    after = int(1000 * time.time())
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "no route to host" in told and "telmo sync" in told
    assert len(outboxes(tracking_address())) == 1

    line["cut"] = False
    time.sleep(0.05)
    with begin("next"):
        pass
    assert not outboxes()
    found = the_run("parent")
    assert found.data.tags["telmo.run"] == first and found.info.status == "FINISHED"
    assert before <= found.info.start_time <= found.info.end_time <= after
    assert points(found, "loss") == [(step, step) for step in range(10)]
    history = mlflow.tracking.MlflowClient().get_metric_history(found.info.run_id, "loss")
    stamps = [point.timestamp for point in history]
    assert before <= stamps[0] < stamps[-1] <= after
    assert mlflow.artifacts.load_text(f"runs:/{found.info.run_id}/a.txt") == "as it was"
    assert the_run("child").data.params["more"] == "1"
    assert the_run("child").data.tags["mlflow.parentRunId"] == found.info.run_id


@both_stores
def test_a_server_that_is_gone_for_a_while_hears_all_of_it(line, capsys):
    with begin() as run:
        for step in range(60):
            line["cut"] = 20 <= step < 40
            run.metrics({"loss": step}, step=step)
            time.sleep(0.01)
            # However slow the machine is, something is sent while nobody hears it.
            soon = time.monotonic() + 60
            while step == 39 and not run._sender.failure:
                assert time.monotonic() < soon
                time.sleep(0.01)
        # Sent, but the answer was lost.
        client = mlflow.tracking.MlflowClient()
        row = run._outbox.run(run.key)
        client.log_batch(row.run_id, [Metric("lost", 1.0, 5, 5)])
        run._tell("metrics", {"values": {"lost": 1.0}, "step": 5, "time": 5})
    assert points(the_run(), "loss") == [(step, step) for step in range(60)]
    assert points(the_run(), "lost") == [(5, 1.0)]
    assert capsys.readouterr().err.count("\n") == 1 and not outboxes()


def test_a_server_that_says_nothing_is_told_and_not_waited_for(line, monkeypatch, capsys):
    monkeypatch.setattr(outbox_sender, "LONGEST_REQUEST", 0.2)
    silence = threading.Event()
    with begin() as run:
        while not len(run.run_id) or run.key not in run._outbox.run_ids:
            time.sleep(0.01)
        monkeypatch.setattr(Delivery, "send", lambda *_: silence.wait(60))
        run.metrics({"loss": 1.0})
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "no answer in 0.2 seconds; what this run tells MLflow is kept in" in told
    silence.set()
    run._sender.join()
    monkeypatch.undo()


def test_sync_sends_what_was_left_and_says_when_it_cannot(line):
    line["cut"] = True
    with begin() as run:
        run.metrics({"loss": 1.0})
    with pytest.raises(OutputError, match=r"no route to host; .* is kept"):
        sync_stage(print)
    line["cut"] = False
    assert sync_stage(print) == 1 and sync_stage(print) == 0
    assert points(the_run(), "loss") == [(0, 1.0)]


def test_a_run_that_goes_on_is_the_same_run(tracking_uri):
    with pytest.raises(ValueError), begin() as run:
        run.metrics({"loss": 3.0}, step=1)
        raise ValueError
    assert the_run().info.status == "FAILED"
    with begin(run_id=run.run_id) as again:
        again.metrics({"loss": 2.0}, step=2)
        again.params({"rate": 7})
    found = the_run()
    assert again.run_id == run.run_id and found.info.status == "FINISHED"
    assert points(found, "loss") == [(1, 3.0), (2, 2.0)]
    # Parameters cannot change.
    assert found.data.params["rate"] == "0.5" and found.data.tags["rate"] == "7"
    # A run that is nowhere begins anew.
    with begin("new", run_id="0" * 32) as new:
        assert new.run_id != "0" * 32
    assert the_run("new").data.params["rate"] == "0.5"


@pytest.mark.parametrize(
    ("tracking_uri", "answers_between"), [("sqlite", False), ("postgresql", True)], indirect=["tracking_uri"]
)
def test_a_run_that_was_never_sent_goes_on_as_the_same_run(line, answers_between):
    line["cut"] = True
    with pytest.raises(ValueError), begin() as run:
        run.metrics({"loss": 3.0}, step=1)
        known = run.run_id
        raise ValueError
    line["cut"] = False
    if answers_between:
        sync_stage(print)
        assert the_run().info.status == "FAILED"
    with begin(run_id=known) as again:
        again.metrics({"loss": 2.0}, step=2)
    found = the_run()
    assert points(found, "loss") == [(1, 3.0), (2, 2.0)] and found.info.status == "FINISHED"
    assert found.data.params["rate"] == "0.5" and not outboxes()


def test_a_run_that_is_interrupted_as_it_begins_has_ended(tracking_uri, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.tracking.versions", interrupted)
    with pytest.raises(KeyboardInterrupt), begin():
        pytest.fail("began")
    assert the_run().info.status == "KILLED"


def test_what_a_killed_process_has_told_is_sent_by_the_next(tracking_uri, tmp_path, house):
    code = f"""
import os, sys
from pipeline.outbox import Outbox
outbox = Outbox.new({tracking_uri!r})
key = outbox.begin(None, name="killed", experiment="telmo", tags={{}}, wanted=None)
for step in range(5):
    outbox.add(key, "metrics", {{"values": {{"loss": step}}, "step": step, "time": step}})
os.kill(os.getpid(), 9)
"""
    here = os.environ | {"PYTHONPATH": str(house)}
    done = subprocess.run([sys.executable, "-c", code], check=False, env=here)
    assert done.returncode == -signal.SIGKILL
    assert len(outboxes()) == 1
    sync_stage(print)
    found = the_run("killed")
    assert len(points(found, "loss")) == 5 and found.info.status == "KILLED" and not outboxes()


def test_one_that_mlflow_takes_no_more_keeps_none_of_the_others(tracking_uri):
    client = mlflow.tracking.MlflowClient()
    client.delete_experiment(client.create_experiment("gone"))
    for name, experiment in (("lost", "gone"), ("left", "telmo")):
        outbox = Outbox.new(tracking_uri)
        outbox.begin(None, name=name, experiment=experiment, tags={}, wanted=None)
        outbox.close()
    told = []
    with pytest.raises(OutputError, match="1 run sent; 1 of 2 folders are kept"):
        sync_stage(told.append)
    assert len(told) == 1 and "the experiment 'gone' was deleted" in told[0] and str(outboxes()[0]) in told[0]
    assert the_run("left").info.status == "KILLED"


def test_what_mlflow_refuses_is_told_and_holds_nothing_up(tracking_uri, capsys):
    with begin() as run:
        run.params({"one": 1})
        run.params({"one": 2})
        run.metrics({"loss": 1.0})
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "MLflow refuses" in told and "one" in told
    assert points(the_run(), "loss") == [(0, 1.0)] and the_run().data.params["one"] == "1"


def test_an_outbox_is_of_one_process_at_a_time(tracking_uri):
    with begin() as run:
        with pytest.raises(InUse):
            Outbox(run._outbox.folder)
        told = []
        assert sync_stage(told.append) == 0
        assert told and "a command that runs now sends it" in told[0]


@pytest.mark.parametrize(
    ("address", "message"),
    [("foo://bar", "unsupported URI 'foo://bar'"), ("sqlite:///{}/text.db", "no SQLite database")],
)
def test_a_store_that_cannot_be_one_is_an_error_at_the_start(address, message, tmp_path, monkeypatch):
    (tmp_path / "text.db").write_text("some text, no database")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address.format(tmp_path))
    with pytest.raises(OutputError, match=message), begin():
        pytest.fail("began")
    assert not outboxes()


def test_a_deleted_experiment_is_an_error_at_the_start(tracking_uri):
    client = mlflow.tracking.MlflowClient()
    client.delete_experiment(client.create_experiment("telmo"))
    with pytest.raises(OutputError, match="the experiment 'telmo' was deleted"), begin():
        pytest.fail("began")


def test_without_tracking_nobody_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    for tracking in (None, Tracking(enabled=False)):
        with start_run(tracking, "train", "none", Config()) as run:
            run.metrics({"loss": 1.0})
            run.figure("none.png", pytest.fail)
            assert run.run_id == "" and not run.is_tracked
    assert not outboxes() and not (tmp_path / "mlflow.db").exists()


@pytest.mark.parametrize(("drawn", "name"), [("project", "project"), ("victorious-cow-241", "a run")])
def test_a_run_that_mlflow_run_has_begun_is_taken_up(drawn, name, tracking_uri, monkeypatch, capsys):
    client = mlflow.tracking.MlflowClient()
    begun = client.create_run(client.create_experiment("projects"), run_name=drawn).info.run_id
    client.log_param(begun, "rate", "0.50")
    monkeypatch.setenv("MLFLOW_RUN_ID", begun)
    with begin() as run, begin("child"):
        assert run.run_id == begun
    found = the_run(name).data
    # As `mlflow run` was given it, and as the config has it; all other keys are there.
    assert (found.params["rate"], found.tags["rate"]) == ("0.50", "0.5") and found.params["units"] == "[16]"
    assert "units" not in found.tags and capsys.readouterr().err == ""
    # In its experiment, where it is shown below it.
    assert the_run("child").info.experiment_id == the_run(name).info.experiment_id
    with begin("another run") as run:
        assert run.run_id != begun


@contextmanager
def server(folder, port):
    """`mlflow server`, until it is killed."""
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "store"),
    ]
    # Without eight processes for the judging of language models.
    lean = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("a") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=lean, start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health")
                break
            except OSError:
                time.sleep(0.3)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_a_server_that_is_killed_and_comes_back_has_every_metric(tmp_path, monkeypatch, mlflow_store, capsys):
    mlflow_store(tmp_path)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)

    def train(run, steps):
        for step in steps:
            run.metrics({"loss": step / 7, "norm": step}, step=step)
            time.sleep(0.01)

    with server(tmp_path, port):
        with_run = begin()
        run = with_run.__enter__()
        train(run, range(40))
    train(run, range(40, 80))
    run.text("told while it was gone", "gone.txt")
    with server(tmp_path, port):
        train(run, range(80, 120))
        with_run.__exit__(None, None, None)
        assert points(the_run(), "loss") == [(step, step / 7) for step in range(120)]
        assert len(points(the_run(), "norm")) == 120
        assert the_run().info.status == "FINISHED"
        assert mlflow.artifacts.load_text(f"runs:/{run.run_id}/gone.txt") == "told while it was gone"
    assert capsys.readouterr().err.count("\n") == 1 and not outboxes()
