"""What both heads share: ELMo's mix of layers and an encoder above it."""

import keras

from embeddings.elmo import Elmo
from models.options import HeadOptions

_CELLS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


def _layer(options: HeadOptions, name: str) -> keras.layers.Layer:
    if options.encoder == "dense":
        return keras.layers.Dense(options.units, "relu", name=name)
    return keras.layers.Bidirectional(_CELLS[options.encoder](options.units, return_sequences=True), name=name)


class Encoder(keras.layers.Layer):
    """ELMo vectors, then recurrent or dense layers.

    Args:
        options: of the head.
        shape: `(layers, dim)` of the biLM.

    Call arguments:
        layers: a biLM's layers `[batch, layers, time, dim]`.
        mask: bool `[batch, time]`.

    Returns:
        `[batch, time, width]`.

    Attributes:
        width: `dim` without an encoder, else the units of a layer, of both directions if it has two.
    """

    supports_masking = True

    def __init__(self, options: HeadOptions, shape: tuple[int, int], **kwargs):
        super().__init__(**kwargs)
        layers, self.width = shape
        depth = 0 if options.encoder == "none" else options.depth
        self.elmo = Elmo(options.layer_norm, options.dropout, name="elmo")
        self.stack = [_layer(options, f"layer_{k}") for k in range(depth)]
        self.dropout = keras.layers.Dropout(options.dropout)
        self.elmo.build((None, layers, None, self.width))
        for layer in self.stack:
            layer.build((None, None, self.width))
            self.width = options.units if options.encoder == "dense" else 2 * options.units
        self.built = True

    def call(self, layers, mask=None, training=False):
        vectors = self.elmo(layers, mask=mask, training=training)
        for layer in self.stack:
            masked = {"mask": mask} if isinstance(layer, keras.layers.Bidirectional) else {}
            vectors = self.dropout(layer(vectors, **masked), training=training)
        return vectors

    def compute_mask(self, inputs, mask=None):
        """The caller hands on its mask by itself."""
