"""How good are heads without pretraining, beside published figures and TF-IDF with logistic regression?

    python benchmarks/quality.py ../shared/data                         # everything: hours on two cores
    python benchmarks/quality.py ../shared/data --task trec --task conll2000 --seeds 1
    python benchmarks/quality.py ../shared/data --task mr --folds 1     # the first of the ten folds only

Every row is `telmo train` with one of configs/ and the changes in HEADS below, on the published splits; validation data
are a tenth of the training data where there are none. `mr` and `subj` are cross-validated in ten folds, and a seed's
score is the mean over its folds. The seed is that of the head; TF-IDF depends on it as little as its regression does.
The ensemble is the mean of the two's probabilities. Printed: mean and standard deviation over the seeds.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from models.ensemble import Ensemble
from models.metrics import score
from models.predictor import Predictor
from pipeline.config import TrainConfig, read_config
from pipeline.train import read_split, train_stage

CONFIGS = Path(__file__).resolve().parent.parent / "configs"

TAGGER = {
    "head.inputs": [
        {"kind": "words", "dim": 100},
        {"kind": "characters", "dim": 25, "widths": [3, 4], "filters": 50},
    ],
    "head.units": 200,
    "head.dropout": 0.5,
    "head.word_dropout": 0.05,
    "training.epochs": 20,
    "training.patience": 20,
    "training.batch_size": 16,
    "training.learning_rate": 2e-3,
    "training.schedule": "cosine",
    "training.average": 0.999,
}
"""Words and their characters below one bidirectional LSTM and a CRF (Ma and Hovy 2016), with a moving average."""

SPANS = TAGGER | {"head.scheme": "BIOUL"}

CLASSIFIER = {
    "head.inputs": [{"kind": "words", "dim": 300, "lowercase": True}],
    "head.encoder": "cnn",
    "head.units": 100,
    "head.widths": [3, 4, 5],
    "head.dropout": 0.0,
    "head.output_dropout": 0.5,
    "training.epochs": 12,
    "training.patience": 12,
    "training.batch_size": 50,
    "training.learning_rate": 1e-3,
    "training.average": 0.99,
}
"""Kim 2014 with vectors from random numbers (`CNN-rand`), trained by Adam."""


class Task(NamedTuple):
    """A data set.

    Args:
        metric: that is reported, in percent.
        head: what is changed of its config, for a head without pretraining.
        published: figures to stand beside.
        folds: of cross-validation, or 0.
    """

    metric: str
    head: dict
    published: str
    folds: int = 0


TASKS = {
    "conll2000": Task("f1", SPANS, "94.13 BiLSTM-CRF from random (Huang et al. 2015)"),
    "conll2002": Task("f1", SPANS, "85.75 with pretrained vectors (Lample et al. 2016)"),
    "ewt": Task("accuracy", TAGGER, "95.4 (Stanza 1.0)"),
    "trec": Task("accuracy", CLASSIFIER, "91.2 CNN-rand (Kim 2014)"),
    "subj": Task("accuracy", CLASSIFIER, "89.6 CNN-rand (Kim 2014)", folds=10),
    "mr": Task("accuracy", CLASSIFIER, "76.1 CNN-rand (Kim 2014)", folds=10),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("--task", action="append", choices=TASKS, help="default: all")
    parser.add_argument("--seeds", type=int, default=3, help="how many (default 3)")
    parser.add_argument("--folds", type=int, default=10, help="most folds of cross-validated data (default 10)")
    parser.add_argument("--no-tfidf", action="store_true", help="the head only")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the heads")
    args = parser.parse_args()
    for name in args.task or TASKS:
        task, began = TASKS[name], time.perf_counter()
        found: dict[str, list[float]] = {}
        for seed in range(1, args.seeds + 1):
            folds = [fold_scores(name, args, seed, fold) for fold in range(1, min(task.folds, args.folds) + 1) or [0]]
            for row in folds[0]:
                found.setdefault(row, []).append(mean(scores[row] for scores in folds))
        told = "; ".join(f"{row} {spread(values)}" for row, values in found.items())
        minutes = (time.perf_counter() - began) / 60
        print(f"{name} {task.metric}: {told}; published {task.published}; {minutes:.0f} min", flush=True)


def fold_scores(name: str, args: argparse.Namespace, seed: int, fold: int) -> dict[str, float]:
    """Train head and TF-IDF on one split, and score them and the two together, in percent."""
    task = TASKS[name]
    with tempfile.TemporaryDirectory() as place:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{place}/mlflow.db"
        common = {"data.folder": str(args.data / name), "seed": seed, "tracking.register_model": False}
        common |= {"data.split.fold": fold} if fold else {}
        head = common | task.head | {"embedding.source": "none", "output": f"{place}/head"}
        config = read_config(TrainConfig, CONFIGS / f"{name}.yaml", [*changes(head), *args.set])
        scores = {"head": 100 * train_stage(config).scores[task.metric]}
        if not args.no_tfidf:
            baseline = common | {"embedding.source": "tfidf", "output": f"{place}/tfidf"}
            config = read_config(TrainConfig, CONFIGS / f"{name}.yaml", list(changes(baseline)))
            scores["TF-IDF"] = 100 * train_stage(config).scores[task.metric]
            if config.task == "classification":
                test = read_split(config, "test")
                both = Ensemble([Predictor.load(f"{place}/{kind}") for kind in ("head", "tfidf")])
                labels = [answer.label for answer in both.predict(test.sentences)]
                scores["ensemble"] = (
                    100 * score(config.task, test.targets, labels, sorted(set(test.targets)))[task.metric]
                )
    return scores


def changes(values: dict) -> Iterator[str]:
    """As `--set` of the command line has them."""
    return (f"{key}={json.dumps(value)}" for key, value in values.items())


def spread(values: list[float]) -> str:
    return f"{mean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
