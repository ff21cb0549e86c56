import numpy as np
import pytest
from reference.numpy_softmax import adaptive_log_probability, log_softmax

from embeddings.adaptive_softmax import AdaptiveSoftmax, default_cutoffs
from embeddings.softmax import Softmax
from embeddings.stored_softmax import StoredAdaptiveSoftmax, StoredFullSoftmax, softmax_of

V, P, CUTOFFS = 30, 5, (6, 17)


@pytest.fixture
def hidden(random):
    return random.normal(size=(7, P)).astype("f4")


def arrays_of(objective, random):
    return {name: random.normal(size=array.shape).astype("f4") for name, array in objective.arrays().items()}


@pytest.mark.parametrize("objective", [Softmax(V, P), AdaptiveSoftmax(V, P, CUTOFFS, 2.0), AdaptiveSoftmax(V, P, (1,))])
def test_the_distribution_is_that_of_the_objective(objective, hidden, random):
    arrays = arrays_of(objective, random)
    objective.load(arrays)
    softmax = softmax_of(arrays)
    assert softmax.words == V
    log_p = softmax.log_probabilities(hidden)
    np.testing.assert_allclose(np.exp(log_p).sum(axis=-1), 1)
    np.testing.assert_allclose(log_p, objective.log_probabilities(hidden), atol=1e-4)
    np.testing.assert_allclose(log_softmax(softmax.logits(hidden).astype(float)), log_p, atol=1e-5)
    np.testing.assert_allclose(softmax.log_probabilities(hidden[0]), log_p[0], atol=1e-5)


def test_an_adaptive_distribution_is_that_of_its_equation(hidden, random):
    arrays = arrays_of(AdaptiveSoftmax(V, P, CUTOFFS), random)
    softmax = softmax_of(arrays)
    assert isinstance(softmax, StoredAdaptiveSoftmax) and softmax.cutoffs == list(CUTOFFS)
    expected = [[adaptive_log_probability(h, word, arrays, CUTOFFS, V) for word in range(V)] for h in hidden]
    np.testing.assert_allclose(softmax.log_probabilities(hidden), expected, atol=1e-5)


def test_arrays_without_a_softmax_have_none():
    assert softmax_of({"CNN_proj/b_proj": np.zeros(3)}) is None


def test_the_rows_of_a_full_softmax_are_its_own(random):
    arrays = arrays_of(Softmax(V, P), random)
    kernel, bias = softmax_of(arrays).rows(np.array([4, 4, 29]))
    np.testing.assert_array_equal(kernel, arrays["softmax/W"][[4, 4, 29]])
    np.testing.assert_array_equal(bias, arrays["softmax/b"][[4, 4, 29]])


def test_the_rows_of_an_adaptive_softmax_are_exact_to_the_first_order(hidden, random):
    """Of the hidden state: ten times nearer to 0 the error is a hundred times less."""
    adaptive = softmax_of(arrays_of(AdaptiveSoftmax(V, P, CUTOFFS, 2.0), random))
    full = StoredFullSoftmax(*adaptive.rows(np.arange(V)))
    assert full.kernel.dtype == full.bias.dtype == np.float32

    def error(scale):
        return np.abs(full.log_probabilities(scale * hidden) - adaptive.log_probabilities(scale * hidden)).max()

    assert error(0) < 1e-6
    assert error(0.1) / 150 < error(0.01) < error(0.1) / 60
    shuffled = random.permutation(V)
    np.testing.assert_array_equal(adaptive.rows(shuffled)[0], full.kernel[shuffled])


@pytest.mark.parametrize(
    ("vocabulary", "cutoffs"), [(2, (1,)), (3, (1,)), (4, (1, 2)), (10_000, (1000, 5000)), (200_000, (20_000, 100_000))]
)
def test_the_cutoffs_fit_every_vocabulary(vocabulary, cutoffs):
    assert default_cutoffs(vocabulary) == cutoffs
    assert AdaptiveSoftmax(vocabulary, 2).cutoffs == cutoffs
