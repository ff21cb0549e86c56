"""Train the same head on stored layers and above the same frozen biLM computed on the fly, and compare.

    python benchmarks/stored_layers.py                                  # both demo tasks, a biLM of ELMo's small size
    python benchmarks/stored_layers.py --source demo/bilm --set training.epochs=7

Everything goes through `train_stage`, as `telmo train` does. Printed for each task: the median seconds of an epoch
(learning and validation) either way and their ratio, and the largest differences of losses (as shares of them),
validation scores, layer weights, all weights of the head, and the probabilities of the test texts' labels or tags.
Rounding grows with every step of a training, so that beside them stands what comes of stored layers whose last bit is
another: no two ways to compute in float32 can be expected to be closer than that.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from embeddings.bilm import BiLM
from embeddings.options import BiLMOptions
from embeddings.published import write_published
from embeddings.store import Store
from embeddings.weights import arrays_of
from models.epochs import Epoch
from models.model_folder import load_model
from models.predictor import Predictor
from pipeline.config import TrainConfig, read_config
from pipeline.train import read_split, train_stage

SMALL = BiLMOptions(
    projection=128,
    cells=1024,
    layers=2,
    filters=((1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 512), (7, 1024)),
    character_dim=16,
    highways=1,
)
"""The small one of the published ELMos (13.6 million weights). Its weights are random here: they cost the same time."""

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", help="a biLM in any form; by default a random one of ELMo's small size")
    parser.add_argument("--config", action="append", help="of configs/; by default docs-library and docs-code")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the configs")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        source = args.source or _random_bilm(folder / "bilm")
        for name in args.config or ["docs-library", "docs-code"]:
            changes = [f"embedding.source={source}", "embedding.store=", "tracking.register_model=false"]
            changes += ["data.limit=600", "data.held_out_limit=100", "training.epochs=4", "training.patience=99"]
            # The rate by default; those of the demo are brisk.
            changes += ["training.learning_rate=0.001"]
            compare(name, changes + args.set, folder)


def _random_bilm(folder: Path) -> Path:
    folder.mkdir()
    keras.utils.set_random_seed(1)
    write_published(folder, SMALL, arrays_of(BiLM(SMALL)), ["<S>", "</S>", "<UNK>", "the"])
    return folder


class Result(NamedTuple):
    """What a training gave: its epochs, the weights of the head and the answers for the test texts."""

    epochs: list[Epoch]
    weights: list[np.ndarray]
    answers: list[np.ndarray]


def compare(name: str, changes: list[str], folder: Path) -> None:
    """Train one config either way and print how they differ."""
    stored = train(name, [*changes, f"output={folder}/{name}-stored"])
    computed = train(name, [*changes, f"output={folder}/{name}-computed", "embedding.layers=computed"])
    with _last_bit_changed():
        changed = train(name, [*changes, f"output={folder}/{name}-changed"])
    # The first epoch traces the graph.
    seconds = [statistics.median(epoch.seconds for epoch in found.epochs[1:]) for found in (stored, computed)]
    ratio = seconds[1] / seconds[0]
    print(f"{name}: an epoch {seconds[0]:.2f} s stored, {seconds[1]:.2f} s computed: {ratio:.1f} times")
    for what, other in (("computed", computed), ("last bit", changed)):
        told = ", ".join(f"{kind} {value:.1e}" for kind, value in _differences(stored, other).items())
        print(f"  largest differences, {what}: {told}", flush=True)


def train(name: str, changes: list[str]) -> Result:
    """Train a config of the house."""
    epochs: list[Epoch] = []
    config = read_config(TrainConfig, CONFIGS / f"{name}.yaml", changes)
    folder = train_stage(config, epochs.append).folder
    return Result(epochs, load_model(folder)[1].get_weights(), _answers(Predictor.load(folder), config))


@contextmanager
def _last_bit_changed() -> Iterator[None]:
    """Stores give layers that are by one part in 2^23 larger."""
    read = Store.__getitem__
    Store.__getitem__ = lambda self, k: read(self, k) * np.float32(1 + 2**-23)
    try:
        yield
    finally:
        Store.__getitem__ = read


def _differences(one: Result, other: Result) -> dict[str, float]:
    pairs = list(zip(one.epochs, other.epochs, strict=True))
    return {
        "losses": max(abs(a.loss - b.loss) / a.loss for a, b in pairs),
        "scores": max(abs(a.scores[name] - b.scores[name]) for a, b in pairs for name in a.scores),
        "layer weights": max(_largest(a.layer_weights["input"], b.layer_weights["input"]) for a, b in pairs),
        "weights": max(map(_largest, one.weights, other.weights)),
        "probabilities": max(map(_largest, one.answers, other.answers)),
    }


def _answers(predictor: Predictor, config: TrainConfig) -> list[np.ndarray]:
    """The probabilities of each label of each test text or of its words."""
    sentences = read_split(config, "test").sentences
    if config.task == "tagging":
        answers = predictor.tag(sentences, marginals=True)
        return [np.array([list(word.values()) for word in answer.marginals]) for answer in answers]
    labels = predictor.description.labels
    return [np.array([answer.probabilities[label] for label in labels]) for answer in predictor.predict(sentences)]


def _largest(one, other) -> float:
    return float(np.abs(np.asarray(one) - np.asarray(other)).max())


if __name__ == "__main__":
    main()
