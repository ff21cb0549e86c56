"""The many-to-one head: a text, or two, gets a label, or any number of them."""

from collections.abc import Sequence

import keras
from keras import ops

from models.encoder import Encoder
from models.options import HeadOptions
from models.pooling import AttentionPooling, last_word, max_over_words, mean_over_words
from models.text_classifier import TextClassifier


class Classifier(TextClassifier):
    """Words encoded, pooled to one vector, and a score for each label.

    Args:
        options: of the layers.
        labels: the labels, or their number.
        shape: `(layers, dim)` of the biLM, or None without one.
        rows: of the vocabulary of each feature.

    Call arguments:
        inputs: what `Encoder` takes, with at least one True in a row of `mask`; of pairs the first texts and then the
            second ones.

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
        super().__init__(options, labels, **kwargs)
        # === Layers ===
        self.encoder = Encoder(options, shape, rows, name="encoder")
        width = self.encoder.width
        if options.pooling == "attention":
            self.attention = AttentionPooling(name="attention")
            self.attention.build((None, None, width))
        self.output_dropout = keras.layers.Dropout(options.output_dropout)
        self.output_layer = keras.layers.Dense(self.count, name="output")
        self.output_layer.build((None, 4 * width if options.pairs else width))
        self.built = True

    def call(self, inputs, training=False):
        vectors = self._pool(self.encoder(inputs, training=training), inputs["mask"])
        if self.options.pairs:
            u, v = ops.split(vectors, 2, axis=0)
            vectors = ops.concatenate([u, v, ops.abs(u - v), u * v], axis=-1)
        return self.output_layer(self.output_dropout(vectors, training=training))

    def _pool(self, vectors, mask):
        if self.options.pooling == "attention":
            return self.attention(vectors, mask)
        if self.options.pooling == "last":
            return last_word(vectors, mask, self.options.bidirectional)
        return (max_over_words if self.options.pooling == "max" else mean_over_words)(vectors, mask)
