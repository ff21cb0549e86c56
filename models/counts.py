"""Scores as functions of sums over texts, so that texts can be drawn anew, or left out, without counting again."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array, csr_array, hstack

from models.label_scheme import marks_spans, spans_of_tags, split_tag

Item = tuple[str, Hashable]
"""A part of an answer that is right or wrong by itself: its kind, such as a label, and its place in the text."""

ScoresOf = Callable[[np.ndarray], dict[str, np.ndarray]]
"""From sums `[n, columns]` to scores by name, each `[n]`."""


@dataclass(frozen=True)
class Counts:
    """What each text adds to the sums that scores are made of.

    Args:
        rows: sparse `[texts, columns]`.
        scores_of: from sums to scores.
    """

    rows: csr_array
    scores_of: ScoresOf

    def part(self, positions: Sequence[int]) -> "Counts":
        """Of some of the texts."""
        return replace(self, rows=self.rows[np.asarray(positions, int)])

    def scores(self) -> dict[str, float]:
        """Of all texts."""
        return {name: float(value[0]) for name, value in self.scores_of(self.rows.sum(axis=0)[None]).items()}


def counts_of(task: str, gold: Sequence, predicted: Sequence, labels: Sequence[str]) -> Counts:
    """The counts whose scores are those of `models.metrics.score`, which takes the same arguments."""
    if task == "tagging":
        right = [[g == p for g, p in zip(*pair, strict=True)] for pair in zip(gold, predicted, strict=True)]
    else:
        right = [[_labels(g) == _labels(p)] for g, p in zip(gold, predicted, strict=True)]
    units = csr_array([[sum(row), len(row)] for row in right], dtype=np.float64)
    spans = task == "tagging" and marks_spans(labels)
    kinds = kinds_of(task, labels)
    items = item_rows(items_of(task, gold, spans), items_of(task, predicted, spans), kinds)
    many = task == "classification" and not isinstance(gold[0], str)

    def scores_of(sums: np.ndarray) -> dict[str, np.ndarray]:
        accuracy, (right, found, there) = ratio(sums[:, 0], sums[:, 1]), _by_kind(sums[:, 2:])
        f1 = ratio(2 * right, found + there)
        if spans:
            return {"accuracy": accuracy} | micro_scores(sums[:, 2:])
        if task == "tagging":
            return {"accuracy": accuracy}
        if many:
            return {"accuracy": accuracy, "micro_f1": micro_scores(sums[:, 2:])["f1"], "macro_f1": f1.mean(axis=1)}
        # As scikit-learn has it: over the labels that occur.
        return {"accuracy": accuracy, "macro_f1": ratio(f1.sum(axis=1), (found + there > 0).sum(axis=1))}

    return Counts(hstack([units, items], format="csr"), scores_of)


def f1_by_kind(task: str, gold: Sequence, predicted: Sequence, labels: Sequence[str]) -> Counts:
    """The counts whose scores are the F1 of each label, or of each kind of span."""
    spans = task == "tagging" and marks_spans(labels)
    kinds = kinds_of(task, labels)

    def scores_of(sums: np.ndarray) -> dict[str, np.ndarray]:
        right, found, there = _by_kind(sums)
        return dict(zip(kinds, ratio(2 * right, found + there).T, strict=True))

    return Counts(item_rows(items_of(task, gold, spans), items_of(task, predicted, spans), kinds), scores_of)


def kinds_of(task: str, labels: Sequence[str]) -> list[str]:
    """The labels, or the kinds of spans that tags mark."""
    if task == "tagging" and marks_spans(labels):
        return sorted({split_tag(label)[1] for label in labels if label != "O"})
    return list(labels)


def items_of(task: str, answers: Sequence, spans: bool) -> list[list[Item]]:
    """The parts of each answer: labels, spans with the words where they begin and end, or words with their tags."""
    if spans:
        return [[(label, (first, end)) for label, first, end in spans_of_tags(tags)] for tags in answers]
    if task == "tagging":
        return [[(tag, k) for k, tag in enumerate(tags)] for tags in answers]
    return [[(label, 0) for label in _labels(answer)] for answer in answers]


def item_rows(gold: Sequence[Sequence[Item]], predicted: Sequence[Sequence[Item]], kinds: Sequence[str]) -> csr_array:
    """For each text how many items of each kind are right, were found, and are there: `[texts, 3 * kinds]`."""
    number = {kind: k for k, kind in enumerate(kinds)}
    rows, columns = [], []
    for text, (there, found) in enumerate(zip(map(set, gold), map(set, predicted), strict=True)):
        for part, items in enumerate((there & found, found, there)):
            rows += [text] * len(items)
            columns += [part * len(kinds) + number[kind] for kind, _ in items]
    ones = np.ones(len(rows))
    # Equal places add up.
    return coo_array((ones, (rows, columns)), shape=(len(gold), 3 * len(kinds))).tocsr()


def micro_scores(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of the items of all kinds together, from sums of `item_rows`."""
    right, found, there = (part.sum(axis=1) for part in _by_kind(sums))
    return {
        "precision": ratio(right, found),
        "recall": ratio(right, there),
        "f1": ratio(2 * right, found + there),
    }


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """A share; 0 of nothing."""
    return np.divide(numerator, denominator, out=np.zeros(np.shape(numerator)), where=denominator > 0)


def _by_kind(sums: np.ndarray) -> np.ndarray:
    """`[3, n, kinds]`."""
    return sums.reshape(len(sums), 3, -1).swapaxes(0, 1)


def _labels(answer: str | Sequence[str]) -> set[str]:
    return {answer} if isinstance(answer, str) else set(answer)
