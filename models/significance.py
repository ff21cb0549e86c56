"""How sure a score is, and whether two models differ: the bootstrap over texts and McNemar's test."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.counts import Counts

LEVEL = 0.95
_WEIGHTS_AT_ONCE = 1 << 23


def resampled_scores(counts: Counts, resamples: int, seed: int) -> dict[str, np.ndarray]:
    """The scores of as many texts, drawn with replacement (Efron and Tibshirani 1993, "An introduction to the
    bootstrap"). The same seed draws the same texts for all counts of as many.

    Returns:
        By name, each `[resamples]`.
    """
    random, texts = np.random.default_rng(seed), counts.rows.shape[0]
    columns = counts.rows.T.tocsr()
    sums = []
    for first in range(0, resamples, step := max(1, _WEIGHTS_AT_ONCE // texts)):
        times = [
            np.bincount(random.integers(texts, size=texts), minlength=texts)
            for _ in range(min(step, resamples - first))
        ]
        sums.append((columns @ np.array(times, np.float64).T).T)
    return counts.scores_of(np.concatenate(sums))


def interval(values: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The ends between which the middle of the resampled values lies, this share of them (the percentile method,
    section 13.3)."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Difference:
    """By how much one score is above another, the interval of that, and how often chance alone would bring about a
    difference as large, in either direction."""

    value: float
    low: float
    high: float
    p: float


def paired_difference(one: Counts, other: Counts, resamples: int, seed: int) -> dict[str, Difference]:
    """Of each score that two models on the same texts both have, by the paired bootstrap (Berg-Kirkpatrick, Burkett and
    Klein 2012, "An empirical investigation of statistical significance in NLP", figure 1), here of two sides.

    Where d is the difference on all texts and d_i that on a draw of them, p is the share of draws with
    |d_i - d| >= |d|; the draw that the data are is counted as one of them, so that p is never 0.
    """
    first, second = one.scores(), other.scores()
    draws, others = resampled_scores(one, resamples, seed), resampled_scores(other, resamples, seed)
    found = {}
    for name in filter(second.__contains__, first):
        d, drawn = first[name] - second[name], draws[name] - others[name]
        # Sums of fractions that should be equal differ in the last digits.
        as_far = np.abs(drawn - d) >= abs(d) - 1e-12
        found[name] = Difference(d, *interval(drawn), float((1 + as_far.sum()) / (1 + resamples)))
    return found


@dataclass(frozen=True)
class McNemar:
    """How many answers only the one model and only the other has right, and the p-value of two sides."""

    only_one: int
    only_other: int
    p: float


def mcnemar(one: Sequence[bool] | np.ndarray, other: Sequence[bool] | np.ndarray) -> McNemar:
    """McNemar's exact test (McNemar 1947): if both models are equally good, an answer that only one of them has right
    is as likely the one's as the other's.

    Args:
        one, other: whether each answer is right.
    """
    from scipy.stats import binomtest

    right, also = np.asarray(one, bool), np.asarray(other, bool)
    only_one, only_other = int((right & ~also).sum()), int((also & ~right).sum())
    p = float(binomtest(only_one, only_one + only_other).pvalue) if only_one + only_other else 1.0
    return McNemar(only_one, only_other, p)
