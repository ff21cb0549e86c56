"""The registry answers alike from SQLite and from PostgreSQL."""

import json
from dataclasses import asdict

import mlflow
import pytest
from reference.postgresql import both_stores

from embeddings.errors import ModelError
from models.description import DESCRIPTION, FORMAT, Description
from models.options import HeadOptions
from serve.registry import find_model, find_served, version_of

pytestmark = both_stores


@pytest.fixture
def registered(tracking_uri, tmp_path):
    """Two versions of a registered model that is no more than its description; the alias stands on the second."""
    described = Description("a", "tagging", ["O"], "spacy", HeadOptions(), {"f1": 0.5}, "An example .")
    client = mlflow.MlflowClient()
    client.create_registered_model("tagger")
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        values = asdict(described) | {"name": name, "format": FORMAT}
        (folder / DESCRIPTION).write_text(json.dumps(values))
        version = client.create_model_version("tagger", str(folder)).version
    client.set_registered_model_alias("tagger", "champion", str(version))
    return client


def described(found):
    return json.loads((found.folder / DESCRIPTION).read_text())["name"]


def test_an_alias_and_a_number_name_a_version(registered):
    for place, version, name in (("@champion", "2", "two"), ("/1", "1", "one")):
        found = find_model(f"models:/tagger{place}")
        assert (found.name, found.version, described(found)) == ("tagger", version, name)


def test_an_alias_that_moves_names_another_version(registered):
    assert version_of("models:/tagger@champion") == "2"
    registered.set_registered_model_alias("tagger", "champion", "1")
    assert version_of("models:/tagger@champion") == "1"
    assert described(find_served(["models:/tagger@champion"], {})["models:/tagger@champion"]) == "one"


def test_what_is_deleted_is_not_found(registered, tracking_uri):
    registered.delete_model_version("tagger", "2")
    for model in ("models:/tagger/2", "models:/tagger@champion"):
        with pytest.raises(ModelError, match=model):
            find_model(model)
    assert find_model("models:/tagger/1").version == "1"
