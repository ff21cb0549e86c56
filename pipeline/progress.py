"""What a person sees of a command that works."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from embeddings.errors import TelmoError
from models.label_scheme import split_tag
from models.predictions import Classification, Prediction, Translation

if TYPE_CHECKING:
    from embeddings.pretraining import Progress as Pretraining
    from models.epochs import Epoch
    from pipeline.embed import Progress as Embedding
    from pipeline.sentence_stream import Sentences
    from pipeline.tune import TrialResult

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)
"""Bars go to standard error, so that standard output holds results only."""


@contextmanager
def _bar(*columns: ProgressColumn) -> Iterator[Progress]:
    """Of a bar that has not moved when an error ends it nothing stays."""
    progress = Progress(*columns, console=errors)
    progress.start()
    try:
        yield progress
    finally:
        if any(task.completed for task in progress.tasks):
            progress.stop()
        else:
            progress.live.transient = True
            progress.live.stop()


@contextmanager
def pretraining_bar() -> Iterator[Callable[["Pretraining"], None]]:
    """A bar with the loss, words a second and the time left."""
    columns = (TextColumn("pretraining"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with _bar(*columns, TimeRemainingColumn()) as progress:
        task = progress.add_task("", total=None)

        def report(now: "Pretraining") -> None:
            description = f"loss {now.loss:.2f}  {now.words_per_second:,.0f} words/s"
            progress.update(task, completed=now.batch, total=now.batches, description=description)

        yield report


def print_notice(line: str) -> None:
    """A line that is no error; above the bar, if there is one."""
    errors.print(line, soft_wrap=True, markup=False)


@contextmanager
def embedding_bar(sentences: "Sentences") -> Iterator[Callable[["Embedding"], None]]:
    """A bar with the words a second of this run and the time left, once the corpus has been counted."""
    columns = (TextColumn("embedding"), BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
    with _bar(*columns, TimeRemainingColumn()) as progress:
        task = progress.add_task("", total=None)
        began = time.perf_counter()
        sizes: list[int] = []

        def count() -> None:
            # What cannot be counted will be told of when it is read.
            with suppress(TelmoError, OSError):
                sizes.extend(sentences.sizes() or [])
                progress.update(task, total=sum(sizes) or None)

        Thread(target=count, name="count", daemon=True).start()

        def report(now: "Embedding") -> None:
            done = sum(sizes[: now.place.file]) + now.place.unit
            progress.update(task, completed=done, description=_words_and_rate(now, began))

        yield report


@contextmanager
def shards_bar() -> Iterator[Callable[["Embedding"], None]]:
    """A bar of shards with the words a second of this run and the time left."""
    columns = (TextColumn("embedding"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with _bar(*columns, TimeRemainingColumn()) as progress:
        task = progress.add_task("", total=None)
        began = time.perf_counter()

        def report(now: "Embedding") -> None:
            done, total = now.shards
            progress.update(task, completed=done, total=total, description=_words_and_rate(now, began))

        yield report


def _words_and_rate(now: "Embedding", began: float) -> str:
    rate = now.work.words / (time.perf_counter() - began)
    return f"{now.counts.words:,} words  {rate:,.0f} words/s"


@contextmanager
def counting_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for a number of equal steps."""
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with _bar(*columns) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def print_epoch(epoch: "Epoch") -> None:
    scores = "  ".join(f"{name} {value:.4f}" for name, value in epoch.scores.items())
    errors.print(f"epoch {epoch.number:3d}  {epoch.seconds:5.1f} s  loss {epoch.loss:.4f}  validation: {scores}")


def print_trial(trial: "TrialResult") -> None:
    value = trial.error if trial.value is None else f"{trial.value:.4f}"
    parameters = "  ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in trial.parameters.items()
    )
    told = f"trial {trial.number:3d}  {trial.seconds:5.1f} s  {trial.state:8}  {value}  {parameters}"
    errors.print(told, soft_wrap=True, markup=False)


def print_scores(title: str, scores: dict[str, float]) -> None:
    console.print(title, soft_wrap=True, markup=False)
    table = Table("metric", "value")
    for name, value in scores.items():
        table.add_row(name, f"{value:.4f}")
    console.print(table)


def print_found(found: dict[str, Any]) -> None:
    """What a source holds, a line each, with the parts of a part below it."""
    width = max(map(len, found))
    for name, value in found.items():
        if value is None or value in ([], {}):
            continue
        lines = [f"{key}  {_text(part)}" for key, part in value.items()] if isinstance(value, dict) else [_text(value)]
        for k, line in enumerate(lines):
            console.print(f"{'' if k else name:{width}}  {line}", soft_wrap=True, markup=False)


def _text(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return " ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def one_line(text: str, prediction: Prediction) -> str:
    """A prediction for a person: label, probability and text, or all likely labels; or the text with the spans in
    brackets; or words with their tags; or the best translation."""
    if isinstance(prediction, Translation):
        return prediction.text
    if isinstance(prediction, Classification) and prediction.labels is not None:
        likely = (f"{label} {prediction.probabilities[label]:.3f}" for label in prediction.labels)
        return f"{', '.join(likely) or '-'}\t{text}"
    if isinstance(prediction, Classification):
        return f"{prediction.label}\t{prediction.probabilities[prediction.label]:.3f}\t{text}"
    if all(tag == "O" or split_tag(tag)[0] != "O" for tag in prediction.tags):
        parts, read = [], 0
        for span in prediction.spans:
            parts += [text[read : span.start], f"[{span.text}]({span.label})"]
            read = span.end
        return "".join(parts) + text[read:]
    return " ".join(f"{token.text}/{tag}" for token, tag in zip(prediction.tokens, prediction.tags, strict=True))
