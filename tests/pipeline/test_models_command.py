"""`telmo models`: versions that are only names, so that nothing is trained."""

import json

import mlflow
import pytest

from embeddings.errors import ModelError, SourceError
from pipeline.model_versions import find_version
from pipeline.sources import local_source
from serve.aliases import former_versions, move_alias
from serve.registry import give_alias, log_model


def champion(client, model):
    return str(client.get_model_version_by_alias(model, "champion").version)


def aliases(client, model):
    return {alias: str(version) for alias, version in client.get_registered_model(model).aliases.items()}


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
