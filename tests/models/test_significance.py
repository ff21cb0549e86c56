"""Intervals and tests against SciPy, brute force over all resamples, and published answers."""

import functools
import itertools

import numpy as np
import pytest
from scipy import stats

from models.counts import counts_of
from models.metrics import score
from models.significance import interval, mcnemar, paired_difference, resampled_scores

LABELS = ["O", "B-X", "I-X"]
GOLD = [["B-X", "O", "B-X"], ["O", "B-X"], ["B-X", "I-X", "B-X"], ["B-X", "O"]]
ONE = [["B-X", "O", "B-X"], ["O", "B-X"], ["B-X", "O", "B-X"], ["B-X", "O"]]
OTHER = [["B-X", "O", "O"], ["O", "B-X"], ["B-X", "I-X", "O"], ["O", "B-X"]]


def f1(predicted, texts):
    return _f1(predicted is ONE, tuple(sorted(texts)))


@functools.cache
def _f1(one, texts):
    """By seqeval; the order of the texts makes no difference."""
    predicted = ONE if one else OTHER
    return score("tagging", [GOLD[k] for k in texts], [predicted[k] for k in texts], LABELS)["f1"]


def test_an_interval_is_that_of_scipys_bootstrap(random):
    right = random.random(80) < 0.8
    counts = counts_of("classification", ["a"] * 80, ["a" if one else "b" for one in right], ["a", "b"])
    found = interval(resampled_scores(counts, 4000, seed=1)["accuracy"])
    known = stats.bootstrap((right,), np.mean, n_resamples=4000, method="percentile", random_state=2)
    assert found == pytest.approx(known.confidence_interval, abs=0.013)


def test_resampled_span_scores_are_those_of_all_resamples():
    every = [f1(ONE, texts) for texts in itertools.product(range(4), repeat=4)]
    drawn = resampled_scores(counts_of("tagging", GOLD, ONE, LABELS), 20_000, seed=1)["f1"]
    assert set(np.round(drawn, 9)) == set(np.round(every, 9))
    assert drawn.mean() == pytest.approx(np.mean(every), abs=0.003)
    assert np.quantile(drawn, [0.1, 0.5]) == pytest.approx(np.quantile(every, [0.1, 0.5]), abs=0.01)


def test_the_paired_bootstrap_has_the_p_value_of_all_resamples():
    """The count of Berg-Kirkpatrick et al. 2012, figure 1, of two sides, over all 4^4 resamples of four texts."""
    d = f1(ONE, range(4)) - f1(OTHER, range(4))
    every = [f1(ONE, texts) - f1(OTHER, texts) for texts in itertools.product(range(4), repeat=4)]
    expected = np.mean([abs(one - d) >= abs(d) - 1e-12 for one in every])
    counts = [counts_of("tagging", GOLD, tags, LABELS) for tags in (ONE, OTHER)]
    found = paired_difference(*counts, resamples=20_000, seed=1)["f1"]
    assert d > 0 and found.value == pytest.approx(d)
    assert 0.01 < expected < 0.99 and found.p == pytest.approx(expected, abs=0.012)
    assert (found.low, found.high) == pytest.approx(np.quantile(every, [0.025, 0.975]), abs=0.03)


def test_a_model_does_not_differ_from_itself_and_turns_its_sign_with_the_order():
    one, other = (counts_of("tagging", GOLD, tags, LABELS) for tags in (ONE, OTHER))
    same = paired_difference(one, one, 200, seed=1)["f1"]
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)
    there, back = paired_difference(one, other, 200, 1)["f1"], paired_difference(other, one, 200, 1)["f1"]
    assert there.value == -back.value and there.p == back.p and there.low == pytest.approx(-back.high)


def test_the_same_seed_draws_the_same_texts():
    counts = counts_of("tagging", GOLD, ONE, LABELS)
    draw = [resampled_scores(counts, 100, seed)["f1"].tolist() for seed in (1, 1, 2)]
    assert draw[0] == draw[1] != draw[2]


def test_mcnemars_exact_test_has_the_published_p_value():
    """The example of Fay's `mcnemar.exact` in the R package exact2x2: the table 21, 9, 2, 12 has p = 0.06543."""
    one = [True] * 21 + [True] * 9 + [False] * 2 + [False] * 12
    other = [True] * 21 + [False] * 9 + [True] * 2 + [False] * 12
    found = mcnemar(one, other)
    assert (found.only_one, found.only_other) == (9, 2)
    assert found.p == pytest.approx(0.06543, abs=5e-6)
    assert mcnemar(one, one).p == 1.0


def test_mcnemars_test_counts_all_ways_of_a_coin():
    """Seven answers that one model alone has right, one that only the other has: brute force over all 2^8 tosses."""
    tosses = [sum(way) for way in itertools.product((0, 1), repeat=8)]
    expected = np.mean([abs(heads - 4) >= 3 for heads in tosses])
    assert mcnemar([True] * 7 + [False], [False] * 7 + [True]).p == pytest.approx(expected)
