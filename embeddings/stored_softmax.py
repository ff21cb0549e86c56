"""The softmax that a biLM brings, in NumPy: for a word at a time, the calls of a backend would take longer than the
numbers."""

from abc import ABC, abstractmethod

import numpy as np

from embeddings.weights import HEAD, SOFTMAX, Arrays, tail_keys


class StoredSoftmax(ABC):
    """A distribution over the words of a vocabulary.

    Attributes:
        words: how many.
    """

    words: int

    @abstractmethod
    def logits(self, hidden: np.ndarray) -> np.ndarray:
        """Scores `[..., words]` of which the softmax is the distribution; hidden `[..., projection]`."""

    def log_probabilities(self, hidden: np.ndarray) -> np.ndarray:
        """The logarithms `[..., words]` of the distribution, in nats, float64."""
        return log_softmax(self.logits(hidden))

    @abstractmethod
    def rows(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows `[n, projection]` and biases `[n]` that these words, int `[n]`, have in a full softmax, or in the
        nearest to it; float32."""


class StoredFullSoftmax(StoredSoftmax):
    """The softmax over the whole vocabulary.

    Args:
        kernel, bias: `[words, projection]` and `[words]`.
    """

    def __init__(self, kernel: np.ndarray, bias: np.ndarray):
        self.kernel, self.bias = kernel, bias
        self.words = len(bias)

    def logits(self, hidden):
        return hidden @ self.kernel.T + self.bias

    def rows(self, words):
        return self.kernel[words], self.bias[words]


class StoredAdaptiveSoftmax(StoredSoftmax):
    """The adaptive softmax (Grave et al. 2017, section 4.1: P(w) = P(cluster) P(w | cluster)).

    Args:
        arrays: with those of an adaptive softmax, as `weights.checked` gives them.

    Attributes:
        cutoffs: the first word of each cluster.
    """

    def __init__(self, arrays: Arrays):
        self.head = [arrays[key] for key in HEAD]
        self.tails: list[list[np.ndarray]] = []
        while (keys := tail_keys(len(self.tails)))[0] in arrays:
            self.tails.append([arrays[key] for key in keys])
        sizes = [len(self.head[1]) - len(self.tails), *(len(bias) for *_, bias in self.tails)]
        *self.cutoffs, self.words = np.cumsum(sizes).tolist()

    def logits(self, hidden):
        kernel, bias = self.head
        head = log_softmax(hidden @ kernel.T + bias)
        first = self.cutoffs[0]
        parts = [head[..., :first]]
        for k, (projection, kernel, bias) in enumerate(self.tails, start=first):
            parts.append(head[..., k : k + 1] + log_softmax(hidden @ projection.T @ kernel.T + bias))
        return np.concatenate(parts, axis=-1)

    def rows(self, words):
        """A word of a cluster has the logit of the cluster and its own in it, less the logarithm of the cluster's
        normaliser Z. That is no linear function of the hidden state h, but near h = 0 it is log Z(0) + E[w] h, of which
        E[w] is the mean of the cluster's rows by their probabilities at h = 0."""
        first = self.cutoffs[0]
        kernel, bias = (array[np.minimum(words, first)] for array in self.head)
        for k, (low, high) in enumerate(zip(self.cutoffs, [*self.cutoffs[1:], self.words], strict=True)):
            projection, tail, offsets = self.tails[k]
            within = (words >= low) & (words < high)
            log_p = log_softmax(offsets)
            kernel[within] = self.head[0][first + k] + (tail[words[within] - low] - np.exp(log_p) @ tail) @ projection
            bias[within] = self.head[1][first + k] + log_p[words[within] - low]
        return kernel, bias


def softmax_of(arrays: Arrays) -> StoredSoftmax | None:
    """The softmax among a biLM's arrays, or None."""
    if SOFTMAX[0] in arrays:
        return StoredFullSoftmax(*(arrays[key] for key in SOFTMAX))
    return StoredAdaptiveSoftmax(arrays) if HEAD[0] in arrays else None


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis, float64."""
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
