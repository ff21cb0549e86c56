"""A linear-chain conditional random field (Lafferty et al. 2001; for tagging Lample et al. 2016, section 2.2)."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from models.label_scheme import Scheme, allowed_transitions

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
        """The forward algorithm: log of the sum of exp(score) over all paths, `[batch]`."""
        # One input of known width, time first: Keras's scan on TensorFlow takes no two inputs of unknown length.
        inputs = ops.concatenate([emissions, ops.cast(mask, emissions.dtype)[..., None]], axis=-1)
        inputs = ops.transpose(inputs, (1, 0, 2))
        transitions = ops.convert_to_tensor(self.transitions)

        def step(alpha, inputs):
            emission, present = inputs[:, :-1], inputs[:, -1:]
            reached = ops.logsumexp(alpha[:, :, None] + transitions, axis=1) + emission
            alpha = ops.where(present > 0, reached, alpha)
            # It also wants an output of the carry's shape.
            return alpha, alpha

        alpha, _ = ops.scan(step, self.begin + emissions[:, 0], inputs[1:])
        return ops.logsumexp(alpha + self.end, axis=-1)

    def decode(self, emissions: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """The best path of each row (Viterbi).

        Args:
            emissions: `[batch, time, tags]`.
            lengths: int `[batch]`, words of each row, at least 1.

        Returns:
            For each row int `[length]`.
        """
        transitions, begin, end = (ops.convert_to_numpy(w) for w in (self.transitions, self.begin, self.end))
        if self.allowed is not None:
            scores = zip(self.allowed, (transitions, begin, end), strict=True)
            transitions, begin, end = (np.where(allowed, w, np.float32(FORBIDDEN)) for allowed, w in scores)
        time = emissions.shape[1]
        best = begin + emissions[:, 0]
        came_from = np.zeros(emissions.shape, np.int32)
        for t in range(1, time):
            scores = best[:, :, None] + transitions
            came_from[:, t] = scores.argmax(axis=1)
            reached = scores.max(axis=1) + emissions[:, t]
            best = np.where((t < lengths)[:, None], reached, best)
        paths = []
        for row, length in enumerate(lengths):
            path = [int((best[row] + end).argmax())]
            for t in range(length - 1, 0, -1):
                path.append(int(came_from[row, t, path[-1]]))
            paths.append(np.array(path[::-1]))
        return paths

    def get_config(self):
        return super().get_config() | {"tags": self.tags, "boundaries": self.boundaries}
