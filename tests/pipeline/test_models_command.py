"""`telmo models`: versions that are only names, so that nothing is trained; one promotion is evaluated for real."""

import json

import mlflow
import pytest

from embeddings.errors import ModelError, SourceError
from pipeline import promotion
from pipeline.cli import main
from pipeline.model_versions import find_version
from pipeline.promotion import is_no_worse
from pipeline.sources import local_source
from serve.aliases import former_versions, move_alias
from serve.registry import give_alias, log_model


@pytest.fixture
def telmo(capsys, tmp_path, monkeypatch, shared_tracking_uri):
    """Run `telmo models` in an empty folder; gives its exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = 0
        capsys.readouterr()
        try:
            main(["models", *arguments])
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def client(shared_tracking_uri):
    return mlflow.MlflowClient()


@pytest.fixture
def model(request, client):
    """The name of a registered model with three versions, the first of them the champion."""
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


def champion(client, model):
    return str(client.get_model_version_by_alias(model, "champion").version)


def aliases(client, model):
    return {alias: str(version) for alias, version in client.get_registered_model(model).aliases.items()}


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


def test_models_and_their_versions_are_listed(telmo, model):
    code, out, _ = telmo("list")
    assert code == 0 and any(line.split() == [model, "tagging", "3", "1:", "f1", "0.1000", "3:", "f1", "0.3000"]
                             for line in out.splitlines())  # fmt: skip
    rows = telmo("list", model)[1].splitlines()
    assert rows[0].split()[:3] == ["version", "aliases", "score"]
    assert rows[1].split()[:5] == ["3", "-", "f1", "0.3000", "bilm/4"] and rows[3].split()[1] == "@champion"
    versions = json.loads(telmo("list", model, "--json")[1])
    assert [one["version"] for one in versions] == ["3", "2", "1"] and versions[2]["aliases"] == ["champion"]
    code, _, err = telmo("list", "nobody")
    assert code == 1 and "models:/nobody: not found in sqlite" in err


@pytest.mark.parametrize("name", ["bob's model", 'the "best" one', """bob's "best" 100%"""])
def test_a_model_may_have_any_name_that_mlflow_takes(telmo, client, name):
    client.create_registered_model(name)
    with mlflow.start_run() as run:
        for _ in range(2):
            client.create_model_version(name, "runs:/x/model", run.info.run_id)
    client.set_model_version_tag(name, "2", "telmo.score.f1", "by hand")
    for version in "12":
        move_alias(client, name, "champion", version)
    listed = json.loads(telmo("list", "--json")[1])
    assert [one["version"] for one in listed if one["name"] == name] == ["2", "1"]
    assert telmo("rollback", name)[1] == f"models:/{name}@champion is version 1 again; it was version 2\n"
    telmo("delete", name, "2", "--yes")
    assert "it was the last version" in telmo("delete", name, "1", "--yes", "--with-alias")[1]


def test_an_mlflow_that_has_no_models_or_is_down_is_told_in_a_line(telmo, shared_tracking_uri, mlflow_store, tmp_path):
    try:
        mlflow.set_tracking_uri(mlflow_store(tmp_path))
        assert telmo("list")[1].startswith("no models are registered in sqlite:///")
        assert json.loads(telmo("list", "--json")[1]) == []
        mlflow.set_tracking_uri("http://ada:secret@127.0.0.1:9")
        code, _, err = telmo("list")
    finally:
        mlflow.set_tracking_uri(shared_tracking_uri)
    assert code == 1 and err.startswith("telmo: registered models: http://127.0.0.1:9 cannot be asked (")
    assert "Connection refused" in err and "HTTPConnectionPool" not in err and err.count("\n") == 1


def test_two_versions_are_compared(telmo, model):
    code, out, _ = telmo("compare", model, "@champion", "3")
    rows = [line.split() for line in out.splitlines()]
    assert code == 0 and ["seed", "1", "3"] in rows and "task" not in {row[0] for row in rows}
    assert ["score", "f1", "0.1000", "0.3000", "+0.2000"] in rows and out.count("another") == 1
    compared = json.loads(telmo("compare", model, "1", "2", "--json")[1])
    assert compared["params"] == {"seed": ["1", "2"]}
    assert compared["data"]["train"][0] == compared["data"]["train"][1]
    code, _, err = telmo("compare", model, "1", "9")
    assert code == 1 and "no version '9'; expected one of 3, 2, 1, @champion" in err


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


def test_rolling_back_again_goes_further_back(telmo, model, client):
    for version in "231":
        move_alias(client, model, "champion", version)
    for old, new in (("1", "3"), ("3", "2"), ("2", "1")):
        code, out, _ = telmo("rollback", model)
        assert (code, out) == (0, f"models:/{model}@champion is version {new} again; it was version {old}\n")
        assert champion(client, model) == new
    assert [" ".join(row.split()[5:7]) for row in telmo("list", model)[1].splitlines()[1:3]] == 2 * ["rolled back"]
    code, _, err = telmo("rollback", model)
    assert code == 1 and "nothing to roll back to" in err and champion(client, model) == "1"


def test_rolling_back_passes_over_what_is_gone_and_minds_what_was_moved_by_hand(telmo, model, client):
    for version in "23":
        move_alias(client, model, "champion", version)
    client.delete_model_version(model, "2")
    # In MLflow's own page.
    with mlflow.start_run() as run:
        client.create_model_version(model, "runs:/x/model", run.info.run_id)
    client.set_registered_model_alias(model, "champion", "4")
    assert former_versions(client, model, "champion") == ["1", "2"]
    assert "is version 1 again; it was version 4" in telmo("rollback", model)[1]


def test_a_champion_that_was_deleted_leaves_a_way_back(telmo, model, client):
    move_alias(client, model, "champion", "3")
    telmo("delete", model, "3", "--yes", "--with-alias")
    code, out, _ = telmo("rollback", model)
    assert (code, out) == (0, f"models:/{model}@champion is version 1 again; no version had the alias\n")
    telmo("delete", model, "1", "--yes", "--with-alias")
    code, _, err = telmo("rollback", model)
    assert code == 1 and f"models:/{model}@champion: stands on no version, and stood on none that is there" in err


def test_only_the_first_version_is_the_champion_unasked(telmo, model, client):
    telmo("delete", model, "1", "--yes", "--with-alias")
    give_alias(client, model, None, "2")
    assert aliases(client, model) == {"challenger": "2"}


def test_a_version_that_comes_late_takes_no_alias_from_a_newer_one(model, client):
    for alias in (None, "candidate"):
        for version in "32":
            give_alias(client, model, alias, version)
    assert aliases(client, model) == {"champion": "1", "challenger": "3", "candidate": "3"}
    # The champion itself, of which it is told a second time.
    give_alias(client, model, None, "1")
    assert aliases(client, model)["challenger"] == "3"


def test_an_end_in_the_middle_of_a_move_leaves_what_was_true(telmo, model, client, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    move_alias(client, model, "champion", "2")
    with monkeypatch.context() as patch:
        patch.setattr(client, "set_registered_model_alias", fail)
        with pytest.raises(KeyboardInterrupt):
            move_alias(client, model, "champion", "3")
    assert champion(client, model) == "2"
    assert "is version 1 again; it was version 2" in telmo("rollback", model)[1]


def test_a_version_is_deleted_after_a_question(telmo, model, client, monkeypatch):
    code, _, err = telmo("delete", model, "1", "--yes")
    assert code == 1 and "@champion stands on it" in err
    assert telmo("delete", model, "2")[0] == 1  # standard input says nothing
    monkeypatch.setattr("typer.confirm", lambda question, abort: print(question))
    code, out, _ = telmo("delete", model, "2")
    assert (code, out) == (0, f"Delete models:/{model}/2 for good?\nmodels:/{model}/2: deleted\n")
    telmo("delete", model, "3", "--yes")
    # Somebody else moves an alias while the question stands there.
    monkeypatch.setattr("typer.confirm", lambda question, abort: client.set_registered_model_alias(model, "new", "1"))
    code, _, err = telmo("delete", model, "1", "--with-alias")
    assert code == 1 and f"models:/{model}/1: @new came to stand on it meanwhile" in err
    assert "it was the last version" in telmo("delete", model, "1", "--yes", "--with-alias")[1]
    assert not client.search_registered_models(f"name = '{model}'")


def test_a_promotion_evaluates_both_on_the_same_texts(telmo, client, model_folders, tmp_path):
    with mlflow.start_run():
        for _ in range(2):
            log_model(model_folders["classification"], "A text .", "pets")
    rows = [f"A {word} {k},{('cat', 'dog', 'fish')[k % 3]}" for k, word in enumerate(["x", "y"] * 6)]
    (tmp_path / "texts.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    code, out, _ = telmo("promote", "pets", "@challenger", "texts.csv", "--resamples", "100")
    assert code == 0 and "have the same accuracy on these texts" in out
    tags = client.get_model_version("pets", "2").tags
    assert (tags["telmo.gate"], tags["telmo.gate.difference"]) == ("promoted", "0.0")
    (run,) = client.search_runs(["1"], "run_name = 'evaluate models:/pets/2'")
    assert "evaluate.accuracy" in run.data.metrics


def test_a_source_may_be_in_mlflow(shared_tracking_uri, tiny_bilm_folder, model_folders):
    from pipeline.sources import find_source

    with mlflow.start_run() as run:
        log_model(tiny_bilm_folder, "A text .", "source", tokenizer="whitespace")
        log_model(model_folders["tagging"], "A text .", "head")
    expected = find_source(tiny_bilm_folder).checksum()
    for place in ("models:/source@champion", "models:/source/1"):
        assert find_source(place).checksum() == expected
    assert find_source("models:/head/1").options == find_source(tiny_bilm_folder).options
    assert find_source(f"runs:/{run.info.run_id}/model").options
    assert local_source(tiny_bilm_folder) == tiny_bilm_folder
    with pytest.raises(ModelError, match="models:/source@none: not found"):
        find_source("models:/source@none")
    with mlflow.start_run():
        mlflow.log_text("nothing", "nothing/none.txt")
        run_id = mlflow.active_run().info.run_id
    with pytest.raises(SourceError, match="registered, but holds no biLM"):
        find_source(f"runs:/{run_id}/nothing")


def test_a_version_is_found_by_number_and_alias(model):
    assert find_version(model, "1") == find_version(model, "champion") == find_version(model, "@champion")
