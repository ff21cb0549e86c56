import ast
import pickle
import sys
import time
import traceback
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
import pandas
import pytest

from embeddings.embedder import Embedder
from embeddings.errors import ConfigError, InputError, ModelError
from embeddings.source import find_source, load_bilm
from models import Predictor
from serve.lineage import heads_of, link_bilm
from serve.registry import find_model, log_model, place_of, version_of
from serve.requirements import PACKAGES, pinned
from serve.tracking_server import without_login

TEXT = "The cat isn't here."


@pytest.fixture(scope="module")
def registered(model_folders, shared_tracking_uri):
    """The tagger as version 1 and 2 of a registered model; the alias stands on the second."""
    with mlflow.start_run() as run:
        versions = [log_model(model_folders["tagging"], TEXT, "tagger", "champion") for _ in range(2)]
    assert versions == ["1", "2"]
    return run.info.run_id


@pytest.mark.parametrize(("place", "version"), [("@champion", "2"), ("/1", "1")])
def test_a_registered_model_is_found_by_alias_and_version(registered, model_folders, place, version):
    found = find_model(f"models:/tagger{place}")
    assert (found.name, found.version) == ("tagger", version)
    expected = Predictor.load(model_folders["tagging"]).predict([TEXT])
    assert Predictor.load(found.folder).predict([TEXT]) == expected


def test_a_model_is_found_by_its_run(registered):
    assert find_model(f"runs:/{registered}/model").version is None


def test_mlflow_answers_with_the_same_predictor(registered, model_folders):
    (expected,) = Predictor.load(model_folders["tagging"]).predict([TEXT])
    (answer,) = mlflow.pyfunc.load_model("models:/tagger@champion").predict([TEXT])
    assert answer["tags"] == expected.tags
    assert [tuple(token) for token in answer["tokens"]] == [tuple(token) for token in expected.tokens]


@pytest.mark.parametrize("given", [{"text": [TEXT, "A dog ."]}, pandas.DataFrame({"any": [TEXT, "A dog ."]})])
def test_mlflow_takes_columns_of_texts(registered, lineage, given):
    for model in map(mlflow.pyfunc.load_model, ("models:/tagger@champion", "models:/bilm@champion")):
        assert model.predict(given) == model.predict([TEXT, "A dog ."])
        with pytest.raises(InputError, match=r"texts\[1\] is missing"):
            model.predict([TEXT, None])


def test_the_logged_model_says_what_it_takes_and_gives(registered):
    info = mlflow.models.get_model_info("models:/tagger@champion")
    assert [str(kind) for kind in info.signature.inputs.input_types()] == ["DataType.string"]
    assert info.signature.outputs.input_names() == ["tags", "spans"]
    assert {param.name: param.default for param in info.signature.params} == {"return_spans": True, "top_k": None}
    assert info.saved_input_example_info is not None


def test_params_of_the_signature_shape_the_answer(registered):
    model = mlflow.pyfunc.load_model("models:/tagger/1")
    (whole,), (short,) = model.predict([TEXT]), model.predict([TEXT], params={"top_k": 2, "return_spans": False})
    assert whole["spans"] and "paths" not in whole
    assert short["spans"] == [] and short["tags"] == whole["tags"] == short["paths"][0]["tags"]
    assert len(short["paths"]) == 2
    with pytest.raises(InputError, match="top_k is 0; expected at least 1"):
        model.predict([TEXT], params={"top_k": 0})


def test_the_requirements_are_pins_of_all_that_is_needed(registered):
    folder = Path(mlflow.artifacts.download_artifacts("models:/tagger/1"))
    *lines, constraints = (folder / "requirements.txt").read_text().splitlines()
    assert constraints == "-c constraints.txt"
    named = dict(line.split("==") for line in lines)
    pins = dict(line.split("==") for line in (folder / "constraints.txt").read_text().splitlines())
    assert named.items() <= pins.items() and {"keras", "tensorflow", "numba", "mlflow", "h5py"} <= named.keys()
    assert all(version(name) == pin for name, pin in pins.items())
    # What they need is there, too: a resolver has nothing to choose.
    assert pinned(tuple(pins)) == pins and {"flask", "pandas", "protobuf"} <= pins.keys()
    assert "jax" not in pins and "ray" not in pins


def test_all_that_the_code_of_a_model_imports_is_required(house):
    """But for what reads sources in other forms, or writes what a model does not."""
    elsewhere = {"torch", "zarr", "tensorflow_hub", "jax"}
    known = {name.replace("-", "_") for name in pinned(PACKAGES)}
    known |= {"sklearn", "tensorflow", "google", "embeddings", "models"} | sys.stdlib_module_names
    for file in [*(house / "embeddings").glob("*.py"), *(house / "models").glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= known | elsewhere, file.name


@pytest.fixture(scope="module")
def lineage(shared_tracking_uri, tiny_bilm_folder, model_folders):
    """A biLM that is registered twice, and a model that was trained on the first; the ids of the runs."""
    client = mlflow.MlflowClient()
    with mlflow.start_run() as pretraining:
        for _ in range(2):
            log_model(tiny_bilm_folder, "A text .", "bilm", None, "whitespace", {"forward_perplexity": 9.5})
    with mlflow.start_run() as training:
        # The version that it was read from was deleted since.
        link_bilm(client, training.info.run_id, find_source(tiny_bilm_folder).checksum(), "models:/bilm/9")
        log_model(model_folders["classification"], TEXT, "above")
    return pretraining.info.run_id, training.info.run_id


def test_a_bilm_gives_a_vector_for_each_text(lineage, tiny_bilm_folder):
    model = mlflow.pyfunc.load_model("models:/bilm@champion")
    texts = ["the cat sat", "", "on"]
    found = np.array(model.predict(texts))
    layers = list(Embedder(load_bilm(tiny_bilm_folder)).embed([text.split() for text in texts]))
    expected = [x.mean(axis=(0, 1)) if x.shape[1] else np.zeros(8) for x in layers]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    found = np.array(model.predict(texts[:1], params={"layers": "0,2", "pool": "max"}))
    np.testing.assert_allclose(
        found[0], np.concatenate([layers[0][0].max(axis=0), layers[0][2].max(axis=0)]), atol=1e-6
    )
    with pytest.raises(ConfigError, match="no layer 3"):
        model.predict(texts, params={"layers": "3"})
    with pytest.raises(InputError, match="pool 'none'; expected mean or max"):
        model.predict(texts, params={"pool": "none"})


@pytest.mark.parametrize("login", ["", "me:secret@", "me:se@cret@"])
def test_a_password_is_not_shown(login):
    told = "postgresql://{0}example.org/mlflow: failed for http://{0}127.0.0.1:9/api?of=a@b"
    assert without_login(told.format(login)) == told.format("")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://secret@example.org/a", "https://example.org/a"),
        ("https://:secret@example.org", "https://example.org"),
        ("postgresql://me:sec/ret@example.org/db", "postgresql://example.org/db"),
        ("postgresql:///db?host=h&user=me&password=se:cret&a=1", "postgresql:///db?host=h&user=***&password=***&a=1"),
        ("postgresql:///db?sslpassword=secret failed", "postgresql:///db?sslpassword=*** failed"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3DA%3BPWD%3Dsecret", "mssql+pyodbc:///?odbc_connect=***"),
        ("http://example.org:5000/api/a@b", "http://example.org:5000/api/a@b"),
        ("sqlite:////home/a@b/mlflow.db", "sqlite:////home/a@b/mlflow.db"),
    ],
)
def test_no_address_shows_a_secret_and_all_else_stays(address, shown):
    assert without_login(address) == shown


def test_a_server_that_is_down_is_told_soon_and_without_its_password(registered, monkeypatch):
    monkeypatch.setattr("mlflow.tracking._tracking_service.utils._tracking_uri", "http://me:secret@127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(ModelError, match=r"^models:/tagger@champion: http://127.0.0.1:9 cannot be asked ") as told:
        version_of("models:/tagger@champion")
    assert "secret" not in str(told.value) and time.monotonic() - began < 60


def test_a_model_and_its_bilm_name_each_other(lineage):
    pretraining, training = lineage
    client = mlflow.MlflowClient()
    bilm, again = (client.get_model_version("bilm", version) for version in "12")
    above = client.get_model_version("above", "1")
    assert (above.tags["telmo.bilm"], above.tags["telmo.bilm.run_id"]) == ("models:/bilm/1", pretraining)
    assert above.description.startswith("A model for ") and "(#/models/bilm/versions/1)" in above.description
    assert client.get_run(training).data.tags["telmo.bilm"] == "models:/bilm/1"
    assert [used.model_id for used in client.get_run(training).inputs.model_inputs] == [
        bilm.source.removeprefix("models:/")
    ]
    assert heads_of(bilm.tags) == ["models:/above/1"] and not heads_of(again.tags)


def test_the_first_version_is_the_champion_and_the_next_ones_challenge_it(lineage):
    client = mlflow.MlflowClient()
    aliases = client.get_registered_model("bilm").aliases
    assert (str(aliases["champion"]), str(aliases["challenger"])) == ("1", "2")
    assert place_of("bilm", "1") == "models:/bilm@champion"
    assert place_of("nobody", "1") == "models:/nobody/1"


@pytest.mark.parametrize(
    "model", ["models:/nobody@champion", "models:/tagger@nobody", "models:/tagger/9", "runs:/none/model"]
)
def test_a_model_that_does_not_exist_is_named(registered, model):
    with pytest.raises(ModelError, match=model):
        find_model(model)


def test_a_model_of_another_kind_is_refused(registered):
    class Other(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input: list[str]):
            return model_input

    with mlflow.start_run():
        mlflow.pyfunc.log_model(name="other", python_model=Other(), registered_model_name="other")
    with pytest.raises(ModelError, match="not a model of Telmo"):
        find_model("models:/other/1")


def test_a_folder_is_found_by_the_name_in_its_description(model_folders):
    assert find_model(str(model_folders["tagging"])).name == "tiny-tagging"
    with pytest.raises(ModelError, match="no such folder"):
        find_model("no/where")


class Unpickled:
    """While it is watched: what asked for an object that a pickle names. Both of Python's unpicklers tell (PEP 578)."""

    def __init__(self):
        self.watched = False
        self.found = []
        sys.addaudithook(self)

    def __call__(self, event, arguments):
        if self.watched and event == "pickle.find_class":
            stack = traceback.extract_stack()
            # Numba keeps what it has compiled on this machine in pickles of its own, in the user's cache.
            if not any("numba" in frame.filename for frame in stack):
                self.found.append((arguments, stack[-2]))

    def __enter__(self):
        self.watched = True

    def __exit__(self, *_):
        self.watched = False


@pytest.fixture(scope="module")
def unpickled():
    # A hook cannot be taken away again.
    return Unpickled()


def test_a_pickle_that_names_an_object_is_seen(unpickled):
    with unpickled:
        pickle.loads(pickle.dumps(Unpickled))
    assert unpickled.found.pop()[0] == (__name__, "Unpickled") and not unpickled.found


@pytest.mark.parametrize("task", ["classification", "tagging"])
def test_a_folder_is_loaded_and_asked_without_unpickling(unpickled, model_folders, task):
    with unpickled:
        assert Predictor.load(find_model(str(model_folders[task])).folder).predict([TEXT])
    assert not unpickled.found


def test_a_registered_model_is_fetched_loaded_and_asked_without_unpickling(unpickled, registered):
    with unpickled:
        found = find_model("models:/tagger@champion")
        assert Predictor.load(found.folder).predict([TEXT])
    assert not unpickled.found
    assert not [file for file in found.folder.parent.parent.rglob("*") if file.suffix in (".pkl", ".pickle", ".joblib")]
