"""A linear-chain conditional random field (Lafferty et al. 2001; for tagging Lample et al. 2016, section 2.2)."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from models.forward_backward import forward_backward, tag_marginals, transition_counts
from models.label_scheme import Scheme, allowed_transitions
from models.viterbi import best_paths, log_partition

FORBIDDEN = -10_000.0
"""Score of a step that constraints forbid: beyond all that is learned, and yet finite, so that a text without a lawful
path still gets the one that breaks the fewest rules."""


class CRF(keras.layers.Layer):
    """Scores whole paths of tags: score(y) = sum_t emission[t, y_t] + sum_t transition[y_t-1, y_t] + begin[y_0] +
    end[y_last].

    Args:
        tags: number of tags K.
        boundaries: whether begin and end are learned; without them they are 0.

    Example:
        >>> crf = CRF(3)
        >>> emissions = keras.ops.zeros((1, 2, 3))
        >>> crf.log_likelihood(emissions, [[0, 2]], [[True, True]])  # log(1 / 9)
        <tf.Tensor: shape=(1,), dtype=float32, numpy=array([-2.1972246], dtype=float32)>
    """

    def __init__(self, tags: int, boundaries: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.tags, self.boundaries = tags, boundaries
        self.transitions = self.add_weight(name="transitions", shape=(tags, tags), initializer="glorot_uniform")
        self.begin, self.end = np.zeros((2, tags), np.float32)
        if boundaries:
            self.begin = self.add_weight(name="begin", shape=(tags,), initializer="zeros")
            self.end = self.add_weight(name="end", shape=(tags,), initializer="zeros")
        self.allowed: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        self.built = True

    def constrain(self, scheme: Scheme, labels: Sequence[str]) -> None:
        """Let `decode` give paths alone that the scheme of the labels allows; the likelihood stays that of all paths.

        Args:
            scheme: in which the labels mark spans.
            labels: the K tags.
        """
        between, begin, end = allowed_transitions(scheme, labels)
        self.allowed = np.array(between), np.array(begin), np.array(end)

    def log_likelihood(self, emissions, tags, mask):
        """log p(tags | emissions).

        Args:
            emissions: `[batch, time, tags]`.
            tags: int `[batch, time]`; any tag where the mask is False.
            mask: bool `[batch, time]`; each row True, then False, with at least one True.

        Returns:
            `[batch]`, in nats.
        """
        return self._score(emissions, tags, mask) - self._log_partition(emissions, mask)

    def _score(self, emissions, tags, mask):
        present = ops.cast(mask, emissions.dtype)
        tags = ops.cast(tags, "int32")
        emitted = ops.squeeze(ops.take_along_axis(emissions, tags[..., None], axis=-1), -1)
        stepped = ops.take(ops.reshape(self.transitions, (-1,)), tags[:, :-1] * self.tags + tags[:, 1:])
        last = ops.sum(ops.cast(mask, "int32"), axis=1, keepdims=True) - 1
        last_tag = ops.squeeze(ops.take_along_axis(tags, last, axis=1), 1)
        return (
            ops.sum(emitted * present, axis=1)
            + ops.sum(stepped * present[:, 1:], axis=1)
            + ops.take(self.begin, tags[:, 0])
            + ops.take(self.end, last_tag)
        )

    def _log_partition(self, emissions, mask):
        """Log of the sum of exp(score) over all paths, `[batch]`.

        Its derivative by any score is how often that score is expected on a path, which the forward-backward algorithm
        gives: so the loop over the words is not differentiated, but the expected score, which is linear in all scores.
        """
        begin, end = ops.convert_to_tensor(self.begin), ops.convert_to_tensor(self.end)
        scores = emissions, ops.convert_to_tensor(self.transitions), begin, end
        fixed = [ops.stop_gradient(x) for x in scores]
        sums = forward_backward(fixed[0], mask, *fixed[1:])
        tags, steps = tag_marginals(sums, fixed[0], mask), transition_counts(sums, mask, fixed[1])
        last = ops.sum(ops.cast(mask, "int32"), axis=1)[:, None, None] - 1
        expected = (tags, steps, tags[:, 0], ops.squeeze(ops.take_along_axis(tags, last, axis=1), 1))
        difference = [
            ops.sum(count * (score - value), axis=tuple(range(1, len(count.shape))))
            for count, score, value in zip(map(ops.stop_gradient, expected), scores, fixed, strict=True)
        ]
        return ops.stop_gradient(sums.partition) + sum(difference)

    def decode(self, emissions: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """The best path of each row.

        Args:
            emissions: `[batch, time, tags]`.
            lengths: int `[batch]`, words of each row, at least 1.

        Returns:
            For each row int `[length]`.
        """
        return [paths[0][0] for paths in best_paths(emissions, lengths, *self._lawful())]

    def best_paths(self, emissions: np.ndarray, lengths: np.ndarray, n: int) -> list[list[tuple[np.ndarray, float]]]:
        """The `n` best paths of each row with the probability of each, the best first.

        Args:
            emissions, lengths: as for `decode`.
            n: paths of each row; fewer where there are fewer.

        Returns:
            For each row the paths, int `[length]`, and p(path); where constraints are set, among the lawful paths.
        """
        scores = self._lawful()
        partition = log_partition(emissions, lengths, *scores)
        found = best_paths(emissions, lengths, *scores, n)
        return [
            # Where few paths are lawful, others have come along.
            [(path, p) for path, score in paths if (p := float(np.exp(score - total))) > 0] or [(paths[0][0], 0.0)]
            for paths, total in zip(found, partition, strict=True)
        ]

    def marginals(self, emissions: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """The probability of each tag of each word over all paths; where constraints are set, over the lawful ones.

        Args:
            emissions, lengths: as for `decode`.

        Returns:
            `[batch, time, tags]`, 0 beyond the end of a row.
        """
        mask = np.arange(emissions.shape[1]) < np.asarray(lengths)[:, None]
        return ops.convert_to_numpy(tag_marginals(forward_backward(emissions, mask, *self._lawful()), emissions, mask))

    def _lawful(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Transitions, begin and end, with what constraints forbid."""
        scores = [ops.convert_to_numpy(w) for w in (self.transitions, self.begin, self.end)]
        if self.allowed is not None:
            scores = [np.where(may, w, np.float32(FORBIDDEN)) for may, w in zip(self.allowed, scores, strict=True)]
        transitions, begin, end = scores
        return transitions, begin, end

    def get_config(self):
        return super().get_config() | {"tags": self.tags, "boundaries": self.boundaries}


def independent_chain(tags: int) -> CRF:
    """A CRF whose tags know nothing of one another, as where a softmax gives the tag of each word."""
    chain = CRF(tags, boundaries=False)
    chain.transitions.assign(np.zeros(chain.transitions.shape))
    return chain
