import pickle
import sys
import traceback

import mlflow
import pytest

from embeddings.errors import ModelError
from models import Predictor
from serve.registry import find_model, log_model

TEXT = "The cat isn't here."


@pytest.fixture(scope="module")
def registered(model_folders, tmp_path_factory, mlflow_store):
    """The tagger as version 1 and 2 of a registered model; the alias stands on the second."""
    folder = tmp_path_factory.mktemp("mlflow")
    mlflow.set_tracking_uri(mlflow_store(folder))
    mlflow.create_experiment("test", artifact_location=str(folder / "artifacts"))
    mlflow.set_experiment("test")
    with mlflow.start_run() as run:
        versions = [log_model(model_folders["tagging"], TEXT, "tagger", "champion") for _ in range(2)]
    assert versions == ["1", "2"]
    yield run.info.run_id
    mlflow.set_tracking_uri(None)


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


def test_the_logged_model_says_what_it_takes(registered):
    info = mlflow.models.get_model_info("models:/tagger@champion")
    assert "string" in str(info.signature.inputs)
    assert info.saved_input_example_info is not None


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
