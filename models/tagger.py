"""The many-to-many head: each word of a text gets a tag."""

import keras
import numpy as np
from keras import ops

from models.crf import CRF
from models.encoder import Encoder
from models.options import HeadOptions


class Tagger(keras.Model):
    """Words encoded, scored tag by tag, and a CRF over the whole path.

    Args:
        options: of the layers; `pooling` is not used.
        labels: number of tags.
        shape: `(layers, dim)` of the biLM.

    Call arguments:
        inputs: a dict of `layers` `[batch, layers, time, dim]` and `mask`, bool `[batch, time]` with at least one
            True in a row.

    Returns:
        Emissions `[batch, time, labels]`.
    """

    def __init__(self, options: HeadOptions, labels: int, shape: tuple[int, int], **kwargs):
        super().__init__(**kwargs)
        # === Layers ===
        self.encoder = Encoder(options, shape, name="encoder")
        self.output_layer = keras.layers.Dense(labels, name="output")
        self.crf = CRF(labels, name="crf")
        self.output_layer.build((None, None, self.encoder.width))
        self.built = True

    def call(self, inputs, training=False):
        vectors = self.encoder(inputs["layers"], mask=inputs["mask"], training=training)
        return self.output_layer(vectors)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return -ops.mean(self.crf.log_likelihood(y_pred, y, x["mask"]))

    def decode(self, emissions: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """The best tags of each text, int `[words]`."""
        return self.crf.decode(emissions, lengths)
