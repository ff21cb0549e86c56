import dataclasses
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference.numpy_softmax import adaptive_log_probability, log_softmax, sampled_softmax

from embeddings.adaptive_softmax import AdaptiveSoftmax
from embeddings.bilm import BiLM
from embeddings.errors import SourceError
from embeddings.language_model import LanguageModel
from embeddings.rows import take_rows
from embeddings.sampled_softmax import SampledSoftmax, log_uniform, sample_words, sampled_softmax_loss
from embeddings.softmax import Softmax, softmax_loss, softmax_loss_by_block
from embeddings.spelling import Bytes
from embeddings.training_step import training_step, window_losses
from embeddings.vocabulary import Vocabulary
from embeddings.windows import Windows

V, P, N = 30, 5, 40


@pytest.fixture
def case(random):
    """Hidden states, a kernel, a bias and targets, of which each word is one."""
    targets = np.concatenate([np.arange(V), random.integers(0, V, N - V)]).astype("i4")
    arrays = random.normal(size=(N, P)), random.normal(size=(V, P)), random.normal(size=V)
    return *(array.astype("f4") for array in arrays), targets


def objectives():
    yield Softmax(V, P)
    yield SampledSoftmax(V, P, samples=7, seed=1)
    yield AdaptiveSoftmax(V, P, cutoffs=(6, 17), div_value=2.0)


def randomised(objective, random):
    objective.load({name: random.normal(size=x.shape) for name, x in objective.arrays().items()})
    return objective


@pytest.mark.parametrize("objective", objectives(), ids=lambda objective: type(objective).__name__)
def test_outside_of_training_the_loss_is_that_of_the_full_distribution(objective, case, random):
    randomised(objective, random)
    hidden, _, _, targets = case
    log_probabilities = objective.log_probabilities(hidden).numpy()
    np.testing.assert_allclose(np.exp(log_probabilities).sum(axis=-1), 1, rtol=1e-5)
    np.testing.assert_allclose(objective(hidden, targets), -log_probabilities[np.arange(N), targets], atol=1e-4)


def test_the_loss_by_block_is_the_loss(case):
    for block in (1, 7, 15, 30, 100):
        np.testing.assert_allclose(softmax_loss_by_block(*case, block=block), softmax_loss(*case), atol=1e-4)


def test_the_probabilities_of_the_full_softmax(case):
    hidden, kernel, bias, _ = case
    objective = Softmax(V, P)
    objective.load({"softmax/W": kernel, "softmax/b": bias})
    np.testing.assert_allclose(objective.log_probabilities(hidden), log_softmax(hidden @ kernel.T + bias), atol=1e-4)


def test_the_prior_is_log_uniform():
    k = np.arange(1000)
    expected = (np.log(k + 2) - np.log(k + 1)) / np.log(1001)
    np.testing.assert_allclose(log_uniform(1000), expected, rtol=1e-6)
    assert log_uniform(1000).sum() == pytest.approx(1, abs=1e-5)


def test_a_sample_has_distinct_words_and_weighted_ones_count_as_all():
    """The mean of the weight of each word, 0 where it is not in the sample, is 1."""
    prior, seed = log_uniform(50), keras.random.SeedGenerator(3)
    draw = tf.function(lambda: sample_words(prior, 12, seed))
    weights = np.zeros((3000, 50))
    for row in weights:
        words, time = (x.numpy() for x in draw())
        assert len(set(words.tolist())) == 12 and (np.diff(words) > 0).all()
        row[words] = 1 / -np.expm1(-prior[words] * time)
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.3)
    assert weights.mean() == pytest.approx(1, abs=0.02)
    one = tf.function(lambda: sample_words(prior, 1, seed)[0])
    first = [one().numpy()[0] for _ in range(2000)]
    np.testing.assert_allclose(np.bincount(first, minlength=50)[:5] / 2000, prior[:5], atol=0.035)


def test_samples_are_those_of_tensorflows_sampler():
    """The same distribution of sets, drawn otherwise."""
    prior, seed = log_uniform(40), keras.random.SeedGenerator(5)
    draw = tf.function(lambda: sample_words(prior, 10, seed)[0])
    ours = np.mean([np.isin(np.arange(40), draw()) for _ in range(2000)], axis=0)
    labels = tf.zeros((1, 1), tf.int64)
    draws = [
        tf.random.log_uniform_candidate_sampler(labels, 1, 10, True, 40, seed=k).sampled_candidates for k in range(2000)
    ]
    theirs = np.mean([np.isin(np.arange(40), draw) for draw in draws], axis=0)
    np.testing.assert_allclose(ours, theirs, atol=0.05)


def sampled_arguments(kernel, bias, candidates, targets, expected):
    ids = np.concatenate([candidates, targets])
    return kernel[ids], (bias - np.log(expected))[ids], candidates, targets


def test_the_sampled_loss_is_that_of_its_equation(case, random):
    """Among the targets are accidental hits and others."""
    hidden, kernel, bias, targets = case
    expected = random.uniform(0.05, 1, V).astype("f4")
    candidates = np.sort(random.choice(V, 9, replace=False)).astype("i4")
    assert 0 < np.isin(targets, candidates).sum() < N
    got = sampled_softmax_loss(hidden, *sampled_arguments(kernel, bias, candidates, targets, expected))
    np.testing.assert_allclose(got, sampled_softmax(hidden, kernel, bias, targets, candidates, expected), atol=1e-4)


def test_the_sampled_loss_is_tensorflows(case, random):
    hidden, kernel, bias, targets = case
    expected = random.uniform(0.05, 1, V).astype("f4")
    candidates = np.sort(random.choice(V, 9, replace=False)).astype("i4")
    sampled = candidates.astype("i8"), expected[targets][:, None], expected[candidates]
    want = tf.nn.sampled_softmax_loss(kernel, bias, targets[:, None].astype("i8"), hidden, 9, V, sampled_values=sampled)
    got = sampled_softmax_loss(hidden, *sampled_arguments(kernel, bias, candidates, targets, expected))
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_with_all_words_as_candidates_the_loss_is_the_full_one(case):
    hidden, kernel, bias, targets = case
    all_words = np.arange(V, dtype="i4")
    got = sampled_softmax_loss(hidden, *sampled_arguments(kernel, bias, all_words, targets, np.ones(V, "f4")))
    np.testing.assert_allclose(got, softmax_loss(*case), atol=1e-5)
    objective = SampledSoftmax(V, P, samples=V)
    objective.load({"softmax/W": kernel, "softmax/b": bias})
    np.testing.assert_allclose(objective(hidden, targets, training=True), softmax_loss(*case), atol=1e-5)


def test_the_more_samples_the_closer_is_the_sampled_loss_to_the_full_one(random):
    words, width = 2000, 4
    hidden, targets = random.normal(size=(50, width)).astype("f4"), random.integers(0, 500, 50)
    arrays = {"softmax/W": random.normal(size=(words, width)), "softmax/b": -np.log(np.arange(2, words + 2))}
    errors = []
    for samples in (20, 200, 1500):
        objective = SampledSoftmax(words, width, samples, seed=1)
        objective.load(arrays)
        full = objective(hidden, targets).numpy()
        estimates = [objective(hidden, targets, training=True).numpy() for _ in range(40)]
        errors.append(np.abs(np.mean(estimates, axis=0) - full).mean())
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.03


def gradients(function, variables, weights):
    with tf.GradientTape() as tape:
        loss = function(*variables)
        total = tf.reduce_sum(loss * weights)
    return [loss, *map(tf.convert_to_tensor, tape.gradient(total, variables))]


def test_the_gradient_of_the_sampled_loss_is_that_of_automatic_differentiation(case, random):
    hidden, kernel, bias, targets = case
    candidates = np.sort(random.choice(V, 9, replace=False)).astype("i4")
    ids, expected = np.concatenate([candidates, targets]), np.full(V, 0.3, "f4")

    def ours(hidden, kernel, bias):
        rows, offsets = tf.gather(kernel, ids), tf.gather(bias - np.log(expected), ids)
        return sampled_softmax_loss(hidden, rows, offsets, candidates, targets)

    def plain(hidden, kernel, bias):
        logits = hidden @ tf.transpose(kernel) + bias - np.log(expected)
        allowed = np.isin(np.arange(V), candidates) | (targets[:, None] == np.arange(V))
        return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, tf.where(allowed, logits, -1e30))

    variables = [tf.Variable(x) for x in (hidden, kernel, bias)]
    weights = random.normal(size=N).astype("f4")
    for got, want in zip(*(gradients(loss, variables, weights) for loss in (ours, plain)), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-4)


def test_adaptive_probabilities_are_those_of_their_equation(case, random):
    hidden = case[0]
    for cutoffs in ((6, 17), (12,), (1, 2, 29)):
        objective = randomised(AdaptiveSoftmax(V, P, cutoffs, div_value=2.0), random)
        got = objective.log_probabilities(hidden).numpy()
        arrays = objective.arrays()
        want = [[adaptive_log_probability(h, word, arrays, cutoffs, V) for word in range(V)] for h in hidden]
        np.testing.assert_allclose(got, want, atol=1e-4)


def test_the_gradient_of_the_adaptive_loss_is_that_of_its_probabilities(case, random):
    hidden, _, _, targets = case
    objective = randomised(AdaptiveSoftmax(V, P, (6, 17), div_value=2.0), random)
    variables = [tf.Variable(hidden), *(x.value for x in objective.trainable_variables)]
    weights = random.normal(size=N).astype("f4")

    def plain(hidden, *_):
        return -tf.gather(objective.log_probabilities(hidden), targets, batch_dims=1)

    found = gradients(lambda hidden, *_: objective(hidden, targets, training=True), variables, weights)
    for got, want in zip(found, gradients(plain, variables, weights), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-4)


def test_a_cluster_without_words_in_the_batch_is_no_obstacle(case):
    objective = AdaptiveSoftmax(V, P, (6, 17))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(objective(case[0][:3], np.array([0, 1, 2]), training=True))
    assert all(
        np.isfinite(x).all() for x in map(tf.convert_to_tensor, tape.gradient(loss, objective.trainable_weights))
    )


def test_the_gradient_of_rows_has_each_row_once(random):
    matrix = keras.Variable(random.normal(size=(9, 3)))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(take_rows(matrix, np.array([4, 1, 4, 4])) ** 2)
    gradient = tape.gradient(loss, matrix.value)
    assert sorted(gradient.indices.numpy().tolist()) == [1, 4]
    expected = np.zeros((9, 3))
    expected[1], expected[4] = 2 * matrix.numpy()[1], 6 * matrix.numpy()[4]
    np.testing.assert_allclose(tf.convert_to_tensor(gradient), expected, rtol=1e-5)


def test_weights_travel_by_name_and_wrong_ones_are_refused(random):
    for objective in objectives():
        arrays = {name: random.normal(size=x.shape).astype("f4") for name, x in objective.arrays().items()}
        objective.load(arrays)
        for name, array in objective.arrays().items():
            np.testing.assert_array_equal(array, arrays[name])
        with pytest.raises(SourceError, match="has nothing; expected"):
            objective.load({})
    with pytest.raises(SourceError, match=r"here: key 'softmax/b' has the shape \[3\]; expected \[30\]"):
        Softmax(V, P).load({"softmax/W": np.zeros((V, P)), "softmax/b": np.zeros(3)}, "here")


def test_wrong_sizes_are_refused():
    for cutoffs in ((), (0, 5), (5, 5), (5, V)):
        with pytest.raises(ValueError, match="expected ascending numbers between 0 and 30"):
            AdaptiveSoftmax(V, P, cutoffs)
    with pytest.raises(ValueError, match="expected at least 1"):
        SampledSoftmax(V, P, 0)


# A language in which each word tells the next one.
SENTENCES = [[f"w{(k + j) % 12}" for j in range(8)] for k in range(12)] * 30
VOCABULARY = Vocabulary.build(SENTENCES, 20)


@pytest.mark.parametrize(
    "objective",
    [(Softmax, {}), (SampledSoftmax, {"samples": 8}), (AdaptiveSoftmax, {"cutoffs": (6, 10), "div_value": 1.5})],
)
def test_a_language_model_learns_with_each(objective, tiny_options):
    kind, arguments = objective
    options = dataclasses.replace(tiny_options, projection=8, cells=16)
    keras.utils.set_random_seed(1)
    model = LanguageModel(BiLM(options), kind(len(VOCABULARY), 8, **arguments), 4, dropout=0.0)
    step, losses_of = training_step(model, keras.optimizers.Adam(2e-2)), window_losses(model)
    batches = Windows(itertools.cycle(SENTENCES), VOCABULARY, 4, 5, Bytes(50, 3))
    for batch in itertools.islice(batches, 300):
        step(batch)
    losses = [losses_of(batch).mean() for batch in itertools.islice(batches, 10)]
    # 14 would be known from the frequencies of the words alone.
    assert np.exp(np.mean(losses)) < 4
