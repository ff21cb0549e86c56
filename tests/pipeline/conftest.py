import pytest


@pytest.fixture
def quick_outbox(tmp_path, monkeypatch):
    """What MLflow has not heard is kept in a folder of the test's own, and nobody waits long for MLflow."""
    from pipeline import outbox_sender

    monkeypatch.setenv("TELMO_CACHE", str(tmp_path / "cache"))
    for name, seconds in (("PACE", 0.02), ("PAUSE", 0.02), ("LONGEST_PAUSE", 0.1), ("LAST_PATIENCE", 0.2)):
        monkeypatch.setattr(outbox_sender, name, seconds)


@pytest.fixture
def command(capsys, tmp_path, monkeypatch):
    """Run `telmo` in an empty folder; gives its exit code, standard output and standard error."""
    from pipeline.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = 0
        capsys.readouterr()
        try:
            main([*arguments])
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def telmo(command, shared_tracking_uri):
    """Run `telmo models`, as `command`."""
    return lambda *arguments: command("models", *arguments)


@pytest.fixture
def client(shared_tracking_uri):
    import mlflow

    return mlflow.MlflowClient()


@pytest.fixture
def model(request, client):
    """The name of a registered model with three versions, the first of them the champion."""
    import mlflow

    from serve.aliases import move_alias

    name = request.node.originalname
    for old in client.search_registered_models(f"name = '{name}'"):
        client.delete_registered_model(old.name)
    client.create_registered_model(name)
    for k in (1, 2, 3):
        with mlflow.start_run() as run:
            mlflow.log_params({"seed": k, "task": "tagging"})
            data = mlflow.data.from_numpy(mlflow.data.numpy_dataset.np.arange(3 if k < 3 else 4), name="words")
            mlflow.log_input(data, context="train")
        tags = {"telmo.task": "tagging", "telmo.score.f1": str(k / 10), "telmo.bilm": "models:/bilm/4"}
        client.create_model_version(name, f"runs:/{run.info.run_id}/model", run.info.run_id, tags)
    move_alias(client, name, "champion", "1")
    return name
