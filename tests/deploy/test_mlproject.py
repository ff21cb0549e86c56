"""`mlflow run` of a stage, from a git address and with Telmo not installed."""

import json
import shlex
import subprocess
import sys

import mlflow
import pytest
from mlflow.projects import load_project
from typer.main import get_command

GIVEN = {"input": "texts.txt", "output": "vectors", "source": "bilm", "model": "models:/a@champion"}
GIVEN |= {"data": "test.csv", "text": "It's a cat.", "config": "mine.yaml"}
STAGES = ["pretrain", "embed", "train", "tune", "evaluate", "predict", "serve"]


@pytest.fixture(scope="module")
def repository(house, tmp_path_factory):
    """A git address of this checkout, committed or not. MLflow takes an address that is the path of a folder for that
    folder; with a space in its name the address is another."""
    folder = tmp_path_factory.mktemp("git") / "tel mo"
    git = ["git", "-C", str(house)]
    files = subprocess.run([*git, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=False)
    if files.returncode:
        pytest.skip("no git checkout")
    names = [name for name in files.stdout.splitlines() if name.startswith(("mlflow/", "configs/", "requirements.txt"))]
    folder.mkdir()
    subprocess.run(["cp", "-a", "--parents", *names, str(folder)], cwd=house, check=True)
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q", "-b", "main"], ["add", "."], [*who, "commit", "-qm", "All"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return f"{folder.as_uri()}#mlflow"


@pytest.fixture
def python(tmp_path, monkeypatch):
    """Puts a program `python` into PATH that only writes down how it was called; gives what it wrote."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "python"
    code = "import json, os, sys; print(json.dumps([sys.argv[1:], os.getcwd(), os.environ['PYTHONPATH']]))"
    program.write_text(f'#!/bin/bash\nexec {sys.executable} -c {shlex.quote(code)} "$@" > {tmp_path}/called\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return lambda: json.loads((tmp_path / "called").read_text())


def run(repository, stage, **parameters):
    return mlflow.projects.run(repository, stage, parameters=parameters, env_manager="local", experiment_name="telmo")


def test_a_stage_runs_from_a_git_address_where_it_was_typed(house, repository, tracking_uri, python, tmp_path):
    (tmp_path / "mine.yaml").touch()
    submitted = run(repository, "train", config="mine.yaml", set="training.epochs=3")
    assert submitted.get_status() == "FINISHED"
    arguments, folder, _ = python()
    assert arguments == ["-P", "-m", "pipeline.cli", "train", "mine.yaml", "--set", "training.epochs=3"]
    assert folder == str(tmp_path)
    tags = mlflow.get_run(submitted.run_id).data.tags
    assert tags["mlflow.project.entryPoint"] == "train" and len(tags["mlflow.source.git.commit"]) == 40
    # Without a config of one's own: that of the checkout, whose code it is, too.
    run(repository, "train")
    arguments, _, code = python()
    assert arguments[-1] == f"{code}/configs/docs-library.yaml" and not code.startswith(str(house))


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_a_command_of_telmo(house, stage, python, tmp_path):
    from pipeline.cli import app

    entry = load_project(house / "mlflow").get_entry_point(stage)
    parameters = {name: GIVEN[name] for name in entry.parameters if name in GIVEN}
    command = entry.compute_command(parameters | {"folder": str(tmp_path)}, str(tmp_path))
    subprocess.run(["bash", "-c", command], cwd=house / "mlflow", check=True)
    called, _, code = python()
    name, *arguments = called[3:]
    assert name == stage and code == str(house)
    # Parses, without running it.
    get_command(app).commands[stage].make_context(stage, list(arguments))
    assert all(value in arguments for value in parameters.values())


@pytest.mark.parametrize("stage", STAGES)
def test_a_parameter_is_asked_for_where_the_command_asks_for_it(house, stage):
    from pipeline.cli import app

    entry = load_project(house / "mlflow").get_entry_point(stage)
    known = get_command(app).commands[stage].params
    options = {option.name: option.default for option in known if option.param_type_name == "option"}
    given = {name: of.default for name, of in entry.parameters.items() if name != "folder"}
    for name, default in given.items():
        if name in options:
            assert default == (None if options[name] is None else str(options[name])), name
        else:
            # An argument; the checkout has configs.
            assert default is None or name == "config", name


def test_the_environment_is_that_of_the_lock_file(house):
    project = load_project(house / "mlflow")
    assert project.env_config_path == str(house / "mlflow" / "python_env.yaml")
    # MLflow installs from a folder of links to the files beside MLproject.
    assert (house / "mlflow" / "requirements.txt").read_bytes() == (house / "requirements.txt").read_bytes()
