"""Where a model is good and where it is not: by the length of a text and by how often its words were seen."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from models.counts import Counts, Item, item_rows, items_of, micro_scores, ratio
from models.label_scheme import marks_spans
from models.significance import interval, resampled_scores
from pipeline.answers import Answers

Group = dict[str, Any]
"""`group`, what is in it; `size`, the texts, words or spans; and of the metric its `value`, `low` and `high`."""

_OF_TRAINING = {"unseen": 0, "1 to 5 times": 5, "6 to 100 times": 100, "more than 100 times": float("inf")}
_OF_THESE = {"once": 1, "2 to 5 times": 5, "6 to 100 times": 100, "more than 100 times": float("inf")}
_RARE_WORDS = {"none": 0, "one": 1, "two": 2, "three or more": float("inf")}


def by_length(answers: Answers, resamples: int, seed: int) -> list[Group]:
    """The main metric of texts, or pairs of them, in four groups of about as many, by their words."""
    examples = answers.examples
    seconds = examples.pairs or [()] * len(examples)
    lengths = [len(words) + len(more) for words, more in zip(examples.sentences, seconds, strict=True)]
    ends = np.unique(np.percentile(lengths, (25, 50, 75, 100), method="inverted_cdf")).tolist()
    names, first = {}, min(lengths)
    for end in ends:
        names[f"{first}" if first == end else f"{first} to {end}"] = end
        first = end + 1
    return _by_text(answers, lengths, names, resamples, seed)


def by_frequency(answers: Answers, training: Iterable[Sequence[str]] | None, resamples: int, seed: int) -> list[Group]:
    """The main metric by how often words occur, as they are written, in the training texts, or if these are not at
    hand in the texts themselves. Words with tags fall into groups; spans do by their rarest word; texts by how many of
    their words the training texts lack, or no other place of these texts has.

    Args:
        answers: of the model.
        training: the words of the training texts, or None.
        resamples, seed: for the intervals.
    """
    sentences = answers.examples.sentences
    times = Counter(word for words in (sentences if training is None else training) for word in words)
    bounds = _OF_THESE if training is None else _OF_TRAINING
    if answers.task == "tagging":
        return _by_item(answers, times, bounds, resamples, seed)
    rare = [sum(times[word] <= next(iter(bounds.values())) for word in words) for words in sentences]
    return _by_text(answers, rare, _RARE_WORDS, resamples, seed)


def _group_of(value: float, bounds: dict[str, float]) -> str:
    return next(name for name, most in bounds.items() if value <= most)


def _by_text(answers: Answers, values: Sequence[int], bounds: dict[str, float], resamples: int, seed: int) -> list:
    groups: dict[str, list[int]] = {name: [] for name in bounds}
    for position, value in enumerate(values):
        groups[_group_of(value, bounds)].append(position)
    found = []
    for name, positions in groups.items():
        if positions:
            part = answers.counts.part(positions)
            drawn = resampled_scores(part, resamples, seed)[answers.main]
            found.append(_group(name, len(positions), part.scores()[answers.main], drawn))
    return found


def _by_item(answers: Answers, times: Counter, bounds: dict[str, float], resamples: int, seed: int) -> list[Group]:
    spans = marks_spans(answers.labels)

    def grouped(items: Sequence[Sequence[Item]]) -> list[list[Item]]:
        return [
            [(_group_of(_rarest(times, words, place, spans), bounds), (kind, place)) for kind, place in of]
            for words, of in zip(answers.examples.sentences, items, strict=True)
        ]

    rows = item_rows(
        grouped(items_of("tagging", answers.gold, spans)),
        grouped(items_of("tagging", answers.predicted, spans)),
        list(bounds),
    )
    found = []
    for k, name in enumerate(bounds):
        counts = Counts(rows[:, [k, len(bounds) + k, 2 * len(bounds) + k]], _f1 if spans else _accuracy)
        if size := int(rows[:, [2 * len(bounds) + k]].sum()):
            drawn = resampled_scores(counts, resamples, seed)["value"]
            found.append(_group(name, size, counts.scores()["value"], drawn))
    return found


def _rarest(times: Counter, words: Sequence[str], place: Any, spans: bool) -> int:
    first, end = place if spans else (place, place + 1)
    return min(times[word] for word in words[first:end])


def _f1(sums: np.ndarray) -> dict[str, np.ndarray]:
    return {"value": micro_scores(sums)["f1"]}


def _accuracy(sums: np.ndarray) -> dict[str, np.ndarray]:
    return {"value": ratio(sums[:, 0], sums[:, 2])}


def _group(name: str, size: int, value: float, drawn: np.ndarray) -> Group:
    low, high = interval(drawn)
    return {"group": name, "size": size, "value": value, "low": low, "high": high}
