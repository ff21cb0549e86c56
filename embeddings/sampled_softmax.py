"""A softmax that is trained on a sample of the vocabulary."""

import keras
import numpy as np
from keras import ops

from embeddings.rows import take_rows
from embeddings.softmax import Softmax, log_z


class SampledSoftmax(Softmax):
    """The softmax over the whole vocabulary, whose training loss compares a word with a sample of the others (Jean et
    al. 2015, "On using very large target vocabulary for neural machine translation", section 3; Bengio and Senecal
    2008, "Adaptive importance sampling to accelerate training of a neural probabilistic language model").

    One sample serves all words of a call, such as both directions of a biLM. Outside of training the loss is that of
    the full softmax, and where the sample would be the vocabulary it is in training, too.

    Args:
        vocabulary, projection: as for `Objective`; the words must be sorted by their frequency.
        samples: distinct words of a sample.
        seed: of the sampling; that of Keras by default.
    """

    def __init__(self, vocabulary: int, projection: int, samples: int = 8192, seed: int | None = None, **kwargs):
        if samples < 1:
            raise ValueError(f"samples {samples}; expected at least 1")
        super().__init__(vocabulary, projection, **kwargs)
        self.samples = samples
        self.seed = keras.random.SeedGenerator(seed)
        self.prior = log_uniform(vocabulary)

    def call(self, hidden, targets, training=False):
        if not training or self.samples >= self.vocabulary:
            return super().call(hidden, targets, training=training)
        candidates, tries = sample_words(self.prior, self.samples, self.seed)
        ids = ops.concatenate([candidates, ops.cast(targets, "int32")])
        expected = -ops.expm1(-tries * ops.take(ops.convert_to_tensor(self.prior), ids))
        kernel, bias = take_rows(self.kernel, ids), take_rows(self.bias, ids) - ops.log(expected)
        return sampled_softmax_loss(hidden, kernel, bias, candidates, targets)


def log_uniform(vocabulary: int) -> np.ndarray:
    """P(k) = log((k + 2) / (k + 1)) / log(V + 1), close to the frequency of the k-th of V words by Zipf's law; float32
    `[vocabulary]`."""
    return (np.log1p(1 / np.arange(1, vocabulary + 1)) / np.log(vocabulary + 1)).astype(np.float32)


def sample_words(prior, samples: int, seed):
    """Draw words one after the other until `samples` distinct ones have been seen.

    That is a race in which word k arrives after a time that is exponentially distributed with rate P(k): the first to
    arrive are distributed as the first distinct words of a sequence of draws. The time T of the next arrival stands for
    the number of draws, which a sequence would count (`num_tries` of TensorFlow's candidate samplers). A sum over such
    a sample in which word k has the weight 1 / (1 - exp(-P(k) T)) is an unbiased estimate of the sum over all words,
    such as the normaliser of a softmax (Kool et al. 2019, "Stochastic beams and where to find them", on importance
    weighted estimators; Duffield et al. 2007, on priority sampling).

    Args:
        prior: probabilities P `[vocabulary]`.
        samples: words to draw, fewer than there are.
        seed: a `keras.random.SeedGenerator`.

    Returns:
        int32 `[samples]`, in the order of their numbers, and the time T.
    """
    times = -ops.log1p(-keras.random.uniform(prior.shape, seed=seed)) / prior
    values, words = ops.top_k(-times, samples + 1)
    return ops.sort(ops.cast(words[:samples], "int32")), -values[samples]


def sampled_softmax_loss(hidden, kernel, bias, candidates, targets):
    """Negative log-likelihood of each target among the candidates and itself.

    The logits are those of the words less the logarithm of their expected counts in a sample, so that the loss tends
    to that of the full softmax (Jean et al. 2015, equation 9). A candidate that is the target (an "accidental hit")
    stands for it and is not counted twice.

    Args:
        hidden: `[words, projection]`.
        kernel: `[candidates + words, projection]`, rows of the candidates, then of the targets.
        bias: `[candidates + words]`, less the logarithm of the expected counts.
        candidates: int `[candidates]`, distinct and sorted.
        targets: int `[words]`.

    Returns:
        `[words]`, in nats.
    """
    samples, targets = candidates.shape[0], ops.cast(targets, candidates.dtype)
    nearest = ops.minimum(ops.searchsorted(candidates, targets), samples - 1)
    hit = ops.equal(ops.take(candidates, nearest), targets)

    @ops.custom_gradient
    def loss(hidden, rows, offsets, target_logits):
        logits = ops.add(ops.matmul(hidden, ops.transpose(rows)), offsets)
        probabilities = ops.softmax(logits)
        of_samples = log_z(logits, probabilities)
        of_all = ops.where(hit, of_samples, ops.logaddexp(of_samples, target_logits))

        def gradient(*arguments, upstream=None):
            """As for the full softmax, the probabilities scaled by the samples' share of the normaliser."""
            (upstream,) = arguments if upstream is None else (upstream,)
            share = upstream * ops.exp(of_samples - of_all)
            to_hidden = share[:, None] * ops.matmul(probabilities, rows)
            to_rows = ops.matmul(ops.transpose(probabilities), share[:, None] * hidden)
            to_offsets = ops.matmul(share, probabilities)
            to_target = upstream * (ops.where(hit, 0.0, ops.exp(target_logits - of_all)) - 1.0)
            return to_hidden, to_rows, to_offsets, to_target

        return of_all - target_logits, gradient

    target_logits = ops.sum(hidden * kernel[samples:], axis=-1) + bias[samples:]
    return loss(hidden, kernel[:samples], bias[:samples], target_logits)
