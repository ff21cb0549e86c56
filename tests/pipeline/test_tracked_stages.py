"""What the stages tell MLflow, with models that have learned nothing and a registry that takes any folder."""

import json

import mlflow
import pytest
from mlflow.entities import LoggedModelOutput
from reference.postgresql import both_stores

from pipeline.cli import main
from pipeline.config import Tracking
from pipeline.data_config import Texts
from pipeline.embed import EmbeddingJob, embed_stage
from pipeline.evaluate import Evaluation, evaluate_stage
from pipeline.model_checksum import MODEL_CHECKSUM, checksum_of_model
from pipeline.outbox import outboxes
from pipeline.sentence_stream import Sentences
from pipeline.tracking import start_run

pytestmark = pytest.mark.usefixtures("quick_outbox")


def runs(stage):
    query = f"tags.stage = '{stage}'"
    return mlflow.search_runs(search_all_experiments=True, filter_string=query, output_format="list")


@pytest.fixture
def registry(monkeypatch):
    """Stands in for the registry: notes what it was given, and registers a version of nothing. `down` makes it one that
    does not answer."""
    state = {"down": False, "taken": []}

    def log_model(folder, example, name, alias, tokenizer, scores):
        if state["down"]:
            raise ConnectionError("no route to host")
        client, active = mlflow.MlflowClient(), mlflow.active_run()
        state["taken"].append({file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()})
        client.create_registered_model(name)
        model = mlflow.initialize_logged_model(name="model", source_run_id=active.info.run_id)
        client.log_outputs(active.info.run_id, [LoggedModelOutput(model.model_id, 0)])
        made = client.create_model_version(name, str(folder), active.info.run_id)
        return str(made.version)

    monkeypatch.setattr("serve.registry.log_model", log_model)
    return state


def trained(folder, registry):
    """A run that registers the model of a folder; gives it and the version."""
    with start_run(Tracking(), "train", "pets", Tracking()) as run:
        run.tags({MODEL_CHECKSUM: checksum_of_model(folder)})
        scores = {"test.accuracy": 0.5}
        run.metrics(scores, step=7)
        return run, run.model(folder, "A cat.", "pets", "champion", scores)


@pytest.fixture
def texts(tmp_path):
    (tmp_path / "test.csv").write_text("text,label\n" + "A cat .,cat\nA dog .,dog\nA big fish .,fish\n" * 3)
    return tmp_path / "test.csv"


@both_stores
def test_a_model_is_registered_and_its_page_has_the_scores(tracking_uri, model_folders, registry):
    run, version = trained(model_folders["classification"], registry)
    assert version == "1" and not outboxes()
    client = mlflow.MlflowClient()
    found = client.get_model_version_by_alias("pets", "champion")
    assert found.run_id == run.run_id and client.get_run(run.run_id).info.status == "FINISHED"
    (output,) = client.get_run(run.run_id).outputs.model_outputs
    (metric,) = client.get_logged_model(output.model_id).metrics
    assert (metric.key, metric.value, metric.step) == ("test.accuracy", 0.5, 7)
    # The run has it once.
    assert len(client.get_metric_history(run.run_id, "test.accuracy")) == 1


def test_a_registration_that_failed_is_made_up_for_with_the_model_as_it_was(
    tracking_uri, model_folders, registry, tmp_path, capsys
):
    import shutil

    folder = shutil.copytree(model_folders["classification"], tmp_path / "model")
    before = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    registry["down"] = True
    run, version = trained(folder, registry)
    assert version is None and len(outboxes()) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert mlflow.get_run(run.run_id).info.status == "FINISHED"
    # Another training takes its place meanwhile.
    shutil.rmtree(folder)
    registry["down"] = False
    with pytest.raises(SystemExit) as end:
        main(["sync"])
    assert not end.value.code and capsys.readouterr().out == "1 run sent\n"
    assert registry["taken"] == [before] and not outboxes()
    client = mlflow.MlflowClient()
    assert client.get_model_version_by_alias("pets", "champion").run_id == run.run_id
    found = client.get_run(run.run_id).info
    assert found.status == "FINISHED" and found.end_time - found.start_time < 60_000


@pytest.mark.parametrize(
    ("tracking_uri", "by"),
    [("postgresql", "folder"), ("sqlite", "version"), ("sqlite", "deleted version")],
    indirect=["tracking_uri"],
)
def test_an_evaluation_stands_below_the_run_that_trained_the_model(
    tracking_uri, model_folders, registry, texts, by, capsys
):
    folder = model_folders["classification"]
    run, _ = trained(folder, registry)
    asked = Evaluation(
        model=str(folder) if by == "folder" else "models:/pets@champion",
        data=str(texts),
        texts=Texts(),
        registered=None if by == "folder" else "models:/pets/1",
        resamples=100,
    )
    if by == "deleted version":
        mlflow.MlflowClient().delete_model_version("pets", "1")
    found = evaluate_stage(asked, folder, tracking=Tracking())
    (told,) = runs("evaluate")
    assert told.data.tags["mlflow.parentRunId"] == run.run_id
    accuracy = found["scores"]["accuracy"]
    assert told.data.metrics["evaluate.accuracy"] == pytest.approx(accuracy["value"])
    assert told.data.metrics["evaluate.accuracy.low"] == pytest.approx(accuracy["low"])
    client = mlflow.MlflowClient()
    # A search does not tell.
    (model,) = client.get_run(told.info.run_id).inputs.model_inputs
    assert [model.model_id] == [one.model_id for one in client.get_run(run.run_id).outputs.model_outputs]
    metrics = {metric.key: metric for metric in client.get_logged_model(model.model_id).metrics}
    assert metrics["evaluate.accuracy"].dataset_name == "test.csv"
    files = {file.path for file in mlflow.artifacts.list_artifacts(run_id=told.info.run_id)}
    assert files >= {"confusion.png", "reliability.png", "scores_by_label.png", "evaluation.html", "evaluation.json"}
    assert f"{accuracy['value']:.4f}" in told.data.tags["mlflow.note.content"]
    assert capsys.readouterr().err == ""


def test_an_embedding_that_goes_on_goes_on_in_its_run(tracking_uri, tiny_bilm_folder, tmp_path):
    (tmp_path / "a.txt").write_text("A cat .\n" * 5000)
    job = EmbeddingJob(str(tiny_bilm_folder), Sentences(names=(str(tmp_path / "a.txt"),), tokenizer="whitespace"))

    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_stage(job, tmp_path / "v", report=stop, tracking=Tracking())
    (first,) = runs("embed")
    assert first.info.status == "KILLED"
    embed_stage(job, tmp_path / "v", tracking=Tracking())
    (run,) = runs("embed")
    assert run.info.run_id == first.info.run_id and run.info.status == "FINISHED"
    assert run.data.metrics["embed.sentences"] == 5000 and run.data.metrics["embed.words"] == 15000
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.name == "a.txt" and json.loads(data.dataset.profile) == {"num_rows": 5000, "words": 15000}
    # What is complete is no run.
    embed_stage(job, tmp_path / "v", tracking=Tracking())
    assert len(runs("embed")) == 1


@pytest.mark.parametrize(
    ("uri", "options", "tracked"),
    [(None, [], 0), ("here", [], 1), ("here", ["--no-track"], 0), ("here", ["--track", "mine"], 1)],
)
def test_embed_is_tracked_where_there_is_a_server_or_it_is_asked_to(
    tracking_uri, tiny_bilm_folder, tmp_path, monkeypatch, uri, options, tracked
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("A cat .\n")
    if not uri:
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(SystemExit) as end:
        main(["embed", "a.txt", "v.hdf5", "--source", str(tiny_bilm_folder), *options])
    assert not end.value.code
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
    assert len(runs("embed")) == tracked
