import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.crf import CRF

K = 3


@pytest.fixture
def case(random):
    crf = CRF(K)
    crf.set_weights([random.normal(size=w.shape) for w in crf.get_weights()])
    return crf, random.normal(size=(4, 5, K)).astype("f4"), np.array([5, 1, 3, 2])


def path_scores(crf, emissions, length):
    """The score of every path of a row, by its definition."""
    transitions, begin, end = crf.get_weights()
    scores = {}
    for path in itertools.product(range(K), repeat=length):
        score = begin[path[0]] + end[path[-1]] + sum(emissions[t, k] for t, k in enumerate(path))
        scores[path] = score + sum(transitions[a, b] for a, b in itertools.pairwise(path))
    return scores


def test_the_likelihood_is_that_of_all_paths(case, random):
    crf, emissions, lengths = case
    tags = random.integers(0, K, (4, 5))
    mask = np.arange(5) < lengths[:, None]
    got = crf.log_likelihood(emissions, tags, mask)
    for row, length in enumerate(lengths):
        scores = path_scores(crf, emissions[row], length)
        expected = scores[tuple(tags[row, :length])] - np.log(np.sum(np.exp(list(scores.values()))))
        np.testing.assert_allclose(got[row], expected, atol=1e-4)


def test_decoding_finds_the_best_of_all_paths(case):
    crf, emissions, lengths = case
    for row, path in enumerate(crf.decode(emissions, lengths)):
        scores = path_scores(crf, emissions[row], lengths[row])
        assert tuple(path) == max(scores, key=scores.get)


def test_the_gradient_is_the_numerical_one(case, random):
    crf, emissions, lengths = case
    tags, mask = random.integers(0, K, (4, 5)), np.arange(5) < lengths[:, None]

    def total(x):
        return float(keras.ops.sum(crf.log_likelihood(x, tags, mask)))

    x = tf.constant(emissions)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(crf.log_likelihood(x, tags, mask))
    gradient = tape.gradient(loss, x).numpy()
    for place in [(0, 0, 1), (0, 4, 2), (1, 0, 0), (1, 3, 0), (2, 2, 1)]:
        step = np.zeros_like(emissions)
        step[place] = 1e-2
        assert gradient[place] == pytest.approx((total(emissions + step) - total(emissions - step)) / 2e-2, abs=2e-3)


def test_a_single_word_has_no_transition(case):
    crf, emissions, _ = case
    _, begin, end = crf.get_weights()
    got = crf.log_likelihood(emissions[:, :1], np.full((4, 1), 2), np.ones((4, 1), bool))
    scores = emissions[:, 0] + begin + end
    np.testing.assert_allclose(got, scores[:, 2] - np.log(np.exp(scores).sum(axis=1)), atol=1e-5)
