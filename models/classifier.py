"""The many-to-one head: a text gets one label."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from models.encoder import Encoder
from models.options import HeadOptions


class Classifier(keras.Model):
    """Words encoded, pooled to one vector, and a softmax over the labels.

    Args:
        options: of the layers.
        labels: the labels, or their number.
        shape: `(layers, dim)` of the biLM, or None without one.
        rows: of the vocabulary of each feature.

    Call arguments:
        inputs: what `Encoder` takes, with at least one True in a row of `mask`.

    Returns:
        Logits `[batch, labels]`.
    """

    def __init__(
        self,
        options: HeadOptions,
        labels: Sequence[str] | int,
        shape: tuple[int, int] | None,
        rows: dict[str, int] | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.options = options
        # === Layers ===
        self.encoder = Encoder(options, shape, rows, name="encoder")
        self.output_layer = keras.layers.Dense(labels if isinstance(labels, int) else len(labels), name="output")
        self.output_layer.build((None, self.encoder.width))
        self.built = True

    def call(self, inputs, training=False):
        vectors, mask = self.encoder(inputs, training=training), inputs["mask"]
        if self.options.pooling == "last":
            return self.output_layer(_last(vectors, mask, self.options.bidirectional))
        return self.output_layer(_POOLING[self.options.pooling](vectors, mask))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return classification_loss(y, y_pred)

    def decode(self, logits: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Probabilities of the labels, `[batch, labels]`."""
        return probabilities(logits)


def classification_loss(labels, logits):
    """Mean cross-entropy of a batch, in nats."""
    return ops.mean(keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True))


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The softmax over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def max_over_words(vectors, mask):
    return ops.max(ops.where(mask[..., None], vectors, -1e9), axis=1)


def mean_over_words(vectors, mask):
    present = ops.cast(mask, vectors.dtype)[..., None]
    return ops.sum(vectors * present, axis=1) / ops.sum(present, axis=1)


def _last(vectors, mask, bidirectional: bool):
    """The last forward and the first backward state, the ones that have read the whole text."""
    last = ops.sum(ops.cast(mask, "int32"), axis=1) - 1
    forward, *backward = ops.split(vectors, 2, axis=-1) if bidirectional else [vectors]
    forward = ops.squeeze(ops.take_along_axis(forward, last[:, None, None], axis=1), 1)
    return ops.concatenate([forward, *(states[:, 0] for states in backward)], axis=-1)


_POOLING = {"max": max_over_words, "mean": mean_over_words}
