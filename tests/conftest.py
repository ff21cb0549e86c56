import logging
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
logging.getLogger("tensorflow").setLevel(logging.ERROR)

HOUSE = Path(__file__).parent.parent


def pytest_collection_modifyitems(items):
    """The slow tests come first, so that no process is left alone with one in the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def seeded():
    """Random weights and dropout of a test, and of the fixtures of its own, depend on no test before."""
    import keras

    keras.utils.set_random_seed(1)


@pytest.fixture(scope="session")
def house():
    """The root of the checkout."""
    return HOUSE


@pytest.fixture(scope="session")
def shared():
    """The folder of reference files beside the checkout; a user's machine has none."""
    folder = HOUSE.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no ../shared on this machine")
    return folder


@pytest.fixture(scope="session")
def on_jax(house, tmp_path_factory):
    """Runs Python code on JAX with two devices, in a process that finds no TensorFlow, and gives what it prints."""
    if not find_spec("jax"):
        pytest.skip("no JAX on this machine")
    home = tmp_path_factory.mktemp("jax")
    environment = {
        "KERAS_BACKEND": "jax",
        # What is compiled here runs for milliseconds.
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0",
        "JAX_COMPILATION_CACHE_DIR": str(home),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "HOME": str(home),
        "PATH": "",
    }

    def run(code, cwd, path=(), **more):
        command = [sys.executable, "-c", f"import sys; sys.modules['tensorflow'] = None\n{code}"]
        found = environment | {"PYTHONPATH": os.pathsep.join(map(str, [house, *path]))} | more
        done = subprocess.run(command, cwd=cwd, env=found, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def mlflow_store(tmp_path_factory):
    """Gives a folder an MLflow store of its own, and its address: a copy, for to make the tables takes longer than most
    tests."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    logging.getLogger("alembic").setLevel(logging.ERROR)
    empty = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    SqlAlchemyStore(f"sqlite:///{empty}", str(empty.parent)).engine.dispose()

    def make(folder):
        shutil.copy(empty, folder)
        return f"sqlite:///{folder}/mlflow.db"

    return make


@pytest.fixture(scope="session")
def postgresql():
    """A PostgreSQL server with nothing in it."""
    from reference.postgresql import cluster, program

    if not find_spec("psycopg") or not program("initdb"):
        pytest.skip("no PostgreSQL on this machine (initdb, psycopg)")
    with cluster() as found:
        yield found


@pytest.fixture(scope="session")
def mlflow_database(postgresql):
    """The name of a database with MLflow's tables and nothing else, for to make them takes longer than most tests."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    logging.getLogger("alembic").setLevel(logging.ERROR)
    postgresql.execute("CREATE DATABASE mlflow")
    SqlAlchemyStore(postgresql.uri("mlflow"), "mlruns").engine.dispose()
    return "mlflow"


@pytest.fixture
def tracking_uri(request, tmp_path, monkeypatch):
    """An MLflow store of its own, in SQLite or as a test is parametrized (`reference.postgresql.both_stores`), which
    the test and its child processes track to; what has no other place lands in `tmp_path`."""
    import mlflow
    from mlflow.tracking import fluent
    from mlflow.tracking._model_registry import utils as registry
    from mlflow.tracking._tracking_service import utils as service

    with ExitStack() as stack:
        if getattr(request, "param", "sqlite") == "sqlite":
            uri = request.getfixturevalue("mlflow_store")(tmp_path)
        else:
            template = request.getfixturevalue("mlflow_database")
            uri = stack.enter_context(request.getfixturevalue("postgresql").database(template))
        monkeypatch.chdir(tmp_path)
        # What MLflow remembers, and where it says so to child processes; all of it is put back after the test.
        for place, name in ((service, "_tracking_uri"), (registry, "_registry_uri"), (fluent, "_active_experiment_id")):
            monkeypatch.setattr(place, name, None)
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"):
            monkeypatch.setenv(name, "")
            monkeypatch.delenv(name)
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        yield uri


@pytest.fixture(scope="module")
def shared_tracking_uri(tmp_path_factory, mlflow_store):
    """An MLflow store of a module's own, which is in use; its address."""
    import mlflow

    folder = tmp_path_factory.mktemp("tracking")
    uri = mlflow_store(folder)
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("test", artifact_location=str(folder / "artifacts")))
    yield uri
    mlflow.set_tracking_uri(None)


@pytest.fixture
def random():
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def tiny_options():
    from embeddings.options import BiLMOptions

    return BiLMOptions(projection=4, cells=6, layers=2, filters=((1, 3), (2, 4), (3, 2)), character_dim=3, highways=2)


@pytest.fixture(scope="session")
def tiny_bilm_folder(tiny_options, tmp_path_factory):
    """A random biLM of a few units, on disk."""
    import keras

    from embeddings.bilm import BiLM
    from embeddings.published import write_published
    from embeddings.weights import arrays_of

    keras.utils.set_random_seed(5)
    folder = tmp_path_factory.mktemp("bilm")
    write_published(folder, tiny_options, arrays_of(BiLM(tiny_options)), ["<S>", "</S>", "<UNK>", "the"])
    return folder


def write_language_model(folder, options, softmax):
    """A random biLM with a random softmax over nine words."""
    from embeddings.published import write_published
    from embeddings.weights import weight_shapes

    random = np.random.default_rng(6)
    # Larger than fresh weights are, so that each word changes what is expected.
    shapes = dict(weight_shapes(options)) | softmax
    arrays = {key: random.normal(size=shape).astype("f4") for key, shape in shapes.items()}
    write_published(folder, options, arrays, ["<S>", "</S>", "<UNK>", "the", "cat", "sat", "on", "mat", "."])
    return folder


@pytest.fixture(scope="session")
def language_model_folder(tiny_options, tmp_path_factory):
    """A random biLM with a random softmax over nine words, on disk."""
    softmax = {"softmax/W": (9, 4), "softmax/b": (9,)}
    return write_language_model(tmp_path_factory.mktemp("language_model"), tiny_options, softmax)


@pytest.fixture
def adaptive_folder(tiny_options, tmp_path):
    """A random biLM with a random adaptive softmax over nine words, of the cutoffs 4 and 6, on disk."""
    softmax = {"head/W": (6, 4), "head/b": (6,), "tail_0/W_proj": (2, 4), "tail_0/W": (2, 2), "tail_0/b": (2,)}
    softmax |= {"tail_1/W_proj": (1, 4), "tail_1/W": (3, 1), "tail_1/b": (3,)}
    folder = tmp_path / "adaptive"
    folder.mkdir()
    return write_language_model(folder, tiny_options, {f"adaptive_softmax/{k}": x for k, x in softmax.items()})


@pytest.fixture(scope="session")
def model_folders(tiny_bilm_folder, tmp_path_factory):
    """A classifier and a tagger over the tiny biLM, untrained, by task."""
    import keras

    from models.description import Description
    from models.model_folder import save_model
    from models.options import HeadOptions
    from models.training import build_head

    folders = {}
    for task, labels in (("classification", ["cat", "dog", "fish"]), ("tagging", ["O", "B-X", "I-X"])):
        keras.utils.set_random_seed(3)
        options = HeadOptions(encoder="lstm", units=4)
        head = build_head(task, options, len(labels), (3, 8))
        folders[task] = tmp_path_factory.mktemp("models") / task
        description = Description(f"tiny-{task}", task, labels, "spacy", options, {"accuracy": 0.5}, "An example .")
        save_model(folders[task], description, head, tiny_bilm_folder)
    return folders


@pytest.fixture(scope="module")
def served():
    """Serves models, given as `telmo serve` takes them, and gives a client of the application."""
    from fastapi.testclient import TestClient

    from serve.app import build_app
    from serve.options import ServeOptions
    from serve.protocols import FORMS, routers, streamed
    from serve.registry import find_served
    from serve.served_models import ServedModels

    with ExitStack() as stack:

        def serve(*models, **options):
            options = ServeOptions(**options)
            service = ServedModels(find_served([str(model) for model in models], options.shadow), options)
            service.load()
            protocols = {"routers": routers(service, options.max_texts), "forms": FORMS, "streamed": streamed}
            app = build_app(service, options, **protocols, lifespan=service.lifespan)
            return stack.enter_context(TestClient(app, raise_server_exceptions=False))

        yield serve
