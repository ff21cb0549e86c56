"""What does a pretrained biLM give a task, beside no pretraining, a random biLM and TF-IDF?

    python benchmarks/transfer.py ../shared/data --results transfer.jsonl          # all of it: days on two cores
    python benchmarks/transfer.py ../shared/data --task trec --task ewt --row nothing --row frozen --seeds 1
    python benchmarks/transfer.py ../shared/data --share 0.01 0.03 0.1 0.3 1 --plot efficiency.png --results few.jsonl

Every score is that of `telmo train` with one of configs/ and the changes below, on the published splits; validation
data are drawn from the training data where there are none. `mr` and `subj` are cross-validated, and a seed's score is
the mean over its folds. The rows:

    nothing     words and, but for mr and subj, their characters, from random numbers (benchmarks/quality.py)
    tfidf       TF-IDF with logistic regression
    random      the frozen layers of a biLM of the same sizes that has learned nothing, beside words and characters
    frozen      the frozen layers of `--source`, likewise
    adapted     the same after five more epochs of language modelling on the task's own training text, without labels
    fine-tuned  the biLM trained with the head, after the head alone has been

The heads of `mr` and `subj` are convolutions above a biLM and the mean of the words without one: each the better there.
With --share only so much of the training data has labels, and all of the validation data, which choose the epoch; the
same sentences for every row and seed, and more epochs of them, by the root of what they are fewer. Printed: mean and
standard deviation over the seeds, of each row, and with how many of the labels `frozen` does what `nothing` does with
all.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from hashlib import sha256
from itertools import pairwise
from math import exp, log
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from adaptation import ADAPTATION, further_training
from quality import CONFIGS, CONVOLUTIONS, TASKS, changes, initialize, result_of, spread

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ELMO = {"kind": "elmo"}
ROWS = ("nothing", "tfidf", "random", "frozen", "adapted", "fine-tuned")
ABOVE_A_BILM = ("random", "frozen", "adapted", "fine-tuned")


def beside_elmo(head: dict) -> dict:
    """The same head, which sees the layers of a biLM too."""
    return head | {"head.inputs": [ELMO, *head["head.inputs"]]}


EIGHT = beside_elmo(CONVOLUTIONS | {"training.epochs": 8})
HEADS = {name: beside_elmo(task.head) for name, task in TASKS.items()} | {
    "mr": EIGHT | {"data.split.validation": 0.05},
    "subj": EIGHT,
}
"""What is changed of each task's config for a head above a biLM: that of benchmarks/quality.py, or where the mean of a
text's words serves the better without a biLM, convolutions."""

FINE_TUNED = {"training.fine_tune": True, "training.unfreezing": "gradual", "embedding.layers": "computed"}


class Question(NamedTuple):
    """One training. A fold of 0 is the whole data set; `settings` is the `fingerprint` of how it is done."""

    task: str
    row: str
    share: float
    seed: int
    fold: int
    source: str
    settings: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("--task", action="append", choices=TASKS, help="default: all")
    parser.add_argument("--row", action="append", choices=ROWS, help="default: all")
    parser.add_argument("--share", type=float, nargs="+", default=[1.0], help="of the training data (default 1)")
    parser.add_argument("--source", default="telmo-small-en", help="the biLM (default telmo-small-en)")
    parser.add_argument("--seeds", type=int, default=3, help="how many (default 3)")
    parser.add_argument("--folds", type=int, default=10, help="most folds of cross-validated data (default 10)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="trainings at once (default: a core each)")
    parser.add_argument("--results", type=Path, help="file of what was found before, which is not computed again")
    parser.add_argument("--plot", type=Path, help="draw the scores by the share of labels")
    args = parser.parse_args()
    asked = [question for name in args.task or TASKS for question in questions(name, args)]
    found = read_results(args.results)
    # A core each.
    os.environ |= {"TF_NUM_INTRAOP_THREADS": str(-(-(os.cpu_count() or 1) // args.jobs)), "OMP_NUM_THREADS": "1"}
    with ProcessPoolExecutor(args.jobs, get_context("spawn"), initializer=initialize) as pool:
        waiting = {pool.submit(answer_to, question, args.data): question for question in asked if question not in found}
        for done in as_completed(waiting):
            question, answer = waiting[done], result_of(done, pool)
            found[question] = answer["score"]
            print(
                f"  {' '.join(map(str, question[:-1]))}: {answer['score']:.2f}; {answer['minutes']:.1f} min", flush=True
            )
            if args.results:
                with args.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"question": question} | answer) + "\n")
    for name in args.task or TASKS:
        print_task(name, {question: found[question] for question in asked if question.task == name})
    if args.plot:
        draw(args.plot, {question: found[question] for question in asked})


def questions(name: str, args: argparse.Namespace) -> Iterator[Question]:
    for share in args.share:
        for row in args.row or ROWS:
            for seed in range(1, args.seeds + 1):
                for fold in range(1, min(TASKS[name].folds, args.folds) + 1) or [0]:
                    source = args.source if row in ABOVE_A_BILM else ""
                    yield Question(name, row, share, seed, fold, source, fingerprint(name, row, share, source))


@cache
def fingerprint(task: str, row: str, share: float, source: str) -> str:
    """Of the config, what is changed of it, and the biLM: a score of others does not stand for this one."""
    from embeddings.source import find_source

    told = [(CONFIGS / f"{task}.yaml").read_text("utf-8"), changes_of(task, row, share)]
    told += [find_source(source).checksum()] if source else []
    told += [ADAPTATION] if row == "adapted" else []
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def changes_of(task: str, row: str, share: float) -> dict:
    """What a row changes of a task's config; with fewer labels there are more epochs."""
    if row in ABOVE_A_BILM:
        head = HEADS[task] | ({"embedding.weights": "random"} if row == "random" else {})
        head |= FINE_TUNED if row == "fine-tuned" else {}
    else:
        head = TASKS[task].head | {"embedding.source": "tfidf" if row == "tfidf" else "none"}
    if share < 1:
        epochs = round(head["training.epochs"] * share**-0.5)
        head |= {"training.epochs": epochs, "training.patience": epochs}
    return head


def read_results(path: Path | None) -> dict[Question, float]:
    lines = path.read_text("utf-8").splitlines() if path and path.exists() else []
    return {Question(*record["question"]): record["score"] for record in map(json.loads, lines)}


def answer_to(question: Question, data: Path) -> dict:
    """Train and score one, in percent; with what the layers of a frozen biLM count, and the minutes that it took."""
    from models.predictor import Predictor
    from pipeline.config import TrainConfig, read_config
    from pipeline.train import read_split, train_stage

    began, task, file = time.perf_counter(), TASKS[question.task], CONFIGS / f"{question.task}.yaml"
    with tempfile.TemporaryDirectory() as place:
        asked = {"data.folder": str(data / question.task), "seed": question.seed, "output": f"{place}/model"}
        asked |= {"tracking.register_model": False, "tracking.enabled": False}
        asked |= {"data.split.fold": question.fold} if question.fold else {}
        asked |= {"embedding.source": question.source} | changes_of(question.task, question.row, question.share)
        texts = read_split(read_config(TrainConfig, file, list(changes(asked))), "train").sentences
        if question.row == "adapted":
            asked["embedding.source"] = str(adapt(question.source, texts, Path(place)))
        if question.share < 1:
            asked["data.limit"] = max(1, round(question.share * len(texts)))
        config = read_config(TrainConfig, file, list(changes(asked)))
        trained = train_stage(config)
        return {
            "score": 100 * trained.scores[task.metric],
            "layer_weights": Predictor.load(config.output).layer_weights() if question.row == "frozen" else None,
            "minutes": (time.perf_counter() - began) / 60,
        }


def adapt(source: str, texts: list[list[str]], place: Path) -> Path:
    """Go on with the language model on the texts; one in twenty is held out for its perplexity."""
    from pipeline.pretrain import pretrain_stage

    for name, part in (("validation", texts[::20]), ("train", [text for k, text in enumerate(texts) if k % 20])):
        (place / f"{name}.txt").write_text("".join(" ".join(text) + "\n" for text in part), "utf-8")
    config = further_training(source, str(place / "train.txt"), str(place / "validation.txt"), place / "adapted")
    pretrain_stage(config)
    return config.output


def print_task(name: str, scores: dict[Question, float]) -> None:
    for share in sorted({question.share for question in scores}):
        rows = [f"{row} {spread(values)}" for row, values in by_row(scores, share).items()]
        print(f"{name} {TASKS[name].metric}, {share:.0%} of the training labels: {'; '.join(rows)}", flush=True)
    if factor := fewer_labels(scores):
        print(f"{name}: with {factor[0]:.1%} of them frozen does what nothing does with all ({factor[1]:.2f})")


def by_row(scores: dict[Question, float], share: float) -> dict[str, list[float]]:
    """Of each row the score of each seed, the mean over its folds."""
    found: dict[str, dict[int, list[float]]] = {}
    for question, score in scores.items():
        if question.share == share:
            found.setdefault(question.row, {}).setdefault(question.seed, []).append(score)
    return {row: [mean(folds) for folds in seeds.values()] for row, seeds in found.items()}


def fewer_labels(scores: dict[Question, float]) -> tuple[float, float] | None:
    """The least share of the labels with which `frozen` is as good as `nothing` with all, and how good that is; between
    two shares the score is taken to grow with their logarithm. None where it was not measured or is never as good."""
    shares = sorted({question.share for question in scores})
    frozen = [(share, mean(rows["frozen"])) for share in shares if "frozen" in (rows := by_row(scores, share))]
    if len(frozen) < 2 or "nothing" not in (all_labels := by_row(scores, 1.0)):
        return None
    wanted = mean(all_labels["nothing"])
    if frozen[0][1] >= wanted:
        return frozen[0][0], wanted
    for (less, low), (more, high) in pairwise(frozen):
        if low < wanted <= high:
            return exp(log(less) + (wanted - low) / (high - low) * (log(more) - log(less))), wanted
    return None


def draw(path: Path, scores: dict[Question, float]) -> None:
    """Score by share of labels, a panel for each task (Peters et al. 2018, figure 1)."""
    from matplotlib.figure import Figure

    tasks = list(dict.fromkeys(question.task for question in scores))
    figure = Figure(figsize=(3.6 * len(tasks), 3.4), layout="constrained")
    for axes, task in zip(figure.subplots(1, len(tasks), squeeze=False)[0], tasks, strict=True):
        of_task = {question: score for question, score in scores.items() if question.task == task}
        shares = sorted({question.share for question in of_task})
        for row in dict.fromkeys(question.row for question in of_task):
            means = [mean(by_row(of_task, share)[row]) for share in shares]
            axes.plot([100 * share for share in shares], means, marker="o", label=row)
        axes.set(xscale="log", title=task, xlabel="% of the labels", ylabel=TASKS[task].metric)
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
