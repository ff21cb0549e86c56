"""How good are heads without pretraining, beside published figures and TF-IDF with logistic regression?

    python benchmarks/quality.py ../shared/data --results results.jsonl # everything: hours on two cores
    python benchmarks/quality.py ../shared/data --task trec --task conll2000 --seeds 1
    python benchmarks/quality.py ../shared/data --task mr --folds 1     # the first of the ten folds only

Every row is `telmo train` with one of configs/ and the changes in TASKS below, on the published splits; validation data
are drawn from the training data where there are none. `mr` and `subj` are cross-validated in ten folds, and a seed's
score is the mean over its folds. The seed is that of the head; TF-IDF depends on it as little as its regression does.
The ensemble is the mean of the two's probabilities. Printed: mean and standard deviation over the seeds.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

CONFIGS = Path(__file__).resolve().parent.parent / "configs"

TAGGER = {
    "head.inputs": [
        {"kind": "words", "dim": 100},
        {"kind": "characters", "dim": 25, "widths": [3, 4], "filters": 50},
    ],
    "head.units": 200,
    "head.dropout": 0.5,
    "head.word_dropout": 0.05,
    "training.epochs": 10,
    "training.patience": 10,
    "training.batch_size": 16,
    "training.learning_rate": 2e-3,
    "training.schedule": "cosine",
    "training.average": 0.999,
}
"""Words and their characters below one bidirectional LSTM and a CRF (Ma and Hovy 2016), with a moving average."""

SPANS = TAGGER | {
    "head.inputs": [
        {"kind": "words", "dim": 100, "lowercase": True},
        {"kind": "characters", "dim": 32, "widths": [3, 4], "filters": 64},
    ],
    "head.input_dropout": 0.3,
    "head.word_dropout": 0.1,
    "head.scheme": "BIOUL",
    "training.epochs": 15,
    "training.patience": 15,
}
"""For chunks and names: their ends marked too, more of the inputs left out, and more epochs for it."""

CONVOLUTIONS = {
    "head.inputs": [
        {"kind": "words", "dim": 300, "lowercase": True},
        {"kind": "characters", "dim": 25, "widths": [3, 4], "filters": 50},
    ],
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
"""The network of Kim 2014 with vectors from random numbers (`CNN-rand`), over characters too, trained by Adam."""

BAG = {
    "head.inputs": [{"kind": "words", "dim": 100, "lowercase": True}],
    "head.encoder": "none",
    "head.pooling": "mean",
    "head.dropout": 0.3,
    "head.word_dropout": 0.3,
    "head.output_dropout": 0.5,
    "training.epochs": 10,
    "training.patience": 10,
    "training.batch_size": 50,
    "training.learning_rate": 2e-3,
    "training.average": 0.99,
}
"""The mean of the words' vectors, some words left out in training (Iyyer et al. 2015)."""


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


# Chosen by the scores below on one or two seeds, so that they flatter a little. Eight epochs of CoNLL-2002 save time.
TASKS = {
    "conll2000": Task("f1", SPANS, "94.13 BiLSTM-CRF from random (Huang et al. 2015)"),
    "conll2002": Task("f1", SPANS | {"training.epochs": 8}, "85.75 with pretrained vectors (Lample et al. 2016)"),
    "wnut17": Task("f1", SPANS, "41.86 (best of the shared task)"),
    "ewt": Task("accuracy", TAGGER, "95.4 (Stanza 1.0)"),
    "trec": Task("accuracy", CONVOLUTIONS, "91.2 CNN-rand (Kim 2014)"),
    "subj": Task("accuracy", BAG, "89.6 CNN-rand (Kim 2014)", folds=10),
    "mr": Task("accuracy", BAG | {"data.split.validation": 0.05}, "76.1 CNN-rand (Kim 2014)", folds=10),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("--task", action="append", choices=TASKS, help="default: all")
    parser.add_argument("--seeds", type=int, default=3, help="how many (default 3)")
    parser.add_argument("--folds", type=int, default=10, help="most folds of cross-validated data (default 10)")
    parser.add_argument("--no-tfidf", action="store_true", help="the head only")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the heads")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="trainings at once (default: a core each)")
    parser.add_argument("--results", type=Path, help="file of what was found before, which is not computed again")
    args = parser.parse_args()
    names = args.task or list(TASKS)
    asked = [question for name in names for question in questions(name, args)]
    found = Results(args.results)
    os.environ |= {"TF_NUM_INTRAOP_THREADS": str(-(-(os.cpu_count() or 1) // args.jobs)), "OMP_NUM_THREADS": "1"}
    with ProcessPoolExecutor(args.jobs, get_context("spawn"), initializer=initialize) as pool:
        missing = [question for question in asked if question not in found]
        waiting = {pool.submit(scores_of, question, args.data): question for question in missing}
        for done in as_completed(waiting):
            found.add(waiting[done], result_of(done, pool))
    for name in names:
        print_row(name, [(question, found[question]) for question in asked if question.task == name])


class Question(NamedTuple):
    """One training of the head and what stands beside it; a fold of 0 is the whole data set."""

    task: str
    seed: int
    fold: int
    changes: tuple[str, ...]
    tfidf: bool


def questions(name: str, args: argparse.Namespace) -> Iterator[Question]:
    changed = tuple([*changes(TASKS[name].head), *args.set])
    for seed in range(1, args.seeds + 1):
        for fold in range(1, min(TASKS[name].folds, args.folds) + 1) or [0]:
            yield Question(name, seed, fold, changed, not args.no_tfidf)


class Results:
    """Scores by question, in a file of JSON lines if there is one."""

    def __init__(self, path: Path | None):
        self.path, self.scores = path, {}
        for line in path.read_text("utf-8").splitlines() if path and path.exists() else []:
            record = json.loads(line)
            asked = Question(*record.pop("question"))
            self.scores[asked._replace(changes=tuple(asked.changes))] = record

    def __contains__(self, question: Question) -> bool:
        return question in self.scores

    def __getitem__(self, question: Question) -> dict:
        return self.scores[question]

    def add(self, question: Question, record: dict) -> None:
        self.scores[question] = record
        told = ", ".join(f"{row} {value:.2f}" for row, value in record["scores"].items())
        where = f" fold {question.fold}" if question.fold else ""
        print(f"  {question.task} seed {question.seed}{where}: {told}; {record['minutes']:.1f} min", flush=True)
        if self.path:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"question": question} | record) + "\n")


def result_of(done: Future, pool: ProcessPoolExecutor) -> dict:
    """What a training gave; where it failed, no other one is begun."""
    if done.exception():
        pool.shutdown(wait=False, cancel_futures=True)
    return done.result()


def initialize() -> None:
    """A tracking store of its own for each process."""
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{tempfile.mkdtemp()}/mlflow.db"


def scores_of(question: Question, data: Path) -> dict:
    """Train head and TF-IDF on one split, and score them and the two together, in percent."""
    from models.ensemble import Ensemble
    from models.metrics import score
    from models.predictor import Predictor
    from pipeline.config import TrainConfig, read_config
    from pipeline.train import read_split, train_stage

    name, seed, fold, changed, tfidf = question
    began, file, metric = time.perf_counter(), CONFIGS / f"{name}.yaml", TASKS[name].metric
    common = {"data.folder": str(data / name), "seed": seed, "tracking.register_model": False}
    common |= {"data.split.fold": fold} if fold else {}
    with tempfile.TemporaryDirectory() as place:
        head = common | {"embedding.source": "none", "output": f"{place}/head"}
        config = read_config(TrainConfig, file, [*changes(head), *changed])
        scores = {"head": 100 * train_stage(config).scores[metric]}
        if tfidf:
            config = read_config(
                TrainConfig, file, list(changes(common | {"embedding.source": "tfidf", "output": f"{place}/tfidf"}))
            )
            scores["TF-IDF"] = 100 * train_stage(config).scores[metric]
        if tfidf and config.task == "classification":
            test = read_split(config, "test")
            both = Ensemble([Predictor.load(f"{place}/{kind}") for kind in ("head", "tfidf")])
            labels = [answer.label for answer in both.predict(test.sentences)]
            scores["ensemble"] = 100 * score(config.task, test.targets, labels, sorted(set(test.targets)))[metric]
    return {"scores": scores, "minutes": (time.perf_counter() - began) / 60}


def print_row(name: str, found: list[tuple[Question, dict]]) -> None:
    rows = []
    for row in found[0][1]["scores"]:
        by_seed: dict[int, list[float]] = {}
        for question, record in found:
            by_seed.setdefault(question.seed, []).append(record["scores"][row])
        rows.append(f"{row} {spread([mean(values) for values in by_seed.values()])}")
    print(f"{name} {TASKS[name].metric}: {'; '.join(rows)}; published {TASKS[name].published}", flush=True)


def changes(values: dict) -> Iterator[str]:
    """As `--set` of the command line has them."""
    return (f"{key}={json.dumps(value)}" for key, value in values.items())


def spread(values: list[float]) -> str:
    return f"{mean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
