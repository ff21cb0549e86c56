"""A search over the values of a config's keys. Most trainings here are stand-ins, whose score is known beforehand."""

import os
import subprocess
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import mlflow
import optuna
import pytest
import yaml

from embeddings.errors import ConfigError, OutputError, TelmoError, TrainingError
from pipeline import tune
from pipeline.config import TrainConfig, read_config
from pipeline.tune import lines_of, search_folder, tune_stage
from pipeline.tune_config import read_tuning

SEARCH = {
    "training.learning_rate": {"low": "1e-4", "high": 1, "log": True},
    "head.units": {"low": 4, "high": 8, "step": 2},
    "head.widths": [[3], [3, 4, 5]],
}


class NoRun:
    run_id = "none"

    def __getattr__(self, name):
        return lambda *arguments: None


@pytest.fixture
def config(tmp_path):
    """Writes a config with a search; gives its file."""
    (tmp_path / "data.csv").write_text("text,label\nA cat.,cat\nA dog.,dog\n")

    def write(search=None, trials=3, **more):
        values = {
            "name": "pets",
            "task": "classification",
            "output": str(tmp_path / "pets"),
            "data": {split: str(tmp_path / "data.csv") for split in ("train", "validation", "test")},
            "embedding": {"source": "none"},
            "tune": {"trials": trials, "search": search or SEARCH} | more,
        }
        (tmp_path / "tune.yaml").write_text(yaml.safe_dump(values))
        return tmp_path / "tune.yaml"

    return write


@pytest.fixture
def trained(monkeypatch):
    """Puts a training of three epochs in the place of the real one, and no run in that of MLflow's; gives the configs
    that it was asked for."""
    asked = []

    def train(config, on_epoch):
        asked.append(config)
        config.output.mkdir(parents=True)
        for number in (1, 2, 3):
            # Best at the second epoch, and at a rate of 0.01.
            value = 1 / (1 + abs(number - 2)) / (1 + abs(0.01 - config.training.learning_rate))
            on_epoch(SimpleNamespace(number=number, scores={"accuracy": value, "macro_f1": 0.5}))
        return SimpleNamespace(kept_epoch=2, run_id="none")

    monkeypatch.setattr(tune, "_train", train)
    monkeypatch.setattr(tune, "start_run", lambda *_: nullcontext(NoRun()))
    return asked


def test_the_best_values_become_a_config_that_train_takes(config, trained, tmp_path):
    tuned = tune_stage(read_tuning(config(trials=4)))
    assert [trial.number for trial in tuned.trials] == [1, 2, 3, 4] and len(trained) == 4
    assert tuned.best.value == max(trial.value for trial in tuned.trials)
    assert tuned.best.value == pytest.approx(1 / (1 + abs(0.01 - tuned.best.parameters["training.learning_rate"])))
    best = read_config(TrainConfig, tuned.config)
    assert best.training.learning_rate == tuned.best.parameters["training.learning_rate"]
    assert list(best.head.widths) == tuned.best.parameters["head.widths"]
    assert best.head.units in (4, 6, 8) and best.output == tmp_path / "pets" and best.tracking.register_model
    assert len(lines_of(tuned)) == 5 and lines_of(tuned)[1].startswith(f"{tuned.best.number} ")


def test_trials_share_the_layers_and_leave_no_model(config, trained, tmp_path):
    tune_stage(read_tuning(config()))
    assert len({one.embedding.store for one in trained}) == 1
    assert not any(one.tracking.register_model for one in trained)
    assert {item.name for item in search_folder(tmp_path / "pets").iterdir()} == {".lock", "best.yaml", "study.db"}
    assert not (tmp_path / "pets").exists()


def test_a_trial_that_is_behind_the_others_is_pruned(config, trained):
    search = {"training.learning_rate": [0.01, 1000.0]}
    tuned = tune_stage(read_tuning(config(search, trials=8, startup=2, warm_up=1)))
    bad = [trial for trial in tuned.trials[2:] if trial.parameters["training.learning_rate"] == 1000]
    good = [trial for trial in tuned.trials if trial.parameters["training.learning_rate"] == 0.01]
    assert {trial.state for trial in good} == {"complete"}
    assert bad and {(trial.state, trial.epochs) for trial in bad} == {("pruned", 2)}


def test_a_search_goes_on_as_if_it_had_not_broken_off(config, trained):
    tune_stage(read_tuning(config(trials=2)))
    more = tune_stage(read_tuning(config(trials=4)))
    assert len(trained) == 4 and [trial.number for trial in more.trials] == [1, 2, 3, 4]
    search_folder(read_tuning(config()).config.output).rename(config().parent / "first")
    whole = tune_stage(read_tuning(config(trials=4)))
    assert [trial.parameters for trial in whole.trials] == [trial.parameters for trial in more.trials]


KILLED = """
import os, sys
from pathlib import Path
from types import SimpleNamespace
from pipeline import tune
from pipeline.tracking import start_run
from pipeline.tune_config import read_tuning

def train(config, on_epoch):
    with start_run(config.tracking, "train", "trial", config) as run:
        on_epoch(SimpleNamespace(number=1, scores={"accuracy": 0.5}))
        if Path("one").exists():
            os._exit(9)
        Path("one").touch()
    return SimpleNamespace(kept_epoch=1, run_id=run.run_id)

tune._train = train
tune.tune_stage(read_tuning(Path(sys.argv[1])))
"""


def children_of(run_id):
    experiment = mlflow.get_run(run_id).info.experiment_id
    return mlflow.search_runs([experiment], f"tags.mlflow.parentRunId = '{run_id}'", output_format="list")


def test_a_killed_trial_is_neither_lost_nor_counted_twice(house, config, tiny_bilm_folder, tmp_path, monkeypatch):
    """The second trial is killed in its first epoch; the search is taken up with real trainings."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    path = config({"training.learning_rate": {"low": 0.001, "high": 0.1}, "head.pooling": ["max", "mean"]})
    values = yaml.safe_load(path.read_text())
    values |= {"embedding": {"source": str(tiny_bilm_folder)}, "head": {"encoder": "none", "dropout": 0.0}}
    path.write_text(yaml.safe_dump(values | {"training": {"epochs": 2}}))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(house), *sys.path]))
    done = subprocess.run([sys.executable, "-c", KILLED, path], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 9, done.stderr
    storage = f"sqlite:///{search_folder(tmp_path / 'pets') / 'study.db'}"
    first, killed = optuna.load_study(study_name="pets", storage=storage).trials
    assert (first.state.name, killed.state.name) == ("COMPLETE", "RUNNING")

    tuned = tune_stage(read_tuning(path))
    assert [trial.number for trial in tuned.trials] == [1, 2, 3]
    assert [(trial.state, trial.epochs) for trial in tuned.trials] == [("complete", 1)] + [("complete", 2)] * 2
    rates = [trial.parameters["training.learning_rate"] for trial in tuned.trials]
    assert rates[:2] == [one.params["training.learning_rate"] for one in (first, killed)]

    runs = children_of(tuned.run_id)
    assert sorted(run.info.status for run in runs) == ["FINISHED", "FINISHED", "FINISHED", "KILLED"]
    assert {run.data.tags.get("trial") for run in runs} == {"1", "2", "3", None}
    assert {run.data.params.get("training.learning_rate") for run in runs} >= set(map(str, rates[1:]))
    assert mlflow.get_run(tuned.run_id).data.metrics["best.accuracy"] == pytest.approx(tuned.best.value)
    assert tuned.config.read_text().endswith(mlflow.artifacts.load_text(f"runs:/{tuned.run_id}/best.yaml"))
    assert {item.name for item in tuned.config.parent.iterdir()} == {".lock", "best.yaml", "study.db"}


def test_a_trial_that_cannot_be_trained_fails_alone(config, trained):
    search = {"head.encoder": ["dense", "lstm"], "head.pooling": ["last", "max"]}
    tuned = tune_stage(read_tuning(config(search, trials=12)))
    wrong = [trial for trial in tuned.trials if trial.parameters == {"head.encoder": "dense", "head.pooling": "last"}]
    assert wrong and all(trial.state == "failed" and "needs a recurrent encoder" in trial.error for trial in wrong)
    assert len(trained) == 12 - len(wrong) and tuned.best not in wrong


def test_a_search_in_which_nothing_can_be_trained_ends(config, trained, monkeypatch):
    def train(config, on_epoch):
        raise TrainingError("epoch 1: the loss is no number")

    monkeypatch.setattr(tune, "_train", train)
    with pytest.raises(TrainingError, match=r"none of 3 trials was trained to its end; the last: epoch 1: the loss"):
        tune_stage(read_tuning(config(trials=20)))
    # Begun again, it ends as soon.
    with pytest.raises(TrainingError, match="none of 6 trials was trained to its end"):
        tune_stage(read_tuning(config(trials=20)))


def test_two_searches_do_not_work_in_one_folder(config, trained):
    tuning = read_tuning(config())
    with tune._alone(search_folder(tuning.config.output)), pytest.raises(OutputError, match="another telmo tune"):
        tune_stage(tuning)


def test_what_stands_in_the_place_of_a_search_is_not_replaced(config, trained, tmp_path):
    tune_stage(read_tuning(config(trials=1)))
    with pytest.raises(ConfigError, match=r"holds a search of another config; expected the same but for 'tune.trials'"):
        tune_stage(read_tuning(config({"head.units": [1, 2]})))
    (search_folder(tmp_path / "pets") / "study.db").write_bytes(b"something else" * 100)
    with pytest.raises(OutputError, match=r"study\.db: cannot be used"):
        tune_stage(read_tuning(config(trials=1)))


@pytest.mark.parametrize(
    ("search", "more", "message"),
    [
        ({"head.unit": [1]}, {}, "'tune.search.head.unit': unknown key 'head.unit'; did you mean 'units'?"),
        ({"head.units": ["many"]}, {}, "'tune.search.head.units': 'head.units' is 'many'; expected a valid integer"),
        ({"head.units": {"low": 0, "high": 5}}, {}, "'head.units' is 0; expected greater than or equal to 1"),
        ({"head.units": {"low": 9, "high": 5}}, {}, "low 9 and high 5; expected low below high"),
        ({"head.units": {"low": 1, "hihg": 5}}, {}, "expected a list of choices, or 'low', 'high'"),
        ({"head.units": {"low": 0, "high": 5, "log": True}}, {}, "'log' goes with a low end above 0"),
        ({"head.units": 3}, {}, "found 3; expected a list of choices, or 'low' and 'high'"),
        ({"output": ["a"]}, {}, "'tune.search.output': cannot be searched"),
        ({"tracking.alias": ["a"]}, {}, "'tune.search.tracking.alias': cannot be searched"),
        ({"name.x": ["a"]}, {}, "'tune.search.name.x': cannot be searched"),
        ({"seed.x": [1]}, {}, "'tune.search.seed.x': 'seed' is"),
        ({"head.units": [1]}, {"metric": "f1"}, "'tune.metric' is 'f1'; expected one of accuracy, micro_f1, macro_f1"),
        ({"head.units": [1]}, {"trails": 3}, "unknown key 'tune.trails'; did you mean 'trials'?"),
    ],
)
def test_a_search_that_cannot_be_is_refused_at_once(config, search, more, message):
    with pytest.raises(ConfigError) as error:
        read_tuning(config(search, **more))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_metric_that_the_training_does_not_have_is_refused(config, trained):
    with pytest.raises(TelmoError, match=r"'tune\.metric' is 'micro_f1'; expected one of accuracy, macro_f1"):
        tune_stage(read_tuning(config(metric="micro_f1")))
    assert len(trained) == 1


def test_a_config_without_a_search_is_refused(tmp_path):
    (tmp_path / "c.yaml").write_text("name: a\n")
    with pytest.raises(ConfigError, match="key 'tune' is missing"):
        read_tuning(tmp_path / "c.yaml")
