"""ELMo: the layers of a biLM, weighted for a task."""

import keras
from keras import ops


class Elmo(keras.layers.Layer):
    """gamma * sum_j s_j h_j with s = softmax(w): the task's own mix of a biLM's layers (Peters et al. 2018, equation
    1).

    Args:
        layer_norm: normalise each layer over the words and units of a text before mixing, as the paper suggests for
            some tasks. AllenNLP normalises over the whole batch, which makes an answer depend on its neighbours.
        dropout: share of the mixed vectors' units that training leaves out.

    Call arguments:
        layers: `[batch, layers, time, dim]`.
        mask: bool `[batch, time]`; needed for `layer_norm` only.

    Returns:
        `[batch, time, dim]`.

    Example:
        >>> Elmo()(keras.ops.ones((2, 3, 7, 32))).shape
        TensorShape([2, 7, 32])
    """

    supports_masking = True

    def __init__(self, layer_norm: bool = False, dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.layer_norm = layer_norm
        self.dropout = keras.layers.Dropout(dropout)

    def build(self, input_shape):
        # The only layer has all the weight, always.
        trainable = input_shape[1] > 1
        self.w = self.add_weight(name="w", shape=(input_shape[1],), initializer="zeros", trainable=trainable)
        self.gamma = self.add_weight(name="gamma", shape=(), initializer="ones")

    def call(self, layers, mask=None, training=False):
        if self.layer_norm:
            layers = _normalise(layers, mask)
        mixed = self.gamma * ops.einsum("l,bltd->btd", self.layer_weights(), layers)
        return self.dropout(mixed, training=training)

    def layer_weights(self):
        """The softmax-normalised weights s, `[layers]`."""
        # Keras warns of the softmax of one number, which is what a source of one layer has.
        return ops.softmax(self.w) if self.w.shape[0] > 1 else ops.ones_like(self.w)

    def compute_mask(self, inputs, mask=None):
        """The caller hands on its mask by itself."""

    def get_config(self):
        return super().get_config() | {"layer_norm": self.layer_norm, "dropout": self.dropout.rate}


def _normalise(layers, mask):
    """Zero mean and unit variance of each layer of each text, over the words that the mask keeps."""
    present = ops.ones_like(layers[:, 0, :, 0]) if mask is None else ops.cast(mask, layers.dtype)
    present = present[:, None, :, None]
    count = ops.sum(present, axis=(2, 3), keepdims=True) * layers.shape[-1]
    mean = ops.sum(layers * present, axis=(2, 3), keepdims=True) / count
    variance = ops.sum(((layers - mean) * present) ** 2, axis=(2, 3), keepdims=True) / count
    return (layers - mean) * ops.rsqrt(variance + 1e-12)
