"""A softmax that spends less on rare words."""

from collections.abc import Sequence
from itertools import pairwise

import keras
from keras import ops

from embeddings.softmax import Objective, softmax_loss
from embeddings.weights import HEAD, tail_keys


class AdaptiveSoftmax(Objective):
    """The adaptive softmax (Grave et al. 2017, "Efficient softmax approximation for GPUs", section 4).

    The head is a softmax over the frequent words and one entry for each cluster of rarer ones; the probability of a
    word of cluster k is that of the cluster times that of the word in it, for which the hidden state is projected to a
    width of p / div_value^(k+1). It is a distribution of its own, not an estimate of the full softmax, and so are the
    weights.

    Args:
        vocabulary, projection: as for `Objective`; the words must be sorted by their frequency.
        cutoffs: the first word of each cluster, ascending; by default those of `default_cutoffs`.
        div_value: by how much each cluster is narrower than the one before.

    Raises:
        ValueError: the cutoffs do not fit the vocabulary, or an argument is out of its range.
    """

    def __init__(
        self,
        vocabulary: int,
        projection: int,
        cutoffs: Sequence[int] | None = None,
        div_value: float = 4.0,
        **kwargs,
    ):
        cutoffs = default_cutoffs(vocabulary) if cutoffs is None else cutoffs
        bounds = [*cutoffs, vocabulary]
        if not cutoffs or any(not 0 < low < high for low, high in pairwise(bounds)):
            raise ValueError(f"cutoffs {list(cutoffs)}; expected ascending numbers between 0 and {vocabulary}")
        if div_value < 1:
            raise ValueError(f"div_value {div_value}; expected at least 1")
        super().__init__(vocabulary, projection, **kwargs)
        self.cutoffs, self.div_value = tuple(cutoffs), div_value
        self.clusters = list(pairwise(bounds))
        head = cutoffs[0] + len(self.clusters)
        self.head = self._matrix("head", head, projection), self._vector("head_bias", head)
        self.tails = []
        for k, (low, high) in enumerate(self.clusters):
            width = max(1, int(projection / div_value ** (k + 1)))
            self.tails.append(
                (
                    self._matrix(f"tail_{k}_projection", width, projection),
                    self._matrix(f"tail_{k}", high - low, width),
                    self._vector(f"tail_{k}_bias", high - low),
                )
            )
        self.built = True

    def call(self, hidden, targets, training=False):
        entries = targets
        for k, (low, high) in enumerate(self.clusters):
            entries = ops.where((targets >= low) & (targets < high), self.cutoffs[0] + k, entries)
        loss = softmax_loss(hidden, *self.head, entries)
        for k in range(len(self.clusters)):
            loss += self._tail_loss(k, hidden, targets)
        return loss

    def _tail_loss(self, k: int, hidden, targets):
        """The loss of words within their cluster, 0 for those of others; `[n]`."""
        low, high = self.clusters[k]
        projection, kernel, bias = self.tails[k]
        within = (targets >= low) & (targets < high)
        places = ops.where(within, targets - low, 0)
        if keras.backend.backend() == "tensorflow":
            (rows,) = ops.nonzero(within)
            # A first row that does not count, since there may be no others.
            rows = ops.concatenate([ops.zeros((1,), rows.dtype), rows])
            projected = ops.matmul(ops.take(hidden, rows, axis=0), ops.transpose(projection))
            loss = softmax_loss(projected, kernel, bias, ops.take(places, rows))
            return ops.scatter(rows[1:, None], loss[1:], ops.shape(targets))
        # The number of words of a cluster is no fixed shape, which JAX's compiler needs.
        projected = ops.matmul(hidden, ops.transpose(projection))
        return ops.where(within, softmax_loss(projected, kernel, bias, places), 0.0)

    def log_probabilities(self, hidden):
        head = ops.log_softmax(ops.matmul(hidden, ops.transpose(self.head[0])) + self.head[1])
        first = self.cutoffs[0]
        parts = [head[:, :first]]
        for k, (projection, kernel, bias) in enumerate(self.tails):
            projected = ops.matmul(hidden, ops.transpose(projection))
            logits = ops.matmul(projected, ops.transpose(kernel)) + bias
            parts.append(head[:, first + k : first + k + 1] + ops.log_softmax(logits))
        return ops.concatenate(parts, axis=-1)

    def variables_by_name(self):
        named = dict(zip(HEAD, self.head, strict=True))
        for k, tail in enumerate(self.tails):
            named |= zip(tail_keys(k), tail, strict=True)
        return named


def default_cutoffs(vocabulary: int) -> tuple[int, ...]:
    """A head of a tenth of the words, a cluster up to the half and one of the others. By Zipf's law the head has four
    fifths of a text's words where there are 200,000 in the vocabulary, and three quarters where there are 10,000."""
    return tuple(sorted({max(1, vocabulary // 10), max(1, vocabulary // 2)}))
