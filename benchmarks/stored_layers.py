"""Train the same head on stored layers and above the same frozen biLM computed on the fly, and compare.

    python benchmarks/stored_layers.py                                  # both demo tasks, a biLM of ELMo's small size
    python benchmarks/stored_layers.py --source demo/bilm --set training.epochs=7

Everything goes through `train_stage`, as `telmo train` does. Printed for each task: the median seconds of an epoch
(learning and validation) either way and their ratio, and the largest differences of losses, validation scores, layer
weights, all weights of the head, and the probabilities of the test texts' labels or tags.
"""

import argparse
import os
import statistics
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from embeddings.bilm import BiLM
from embeddings.options import BiLMOptions
from embeddings.published import write_published
from embeddings.weights import arrays_of
from models.model_folder import load_model
from models.predictor import Predictor
from models.training import Epoch
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
            compare(name, changes + args.set, folder)


def _random_bilm(folder: Path) -> Path:
    folder.mkdir()
    keras.utils.set_random_seed(1)
    write_published(folder, SMALL, arrays_of(BiLM(SMALL)), ["<S>", "</S>", "<UNK>", "the"])
    return folder


def compare(name: str, changes: list[str], folder: Path) -> None:
    """Train one config either way and print how they differ."""
    epochs: dict[str, list[Epoch]] = {"stored": [], "computed": []}
    weights, answers = {}, {}
    for layers, found in epochs.items():
        output = folder / f"{name}-{layers}"
        given = [*changes, f"embedding.layers={layers}", f"output={output}"]
        config = read_config(TrainConfig, CONFIGS / f"{name}.yaml", given)
        train_stage(config, found.append)
        weights[layers] = load_model(output)[1].get_weights()
        answers[layers] = _answers(Predictor.load(output), config)
    # The first epoch traces the graph.
    seconds = {layers: statistics.median(epoch.seconds for epoch in found[1:]) for layers, found in epochs.items()}
    ratio = seconds["computed"] / seconds["stored"]
    print(f"{name}: an epoch {seconds['stored']:.2f} s stored, {seconds['computed']:.2f} s computed: {ratio:.1f} times")
    stored, computed = epochs["stored"], epochs["computed"]
    differences = {
        "losses": _largest([epoch.loss for epoch in stored], [epoch.loss for epoch in computed]),
        "scores": _largest(*([list(epoch.scores.values()) for epoch in found] for found in (stored, computed))),
        "layer weights": _largest(*([epoch.layer_weights["input"] for epoch in found] for found in (stored, computed))),
        "weights": max(map(_largest, weights["stored"], weights["computed"])),
        "probabilities": max(map(_largest, answers["stored"], answers["computed"])),
    }
    print("  largest differences: " + ", ".join(f"{what} {value:.1e}" for what, value in differences.items()))


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
