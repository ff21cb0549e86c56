"""The many-to-many head: each word of a text gets a tag."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from models.crf import CRF, independent_chain
from models.encoder import Encoder
from models.options import HeadOptions


class Tagger(keras.Model):
    """Words encoded, scored tag by tag, and a CRF over the whole path or the best tag of each word.

    Args:
        options: of the layers; `pooling` is not used.
        labels: the tags, or their number where no constraints ask for their names.
        shape: `(layers, dim)` of the biLM, or None without one.
        rows: of the vocabulary of each feature.

    Call arguments:
        inputs: what `Encoder` takes, with at least one True in a row of `mask`.

    Returns:
        Emissions `[batch, time, labels]`.
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
        count = labels if isinstance(labels, int) else len(labels)
        self.output_layer = keras.layers.Dense(count, name="output")
        self.crf = None
        if options.decoder == "crf":
            self.crf = CRF(count, options.boundaries, name="crf")
            if options.constraints:
                self.crf.constrain(options.constraints, labels)  # type: ignore[arg-type]
        self.output_layer.build((None, None, self.encoder.width))
        self.built = True

    def call(self, inputs, training=False):
        return self.output_layer(self.encoder(inputs, training=training))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if self.crf is not None:
            return -ops.mean(self.crf.log_likelihood(y_pred, y, x["mask"]))
        losses = keras.losses.sparse_categorical_crossentropy(y, y_pred, from_logits=True)
        return ops.mean(ops.sum(ops.where(x["mask"], losses, 0.0), axis=1))

    def decode(self, emissions: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """The best tags of each text, int `[words]`."""
        if self.crf is not None:
            return self.crf.decode(emissions, lengths)
        return [row[:length].argmax(axis=-1) for row, length in zip(emissions, lengths, strict=True)]

    def best_paths(self, emissions: np.ndarray, lengths: np.ndarray, n: int) -> list[list[tuple[np.ndarray, float]]]:
        """The `n` best paths of each text with their probabilities; see `CRF.best_paths`."""
        return self._chain().best_paths(emissions, lengths, n)

    def marginals(self, emissions: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """The probability of each tag of each word, `[batch, time, labels]`; see `CRF.marginals`."""
        return self._chain().marginals(emissions, lengths)

    def _chain(self) -> CRF:
        return independent_chain(self.output_layer.units) if self.crf is None else self.crf
