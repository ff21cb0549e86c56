import numpy as np
import pytest

from embeddings.samplers import Sampler

# The third and the fourth are as probable as each other.
PROBABILITIES = np.array([0.1, 0.4, 0.2, 0.2, 0.1])
LOGITS = np.log(PROBABILITIES) + 3


def kept(**settings):
    return np.flatnonzero(Sampler(**settings).probabilities(LOGITS)).tolist()


def test_without_settings_the_probabilities_are_the_softmax():
    np.testing.assert_allclose(Sampler().probabilities(LOGITS), PROBABILITIES)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_words_are_drawn_as_often_as_they_are_probable(temperature):
    """Pearson's chi-square: with 4 degrees of freedom less than 18.5 in 999 of 1,000 cases."""
    expected = PROBABILITIES ** (1 / temperature)
    expected *= 20_000 / expected.sum()
    sampler = Sampler(temperature, seed=11)
    drawn = np.bincount([sampler.sample(LOGITS) for _ in range(20_000)], minlength=5)
    assert ((drawn - expected) ** 2 / expected).sum() < 18.5


@pytest.mark.parametrize(("k", "words"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (4, [0, 1, 2, 3]), (9, range(5))])
def test_top_k_keeps_the_most_probable_and_of_ties_the_first(k, words):
    assert kept(top_k=k) == list(words)


@pytest.mark.parametrize(
    ("p", "words"),
    [(0.3, [1]), (0.4, [1]), (0.41, [1, 2]), (0.6, [1, 2]), (0.8, [1, 2, 3]), (0.9, [0, 1, 2, 3]), (1.0, range(5))],
)
def test_top_p_keeps_the_fewest_that_reach_it(p, words):
    assert kept(top_p=p) == list(words)


def test_top_p_counts_what_top_k_and_the_temperature_leave():
    # 0.4 of 0.6 is two thirds.
    assert kept(top_k=2, top_p=0.66) == [1] and kept(top_k=2, top_p=0.67) == [1, 2]
    assert kept(top_p=0.6, temperature=0.5) == [1] * (0.16 / 0.26 >= 0.6)
    found = Sampler(top_k=3, top_p=0.7).probabilities(LOGITS)
    np.testing.assert_allclose(found, [0, 2 / 3, 1 / 3, 0, 0])


def test_temperature_0_takes_the_most_probable_and_of_ties_the_first():
    sampler = Sampler(temperature=0)
    assert {sampler.sample(LOGITS) for _ in range(20)} == {1}
    assert sampler.sample(np.zeros(4)) == 0
    assert sampler.probabilities(LOGITS).tolist() == [0, 1, 0, 0, 0]


def test_a_very_low_temperature_is_no_overflow():
    with np.errstate(all="raise", under="ignore"):
        assert Sampler(temperature=1e-320).sample(LOGITS) == 1
        assert Sampler(temperature=1e-3, top_p=0.9).probabilities(LOGITS)[1] == pytest.approx(1)


def test_words_at_minus_infinity_are_never_drawn():
    logits = np.where(np.arange(5) % 2, LOGITS, -np.inf)
    for settings in ({}, {"top_k": 4}, {"top_p": 0.99}):
        sampler = Sampler(**settings, seed=1)
        assert {sampler.sample(logits) for _ in range(200)} == {1, 3}


def test_the_seed_decides():
    draws = [[sampler.sample(LOGITS) for _ in range(50)] for sampler in (Sampler(seed=s) for s in (1, 1, 2))]
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1}, "temperature -1; expected 0 or more"),
        ({"temperature": float("nan")}, "temperature nan"),
        ({"top_k": 0}, "top_k 0; expected at least 1"),
        ({"top_p": 0}, "top_p 0; expected more than 0 and at most 1"),
        ({"top_p": 1.5}, "top_p 1.5"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Sampler(**settings)
