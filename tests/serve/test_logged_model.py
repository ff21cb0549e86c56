"""A registered model as whoever fetches it has it: its own code, weights and requirements, nothing of this house."""

import subprocess
import sys
from pathlib import Path

import keras
import mlflow
import pytest

from embeddings.source import find_source
from models import Predictor
from models.description import Description
from models.model_folder import save_model
from models.options import HeadOptions
from models.training import build_head
from serve.registry import log_model

TEXT = "The cat isn't here."

BARE = """
import sys
sys.modules["tensorflow"] = None
import mlflow
for folder in sys.argv[1:]:
    model = mlflow.pyfunc.load_model(folder)
    print(model.predict(["The cat isn't here."]))
import keras, models
print(keras.config.backend(), models.__file__)
"""


@pytest.fixture(scope="module")
def on_bundled(tmp_path_factory):
    """A classifier over telmo-small-en, untrained."""
    stored = find_source("telmo-small-en")
    keras.utils.set_random_seed(3)
    options, labels = HeadOptions(encoder="lstm", units=4), ["cat", "dog"]
    head = build_head("classification", options, 2, (stored.options.layers + 1, 2 * stored.options.projection))
    folder = tmp_path_factory.mktemp("models") / "on-bundled"
    save_model(folder, Description("on-bundled", "classification", labels, "spacy", options, {}, TEXT), head, stored)
    return folder


@pytest.fixture
def logged_with_jax(shared_tracking_uri, on_bundled, tiny_bilm_folder, monkeypatch):
    """A model and a biLM, fetched."""
    pytest.importorskip("jax")
    monkeypatch.setattr("keras.config.backend", lambda: "jax")
    with mlflow.start_run():
        log_model(on_bundled, TEXT, "on-bundled")
        log_model(tiny_bilm_folder, TEXT, "bilm", tokenizer="spacy")
    places = [f"models:/{name}@champion" for name in ("on-bundled", "bilm")]
    return [Path(mlflow.artifacts.download_artifacts(place)) for place in places]


@pytest.mark.slow
def test_what_was_logged_with_jax_answers_where_only_that_is_installed(logged_with_jax, on_bundled, tmp_path):
    named = [line.partition("==")[0] for line in (logged_with_jax[0] / "requirements.txt").read_text().splitlines()]
    assert "jax" in named and "tensorflow" not in named
    command = [sys.executable, "-c", BARE, *map(str, logged_with_jax)]
    done = subprocess.run(
        command, cwd=tmp_path, env={"HOME": str(tmp_path), "PATH": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (expected,) = Predictor.load(on_bundled).predict([TEXT])
    model, bilm, where = done.stdout.splitlines()
    assert f"'label': '{expected.label}'" in model and bilm.startswith("[[")
    backend, file = where.split()
    assert backend == "jax" and not Path(file).is_relative_to(Path(__file__).parent.parent.parent)


def test_a_small_model_is_small(shared_tracking_uri, model_folders):
    with mlflow.start_run():
        log_model(model_folders["tagging"], TEXT, "small")
    folder = Path(mlflow.artifacts.download_artifacts("models:/small@champion"))
    # What the packages and the model weigh.
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 2_000_000
