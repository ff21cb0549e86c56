"""A history is the same in PostgreSQL as it was in SQLite."""

import math
import shutil
import sqlite3
import sys
from contextlib import closing
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import mlflow
import pytest
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.sources import LocalArtifactDatasetSource
from mlflow.entities import Metric, Param, RunTag

INFINITE = [math.nan, math.inf, -math.inf, 0.1 + 0.2, -0.0, 1e300]


@pytest.fixture(scope="module")
def script(house):
    """`mlflow/move_history.py`, which no package holds."""
    spec = spec_from_file_location("move_history", house / "mlflow" / "move_history.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def history(tmp_path_factory, mlflow_store):
    """An SQLite history with something of everything that Telmo writes: a client of it, and its file."""
    tmp_path = tmp_path_factory.mktemp("history")
    uri = mlflow_store(tmp_path)
    client = mlflow.MlflowClient(uri, uri)
    for name in ("kept", "deleted"):
        number = client.create_experiment(name, str(tmp_path / "mlruns" / name), {"owner": "Ä ß 日本"})
    client.delete_experiment(number)
    experiment = client.get_experiment_by_name("kept").experiment_id
    parent = client.create_run(experiment, run_name="parent", tags={"mlflow.note.content": "line\nline"}).info.run_id
    child = client.create_run(experiment, run_name="child", tags={"mlflow.parentRunId": parent}).info.run_id
    metrics = [Metric("loss", value, 1000 + step, step) for step, value in enumerate(INFINITE)]
    metrics += [Metric("many", step / 7, 5, step) for step in range(2500)]
    for first in range(0, len(metrics), 1000):
        client.log_batch(child, metrics[first : first + 1000])
    client.log_batch(child, params=[Param("empty", ""), Param("long", "x" * 6000)], tags=[RunTag("done", "true")])
    data = MetaDataset(LocalArtifactDatasetSource("texts.csv"), name="texts", digest="abc")
    entity = mlflow.entities.DatasetInput(data._to_mlflow_entity(), [mlflow.entities.InputTag("context", "train")])
    client.log_inputs(child, [entity])
    client.log_text(child, "läuft", "report/report.md")
    client.set_terminated(child, "FAILED")
    model = client.create_logged_model(experiment, "head", child, {"kind": "head"}, {"units": "4"})
    (tmp_path / "weights").write_bytes(bytes(range(256)))
    client.log_model_artifact(model.model_id, str(tmp_path / "weights"))
    client.finalize_logged_model(model.model_id, "READY")
    client.create_registered_model("tagger", {"task": "tagging"}, "tags words")
    for _ in range(2):
        with pytest.MonkeyPatch.context() as here:
            # The client asks for the logged model there, whatever store it has itself.
            here.setattr("mlflow.tracking._tracking_service.utils._tracking_uri", uri)
            version = client.create_model_version("tagger", model.model_uri, child, model_id=model.model_id)
    client.set_registered_model_alias("tagger", "champion", version.version)
    client.set_model_version_tag("tagger", version.version, "f1", "0.9")
    return client, tmp_path / "mlflow.db"


def seen(client):
    """All that a client sees of a history, but where artifacts lie."""
    found = {}
    for experiment in client.search_experiments(view_type=3):
        found[experiment.name] = (experiment.experiment_id, experiment.lifecycle_stage, experiment.tags)
        for run in client.search_runs([experiment.experiment_id], run_view_type=3):
            info = {key: value for key, value in dict(run.info).items() if key != "artifact_uri"}
            points = {key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
            listed = {key: [(repr(at.value), at.step, at.timestamp) for at in at_all] for key, at_all in points.items()}
            last = {key: repr(value) for key, value in run.data.metrics.items()}
            inputs = [data.to_dictionary() for data in run.inputs.dataset_inputs]
            files = [file.path for file in client.list_artifacts(run.info.run_id, "report")]
            found[run.info.run_id] = (info, listed, last, run.data.params, run.data.tags, inputs, files)
        for model in client.search_logged_models([experiment.experiment_id]):
            place = ("artifact_location",)
            found[model.model_id] = {k: v for k, v in model.to_dictionary().items() if k not in place}
    for model in client.search_registered_models():
        found[model.name] = (model.description, model.tags, model.aliases, model.creation_timestamp)
        for version in client.search_model_versions(f"name = '{model.name}'"):
            found[model.name, version.version] = (version.run_id, version.model_id, version.tags, version.aliases)
    return found


@pytest.fixture
def changed(history, tmp_path):
    """Copies the history's file and changes it in SQL; SQLite minds nothing."""

    def change(statement):
        file = Path(shutil.copy(history[1], tmp_path / "changed.db"))
        with closing(sqlite3.connect(file)) as writing, writing:
            writing.execute(statement)
        return file

    return change


@pytest.fixture
def fresh(postgresql, mlflow_database):
    """The address of a database as a server leaves it when it has started."""
    with postgresql.database(mlflow_database) as uri:
        yield uri


def test_all_that_a_client_sees_is_the_same_in_postgresql(script, history, postgresql):
    old, file = history
    before = file.read_bytes()
    with postgresql.database() as uri:
        script.move(file, uri)
        new = mlflow.MlflowClient(uri, uri)
        assert seen(new) == seen(old)
        assert str(new.get_model_version_by_alias("tagger", "champion").version) == "2"
        # Numbers go on after the old ones.
        ids = {int(experiment.experiment_id) for experiment in old.search_experiments(view_type=3)}
        assert int(new.create_experiment("next")) == max(ids) + 1
    assert file.read_bytes() == before


def test_artifacts_go_along_and_are_found_at_their_new_place(script, history, fresh, tmp_path):
    old, file = history
    root = f"file://{tmp_path}/store"
    script.move(file, fresh, root)
    new = mlflow.MlflowClient(fresh, fresh)
    assert seen(new) == seen(old)
    experiment = new.get_experiment_by_name("kept")
    assert experiment.artifact_location == f"{root}/{experiment.experiment_id}"
    (child,) = new.search_runs([experiment.experiment_id], "attributes.run_name = 'child'")
    assert child.info.artifact_uri.startswith(root)
    assert mlflow.artifacts.load_text(f"{child.info.artifact_uri}/report/report.md") == "läuft"
    place = new.get_model_version_download_uri("tagger", "2")
    assert place.startswith(root)
    fetched = mlflow.artifacts.download_artifacts(f"{place}/weights", dst_path=str(tmp_path / "fetched"))
    assert Path(fetched).read_bytes() == bytes(range(256))


def test_artifacts_that_a_server_kept_are_found_in_its_folder(script, history, changed, fresh, tmp_path):
    folder = history[1].parent / "mlruns"
    file = changed(
        f"UPDATE experiments SET artifact_location = replace(artifact_location, '{folder}', 'mlflow-artifacts:')"
    )
    with pytest.raises(script.Refused, match="--served-from"):
        script.move(file, fresh, "mlflow-artifacts:/", str(tmp_path / "store"))
    script.move(file, fresh, "mlflow-artifacts:/", str(tmp_path / "store"), folder)
    number = mlflow.MlflowClient(fresh, fresh).get_experiment_by_name("kept").experiment_id
    assert [path.read_text("utf-8") for path in (tmp_path / "store" / number).rglob("report.md")] == ["läuft"]


def test_a_database_with_a_history_is_left_as_it_is(script, history, fresh):
    _, file = history
    mlflow.MlflowClient(fresh, fresh).create_registered_model("mine")
    with pytest.raises(script.Refused, match="holds a history already"):
        script.move(file, fresh)
    assert [model.name for model in mlflow.MlflowClient(fresh, fresh).search_registered_models()] == ["mine"]


def test_a_failure_in_the_middle_leaves_nothing(script, history, changed, fresh):
    old, file = history
    # PostgreSQL's text holds no NUL.
    broken = changed("UPDATE registered_models SET description = 'a' || char(0) || 'b'")
    with pytest.raises(script.Refused, match="registered_models: PostgreSQL does not take a row"):
        script.move(broken, fresh)
    script.move(file, fresh)
    assert seen(mlflow.MlflowClient(fresh, fresh)) == seen(old)


def test_rows_without_an_owner_stay_behind_and_are_told(script, history, changed, fresh, capsys):
    file = changed("INSERT INTO tags (key, value, run_uuid) VALUES ('a', 'b', 'nobody')")
    script.move(file, fresh)
    assert seen(mlflow.MlflowClient(fresh, fresh)) == seen(history[0])
    assert "tags: 1 rows left behind" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "target", "told"),
    [
        ("none.db", "postgresql://127.0.0.1:1/x", "none.db: no such file"),
        ("text.db", "postgresql://127.0.0.1:1/x", "not an SQLite file"),
        ("empty.db", "postgresql://127.0.0.1:1/x", "no table 'experiments'"),
        ("mlflow.db", "sqlite:///other.db", "expected postgresql://"),
        ("mlflow.db", "postgresql+psycopg://a:secret@127.0.0.1:1/x", "does not answer"),
        ("mlflow.db", "postgresql+psycopg://127.0.0.1:1/x?user=a&password=secret", "does not answer"),
        ("mlflow.db", "a:secret@127.0.0.1", "no address"),
    ],
)
def test_what_cannot_be_moved_is_told_in_a_line(script, tmp_path, mlflow_store, monkeypatch, source, target, told):
    mlflow_store(tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("text.db").write_text("This is no database, but a text that is longer than the header of one.\n" * 20)
    Path("empty.db").touch()
    monkeypatch.setattr(sys, "argv", ["move_history.py", source, target])
    with pytest.raises(SystemExit) as ended:
        script.main()
    message = str(ended.value.code)
    assert told in message and "\n" not in message and "secret" not in message
