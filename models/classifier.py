"""The many-to-one head: a text gets one label."""

import keras
import numpy as np
from keras import ops

from models.encoder import Encoder
from models.options import HeadOptions


class Classifier(keras.Model):
    """Words encoded, pooled to one vector, and a softmax over the labels.

    Args:
        options: of the layers.
        labels: number of labels.
        shape: `(layers, dim)` of the biLM.

    Call arguments:
        inputs: a dict of `layers` `[batch, layers, time, dim]` and `mask`, bool `[batch, time]` with at least one
            True in a row.

    Returns:
        Logits `[batch, labels]`.
    """

    def __init__(self, options: HeadOptions, labels: int, shape: tuple[int, int], **kwargs):
        super().__init__(**kwargs)
        self.pooling = options.pooling
        # === Layers ===
        self.encoder = Encoder(options, shape, name="encoder")
        self.output_layer = keras.layers.Dense(labels, name="output")
        self.output_layer.build((None, self.encoder.width))
        self.built = True

    def call(self, inputs, training=False):
        vectors = self.encoder(inputs["layers"], mask=inputs["mask"], training=training)
        pooled = _POOLING[self.pooling](vectors, inputs["mask"])
        return self.output_layer(pooled)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return ops.mean(keras.losses.sparse_categorical_crossentropy(y, y_pred, from_logits=True))

    def decode(self, logits: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Probabilities of the labels, `[batch, labels]`."""
        shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return shifted / shifted.sum(axis=-1, keepdims=True)


def _max(vectors, mask):
    return ops.max(ops.where(mask[..., None], vectors, -1e9), axis=1)


def _mean(vectors, mask):
    present = ops.cast(mask, vectors.dtype)[..., None]
    return ops.sum(vectors * present, axis=1) / ops.sum(present, axis=1)


def _last(vectors, mask):
    """The last forward and the first backward state, the two that have read the whole text."""
    last = ops.sum(ops.cast(mask, "int32"), axis=1) - 1
    forward, backward = ops.split(vectors, 2, axis=-1)
    forward = ops.squeeze(ops.take_along_axis(forward, last[:, None, None], axis=1), 1)
    return ops.concatenate([forward, backward[:, 0]], axis=-1)


_POOLING = {"max": _max, "mean": _mean, "last": _last}
