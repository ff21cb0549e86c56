import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.crf import CRF
from models.label_scheme import spans_of_tags, tags_of_spans

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


def test_gradients_of_the_scores_are_the_numerical_ones(case, random):
    crf, emissions, lengths = case
    tags, mask = random.integers(0, K, (4, 5)), np.arange(5) < lengths[:, None]
    weights = crf.get_weights()
    with tf.GradientTape() as tape:
        # Texts of unlike weight, so that each has its own share.
        loss = tf.reduce_sum(crf.log_likelihood(emissions, tags, mask) * [1.0, 2.0, 3.0, 4.0])
    for k, gradient in enumerate(tape.gradient(loss, [w.value for w in crf.trainable_variables])):
        for place in np.ndindex(weights[k].shape):
            around = []
            for step in (1e-2, -1e-2):
                moved = [w.copy() for w in weights]
                moved[k][place] += step
                crf.set_weights(moved)
                around.append(float(keras.ops.sum(crf.log_likelihood(emissions, tags, mask) * [1.0, 2.0, 3.0, 4.0])))
            assert gradient.numpy()[place] == pytest.approx((around[0] - around[1]) / 2e-2, abs=1e-2)
            crf.set_weights(weights)


def test_marginals_are_sums_over_all_paths(case):
    crf, emissions, lengths = case
    got = crf.marginals(emissions, lengths)
    for row, length in enumerate(lengths):
        scores = path_scores(crf, emissions[row], length)
        total = np.sum(np.exp(list(scores.values())))
        expected = np.zeros((5, K))
        for path, score in scores.items():
            expected[np.arange(length), path] += np.exp(score) / total
        np.testing.assert_allclose(got[row], expected, atol=1e-5)


@pytest.mark.parametrize("n", [1, 4, 300])
def test_the_best_paths_are_the_best_of_all(case, n):
    crf, emissions, lengths = case
    for row, paths in enumerate(crf.best_paths(emissions, lengths, n)):
        scores = path_scores(crf, emissions[row], lengths[row])
        total = np.sum(np.exp(list(scores.values())))
        ranked = sorted(scores, key=scores.get, reverse=True)[:n]
        assert [tuple(path) for path, _ in paths] == ranked
        np.testing.assert_allclose([p for _, p in paths], [np.exp(scores[path]) / total for path in ranked], rtol=1e-4)


@pytest.mark.parametrize("margin", [10, 25])
def test_probabilities_of_a_long_text_are_exact(random, margin):
    """Against a forward-backward in float64, of a text whose score is too large for the digits of float32."""
    crf, time = CRF(9), 2000
    crf.set_weights([random.normal(size=w.shape) for w in crf.get_weights()])
    transitions, begin, end = (w.astype(np.float64) for w in crf.get_weights())
    emissions = random.normal(size=(1, time, 9)) + margin * np.eye(9)[random.integers(0, 9, time)]
    emissions = emissions.astype("f4")
    before, after = np.empty((2, time, 9))
    before[0], after[-1] = begin + emissions[0, 0], end
    for t in range(1, time):
        before[t] = np.logaddexp.reduce(before[t - 1][:, None] + transitions) + emissions[0, t]
        after[-1 - t] = np.logaddexp.reduce(transitions + emissions[0, -t] + after[-t], axis=1)
    total = np.logaddexp.reduce(before[-1] + end)
    marginals = crf.marginals(emissions, np.array([time]))[0]
    np.testing.assert_allclose(marginals, np.exp(before + after - total), atol=2e-5)
    np.testing.assert_allclose(marginals.sum(axis=1), 1, atol=1e-5)
    ((path, p),) = crf.best_paths(emissions, np.array([time]), 1)[0]
    score = begin[path[0]] + end[path[-1]] + emissions[0, np.arange(time), path].astype(np.float64).sum()
    assert p == pytest.approx(np.exp(score + transitions[path[:-1], path[1:]].sum() - total), rel=1e-6)


def test_unlawful_paths_have_no_probability(random):
    labels = ["O", "B-X", "I-X"]
    crf = CRF(3)
    crf.constrain("BIO", labels)
    emissions, lengths = random.normal(size=(1, 2, 3)).astype("f4"), np.array([2])
    (paths,) = crf.best_paths(emissions, lengths, 9)
    tags = [[labels[k] for k in path] for path, _ in paths]
    assert sorted(tags) == [["B-X", "B-X"], ["B-X", "I-X"], ["B-X", "O"], ["O", "B-X"], ["O", "O"]]
    assert sum(p for _, p in paths) == pytest.approx(1, abs=1e-5)
    marginals = crf.marginals(emissions, lengths)[0]
    assert marginals[0, 2] == 0
    expected = sum(p for one, (_, p) in zip(tags, paths, strict=True) if one[1] == "I-X")
    assert marginals[1, 2] == pytest.approx(expected, abs=1e-5)


def test_a_single_word_has_no_transition(case):
    crf, emissions, _ = case
    _, begin, end = crf.get_weights()
    got = crf.log_likelihood(emissions[:, :1], np.full((4, 1), 2), np.ones((4, 1), bool))
    scores = emissions[:, 0] + begin + end
    np.testing.assert_allclose(got, scores[:, 2] - np.log(np.exp(scores).sum(axis=1)), atol=1e-5)


@pytest.mark.parametrize("scheme", ["BIO", "IOB1", "BIOUL", "BMES"])
def test_constrained_decoding_finds_the_best_of_the_lawful_paths(random, scheme):
    parts = {"BIO": "BI", "IOB1": "IB", "BIOUL": "BILU", "BMES": "BMES"}[scheme]
    labels = ["O"] * (scheme != "BMES") + [f"{part}-X" for part in parts] + [f"{parts[0]}-Y"]
    crf = CRF(len(labels))
    crf.set_weights([random.normal(size=w.shape) for w in crf.get_weights()])
    crf.constrain(scheme, labels)
    transitions, begin, end = crf.get_weights()
    emissions, lengths = random.normal(size=(6, 4, len(labels))).astype("f4") * 2, [4, 3, 2, 1, 4, 4]
    for row, length, path in zip(emissions, lengths, crf.decode(emissions, np.array(lengths)), strict=True):
        scores = {}
        for other in itertools.product(range(len(labels)), repeat=length):
            tags = [labels[k] for k in other]
            if tags != tags_of_spans(spans_of_tags(tags), length, scheme):
                continue
            score = begin[other[0]] + end[other[-1]] + sum(row[t, k] for t, k in enumerate(other))
            scores[other] = score + sum(transitions[a, b] for a, b in itertools.pairwise(other))
        assert tuple(path) == max(scores, key=scores.get)


def test_without_boundaries_a_path_begins_and_ends_for_nothing(case):
    bounded, emissions, lengths = case
    transitions, begin, _ = bounded.get_weights()
    bounded.set_weights([transitions, 0 * begin, 0 * begin])
    crf = CRF(K, boundaries=False)
    crf.set_weights([transitions])
    for one, other in zip(bounded.decode(emissions, lengths), crf.decode(emissions, lengths), strict=True):
        np.testing.assert_array_equal(one, other)
