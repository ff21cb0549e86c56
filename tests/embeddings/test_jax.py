"""Training on JAX, in a process of its own: Keras has one backend."""

import json
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from embeddings.data_parallel import data_parallel
from embeddings.new_model import new_model
from embeddings.options import BiLMOptions
from embeddings.perplexity import perplexity
from embeddings.pretraining import Pretraining
from embeddings.settings import PretrainingSettings
from embeddings.source import find_source
from embeddings.training_checkpoint import VARIABLES, load_variables, save_checkpoint
from embeddings.vocabulary import Vocabulary

pytestmark = pytest.mark.slow

# Few words of one length: each shape of a window costs a compilation.
SENTENCES = [[f"w{(k * j + k) % 6}" for j in range(1 + k % 9)] for k in range(120)]
VOCABULARY = Vocabulary.build(SENTENCES, 20)
OPTIONS = BiLMOptions(projection=4, cells=6, layers=1, filters=((1, 3), (2, 4)), character_dim=3, highways=1)


def begin(**settings) -> Pretraining:
    chosen = PretrainingSettings(**{"batch_size": 4, "steps": 5, "learning_rate": 2e-2, "dropout": 0.0} | settings)
    return Pretraining(new_model(OPTIONS, VOCABULARY, chosen), VOCABULARY, SENTENCES, 9, chosen)


def save(training: Pretraining, folder: Path) -> None:
    save_checkpoint(
        folder, training.batch, {}, training.variables, lambda place: training.model.write(place, VOCABULARY)
    )


def go_on(checkpoint: Path, batch: int) -> Pretraining:
    training = begin()
    training.model.load(checkpoint)
    load_variables(checkpoint, training.variables)
    for _ in range(batch):
        next(training.windows)
    training.batch = batch
    return training


def train(training: Pretraining, folder: Path) -> list[float]:
    """The losses from here to the ninth batch, with checkpoints after the third and the sixth."""
    losses = []
    for step in training.steps():
        losses.append(step.loss)
        if step.batch in (3, 6):
            save(training, folder)
    return losses


def losses_of_sentences(folder: Path) -> list[float]:
    """Of a training on whole sentences that begins with the weights of a checkpoint."""
    training = begin(backpropagation="sentence", steps=12, objective="full")
    training.model.load(folder / "tensorflow/batch-00000003")
    return [step.loss for step in training.steps()]


def run_on_jax() -> None:
    """What the tests ask of the other process, in their folder."""
    training = go_on(Path("tensorflow/batch-00000003"), 3)
    save(training, Path("jax"))
    found = {"losses": train(training, Path("jax"))}
    for name, devices in (("one", nullcontext()), ("two", data_parallel(4))):
        with devices:
            training = begin(objective="sampled", samples=6, dropout=0.3)
            steps = [[step.loss, step.norms.norm, step.norms.clipped] for step in training.steps()]
            found[name] = {
                "devices": len(training.model.trainable_variables[0].value.sharding.device_set),
                "steps": steps,
                "perplexity": perplexity(training.model, VOCABULARY, SENTENCES, training.settings),
                "carried": np.array(training.variables[0]).tolist(),
            }
    found["sentences"] = losses_of_sentences(Path())
    print(json.dumps(found))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def losses(folder):
    """Of a training on TensorFlow."""
    return train(begin(), folder / "tensorflow")


@pytest.fixture(scope="module")
def found(on_jax, folder, losses):
    here = Path(__file__)
    printed = on_jax(f"from {here.stem} import run_on_jax; run_on_jax()", folder, [here.parent])
    return json.loads(printed.splitlines()[-1])


def arrays_in(checkpoint: Path) -> dict[str, np.ndarray]:
    with np.load(checkpoint / VARIABLES) as file:
        return {**file, **find_source(checkpoint).arrays()}


def expect_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_a_training_goes_on_on_jax(folder, losses, found):
    expect_same(arrays_in(folder / "jax/batch-00000003"), arrays_in(folder / "tensorflow/batch-00000003"))
    np.testing.assert_allclose(found["losses"], losses[3:], rtol=1e-5)


def test_a_training_goes_on_on_tensorflow(folder, losses, found):
    checkpoint = folder / "jax/batch-00000006"
    training = go_on(checkpoint, 6)
    save(training, folder / "back")
    expect_same(arrays_in(folder / "back/batch-00000006"), arrays_in(checkpoint))
    np.testing.assert_allclose([step.loss for step in training.steps()], losses[6:], rtol=1e-5)


def test_padding_for_jax_does_not_change_the_losses_of_sentences(folder, found):
    np.testing.assert_allclose(found["sentences"], losses_of_sentences(folder), rtol=1e-5)


def test_two_devices_train_as_one(found):
    one, two = found["one"], found["two"]
    assert (one["devices"], two["devices"]) == (1, 2)
    for name in ("steps", "perplexity", "carried"):
        np.testing.assert_allclose(two[name], one[name], rtol=1e-4, atol=1e-6, err_msg=name)
