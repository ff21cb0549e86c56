"""From the vectors of a text's words to one vector."""

import keras
from keras import ops


def max_over_words(vectors, mask):
    return ops.max(ops.where(mask[..., None], vectors, -1e9), axis=1)


def mean_over_words(vectors, mask):
    present = ops.cast(mask, vectors.dtype)[..., None]
    return ops.sum(vectors * present, axis=1) / ops.sum(present, axis=1)


def softmax_over_words(scores, mask):
    """The softmax over the words that are there, 0 for the others; the words are the last axis."""
    scores = ops.where(mask, scores, -1e9)
    powers = ops.where(mask, ops.exp(scores - ops.max(scores, axis=-1, keepdims=True)), 0.0)
    return powers / ops.sum(powers, axis=-1, keepdims=True)


def last_word(vectors, mask, bidirectional: bool):
    """The last forward and the first backward state, the ones that have read the whole text."""
    last = ops.sum(ops.cast(mask, "int32"), axis=1) - 1
    forward, *backward = ops.split(vectors, 2, axis=-1) if bidirectional else [vectors]
    forward = ops.squeeze(ops.take_along_axis(forward, last[:, None, None], axis=1), 1)
    return ops.concatenate([forward, *(states[:, 0] for states in backward)], axis=-1)


class AttentionPooling(keras.layers.Layer):
    """The mean of the words, weighted by how well each fits a learned vector (Yang et al. 2016, "Hierarchical attention
    networks for document classification", equations 5 to 7):

        u_t = tanh(W h_t + b),  s = sum_t softmax_t(u_t . u) h_t

    Call arguments:
        vectors: `[batch, time, dim]`.
        mask: bool `[batch, time]`, with at least one True in a row.

    Returns:
        `[batch, dim]`.
    """

    def build(self, input_shape):
        self.hidden = keras.layers.Dense(input_shape[-1], "tanh", name="hidden")
        self.hidden.build(input_shape)
        self.context = self.add_weight(name="context", shape=(input_shape[-1],), initializer="uniform")

    def call(self, vectors, mask):
        scores = ops.einsum("btd,d->bt", self.hidden(vectors), self.context)
        return ops.einsum("bt,btd->bd", softmax_over_words(scores, mask), vectors)

    def compute_mask(self, vectors, mask=None):
        """The words are gone."""
