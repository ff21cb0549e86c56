"""`telmo models promote`: versions that are only names, so that nothing is trained; two promotions are evaluated for
real."""

import hashlib
import json

import mlflow
import pytest

from pipeline import promotion
from pipeline.promotion import is_no_worse
from serve.aliases import move_alias
from serve.registry import log_model


def champion(client, model):
    return str(client.get_model_version_by_alias(model, "champion").version)


def found(low, high):
    """What evaluating gives of a difference in its interval."""
    scores = {"f1": {"other": 0.5, "difference": (low + high) / 2, "low": low, "high": high, "p": 0.03}}
    return {"main": "f1", "scores": scores, "verdict": "one is 1.00 points of f1 above", "sha256": "5" * 64}


@pytest.fixture
def evaluated(monkeypatch):
    """Sets what evaluating gives, and keeps what was asked."""
    asked = []

    def set_found(low, high):
        def compared(version, against, data, *ways):
            asked.append((version.version, against.version, data.name))
            return found(low, high)

        monkeypatch.setattr(promotion, "_compared", compared)
        return asked

    return set_found


def test_a_version_that_is_no_worse_is_promoted(telmo, model, client, evaluated, tmp_path):
    asked = evaluated(-0.01, 0.02)
    (tmp_path / "data.csv").write_text("text,label\na,b\n")
    code, out, _ = telmo("promote", model, "2", "data.csv")
    assert code == 0 and out.splitlines()[-1] == f"models:/{model}@champion is version 2 now; it was version 1"
    assert champion(client, model) == "2" and asked == [("2", "1", "data.csv")]
    tags = client.get_model_version(model, "2").tags
    assert (tags["telmo.gate"], tags["telmo.gate.against"], tags["telmo.gate.high"]) == ("promoted", "1", "0.02")
    assert tags["telmo.gate.data"] == "data.csv" and tags["telmo.gate.data.sha256"] == "5" * 64
    assert telmo("promote", model, "2") == (0, f"models:/{model}@champion is version 2 already\n", "")


def test_a_version_that_is_worse_is_refused_unless_forced(telmo, model, client, evaluated, tmp_path):
    evaluated(-0.05, -0.01)
    (tmp_path / "data.csv").write_text("text,label\na,b\n")
    code, out, _ = telmo("promote", model, "2", "data.csv")
    assert code == 1 and "1.00 points" in out and "refused" in out and champion(client, model) == "1"
    assert client.get_model_version(model, "2").tags["telmo.gate"] == "refused"
    code, out, _ = telmo("promote", model, "2", "data.csv", "--force", "--json")
    assert code == 0 and json.loads(out)["outcome"] == "forced" and champion(client, model) == "2"
    assert client.get_model_version(model, "2").tags["telmo.gate"] == "forced"
    # Without data nothing is compared, and nothing is left of the comparison before.
    assert telmo("promote", model, "3", "--force")[1].startswith("not compared")
    assert "telmo.gate.low" not in client.get_model_version(model, "3").tags


@pytest.mark.parametrize("worse", [False, True])
def test_a_champion_that_changed_meanwhile_stays(telmo, model, client, monkeypatch, tmp_path, worse):
    def compared(version, *_):
        move_alias(client, model, "champion", "3")
        return found(-0.05, -0.01) if worse else found(-0.01, 0.02)

    monkeypatch.setattr(promotion, "_compared", compared)
    (tmp_path / "data.csv").write_text("text,label\na,b\n")
    code, _, err = telmo("promote", model, "2", "data.csv")
    assert code == 1 and champion(client, model) == "3"
    assert worse or "@champion: stands on version 3 by now; 2 was to take the place of version 1" in err
    assert client.get_model_version(model, "2").tags.get("telmo.gate") == ("refused" if worse else None)


@pytest.mark.parametrize(
    ("low", "high", "margin", "passes"),
    [
        (-0.05, 0.0, None, True),
        (-0.05, -0.001, None, False),
        (-0.009, 0.01, 1.0, True),
        (-0.011, 0.05, 1.0, False),
        (0.001, 0.01, 0.0, True),
    ],
)
def test_the_interval_decides(low, high, margin, passes):
    assert is_no_worse("f1", {"low": low, "high": high}, margin) is passes
    points = {"low": 100 * low, "high": 100 * high}
    assert is_no_worse("bleu", points, margin) is passes


def test_the_first_champion_has_nobody_to_beat(telmo, model, client):
    client.delete_registered_model_alias(model, "champion")
    assert telmo("promote", model, "3")[:2] == (0, f"models:/{model}@champion is version 3 now\n")
    assert client.get_model_version(model, "3").tags["telmo.gate"] == "first"


def test_the_data_of_the_training_are_the_default(telmo, model, client, evaluated):
    asked = evaluated(0.0, 0.0)
    run_id = client.get_model_version(model, "2").run_id
    data = {split: f"docs:code/{split}" for split in ("train", "validation", "test")}
    client.log_dict(run_id, {"task": "tagging", "data": data, "seed": 2}, "config.yaml")
    assert telmo("promote", model, "2")[0] == 0
    assert asked == [("2", "1", f"runs:/{run_id}/config.yaml")]


def test_data_that_are_not_known_are_asked_for(telmo, model, client):
    code, _, err = telmo("promote", model, "2")
    assert code == 2 and "its data are not known" in err and "expected labelled texts" in err
    assert champion(client, model) == "1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["2", "none.csv"], "none.csv: no such file"),
        (["2", "data.csv", "--split", "all"], "expected one of train, validation, test"),
        (["2", "data.csv", "--format", "xls"], "expected one of text, csv"),
        (["2", "data.csv", "--set", "a=1"], "changes a config; data.csv is none"),
        (["7", "data.csv"], "no version '7'"),
    ],
)
def test_wrong_usage_is_told(telmo, model, tmp_path, arguments, message):
    (tmp_path / "data.csv").write_text("text,label\na,b\n")
    code, _, err = telmo("promote", model, *arguments)
    assert code in (1, 2) and message in err and "Traceback" not in err


def rows_of(words):
    return "text,label\n" + "".join(f"A {word} {k},{('cat', 'dog', 'fish')[k % 3]}\n" for k, word in enumerate(words))


def test_a_promotion_evaluates_both_on_the_same_texts(telmo, client, model_folders, tmp_path):
    with mlflow.start_run() as run:
        for _ in range(2):
            log_model(model_folders["classification"], "A text .", "pets")
    (tmp_path / "texts.csv").write_text(rows_of(["x", "y"] * 6))
    # What `mlflow gc` does.
    client.delete_run(run.info.run_id)
    client._tracking_client.store._hard_delete_run(run.info.run_id)
    code, out, _ = telmo("promote", "pets", "@challenger", "texts.csv", "--resamples", "100")
    assert code == 0 and "have the same accuracy on these texts" in out
    tags = client.get_model_version("pets", "2").tags
    assert (tags["telmo.gate"], tags["telmo.gate.difference"]) == ("promoted", "0.0")
    usual = client.get_experiment_by_name("telmo")
    assert client.search_runs([usual.experiment_id], "run_name = 'evaluate models:/pets/2'")


def test_a_promotion_reads_the_data_of_the_training_or_none(telmo, client, model_folders, tmp_path):
    words, labels = ["x", "y"] * 6, ["cat", "dog", "fish"] * 4
    digest = hashlib.sha256("".join(f"A\0{word}\0{k}\1" for k, word in enumerate(words)).encode())
    digest.update("".join(f"{label}\1" for label in labels).encode())
    with mlflow.start_run() as run:
        for _ in range(2):
            log_model(model_folders["classification"], "A text .", "trained")
        data = {"train": "train.csv", "validation": "train.csv", "test": "test.csv"}
        mlflow.log_dict({"task": "classification", "data": data}, "config.yaml")
        mlflow.log_param("data.test.sha256", digest.hexdigest())
    (tmp_path / "train.csv").write_text(rows_of(["w"] * 3))
    (tmp_path / "test.csv").write_text(rows_of(["z", *words[1:]]))
    code, _, err = telmo("promote", "trained", "2", "--resamples", "100")
    assert code == 1 and champion(client, "trained") == "1"
    assert f"those that models:/trained/2 was trained with {digest.hexdigest()[:16]}; expected the same, or DATA" in err
    (tmp_path / "test.csv").write_text(rows_of(words))
    assert telmo("promote", "trained", "2", "--resamples", "100")[0] == 0 and champion(client, "trained") == "2"
    (run,) = client.search_runs([run.info.experiment_id], "run_name = 'evaluate models:/trained/2'")
    assert "evaluate.accuracy" in run.data.metrics
