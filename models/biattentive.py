"""The biattentive classification network: a many-to-one head (McCann et al. 2017, "Learned in translation:
contextualized word vectors", section 5; with ELMo as in Peters et al. 2018, section 5.1)."""

from collections.abc import Sequence

import keras
from keras import ops

from embeddings.elmo import Elmo
from models.encoder import Encoder
from models.options import HeadOptions
from models.pooling import max_over_words, mean_over_words, softmax_over_words
from models.recurrent import dense_stack, recurrent_stack
from models.text_classifier import TextClassifier

QUERIES = 512
"""Words of a text that look at all its words at once; bounds the memory of a long text."""


class BiattentiveClassifier(TextClassifier):
    """Words encoded, set beside what all words of the text say of them, integrated, and pooled in four ways.

        a_t  = sum_s softmax_s(h_t . h_s) h_s
        x    = integrator([h; h - a; h * a])
        pool = [max x; min x; mean x; sum_t softmax_t(v . x_t) x_t]

    Both texts of the paper's attention are the same one here, as in its experiments with one text.

    Args:
        options: of the layers; `biattention` is set.
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
        super().__init__(options, labels, **kwargs)
        parts = options.biattention
        assert parts is not None
        # === Layers ===
        self.encoder = Encoder(options, shape, rows, before=parts.before, name="encoder")
        self.integrator, width = recurrent_stack(
            parts.integrator, parts.units, parts.depth, parts.bidirectional, 3 * self.encoder.width, "integrator"
        )
        self.elmo = None
        if parts.elmo:
            layers, dim = shape  # type: ignore[misc]
            self.elmo = Elmo(options.layer_norm, options.dropout, name="elmo")
            self.elmo.build((None, layers, None, dim))
            width += dim
        self.dropout = keras.layers.Dropout(options.dropout)
        self.attention = keras.layers.Dense(1, name="attention")
        self.attention.build((None, None, width))
        if parts.dense:
            self.output_layers, _ = dense_stack(parts.dense, 4 * width, "output")
        else:
            self.output_layers = _maxout_stack([*parts.output, (self.count, parts.pieces)], 4 * width)
        self.built = True

    def call(self, inputs, training=False):
        mask = inputs["mask"]
        encoded = self.encoder(inputs, training=training)
        attended = attend_to_self(encoded, mask)
        integrated = ops.concatenate([encoded, encoded - attended, encoded * attended], axis=-1)
        for layer in self.integrator:
            integrated = layer(integrated, mask=mask)
        if self.elmo is not None:
            mixed = self.elmo(inputs["layers"], mask=mask, training=training)
            integrated = ops.concatenate([integrated, mixed], axis=-1)
        vector = self.dropout(self._pool(integrated, mask), training=training)
        for k, layer in enumerate(self.output_layers):
            vector = layer(self.dropout(vector, training=training) if k else vector)
        return vector

    def _pool(self, vectors, mask):
        weights = softmax_over_words(ops.squeeze(self.attention(vectors), -1), mask)
        attended = ops.einsum("bt,btd->bd", weights, vectors)
        return ops.concatenate(
            [max_over_words(vectors, mask), -max_over_words(-vectors, mask), mean_over_words(vectors, mask), attended],
            axis=-1,
        )


class Maxout(keras.layers.Layer):
    """The largest of several affine maps, unit by unit (Goodfellow et al. 2013, "Maxout networks", section 3).

    Args:
        units: of the output.
        pieces: maps for each unit.
    """

    def __init__(self, units: int, pieces: int, **kwargs):
        super().__init__(**kwargs)
        self.units, self.pieces = units, pieces
        self.maps = keras.layers.Dense(units * pieces, name="maps")

    def build(self, input_shape):
        self.maps.build(input_shape)

    def call(self, inputs):
        return ops.max(ops.reshape(self.maps(inputs), (-1, self.units, self.pieces)), axis=-1)


def _maxout_stack(layers: Sequence[tuple[int, int]], width: int) -> list[Maxout]:
    stack = []
    for k, (units, pieces) in enumerate(layers):
        stack.append(Maxout(units, pieces, name=f"output_{k}"))
        stack[-1].build((None, width))
        width = units
    return stack


def attend_to_self(vectors, mask):
    """For each word the mean of all words of the text, weighted by the softmax of the dot products with it.

    Args:
        vectors: `[batch, time, dim]`.
        mask: bool `[batch, time]`.

    Returns:
        `[batch, time, dim]`.
    """

    def attend(queries):
        scores = ops.einsum("bqd,btd->bqt", queries, vectors)
        return ops.einsum("bqt,btd->bqd", softmax_over_words(scores, mask[:, None]), vectors)

    batch, time, dim = ops.shape(vectors)
    queries = ops.minimum(time, QUERIES) if not isinstance(time, int) else min(time, QUERIES)
    missing = (-time) % queries
    padded = ops.pad(vectors, [[0, 0], [0, missing], [0, 0]])
    # Time first: the text in pieces of `queries` words.
    pieces = ops.transpose(ops.reshape(padded, (batch, (time + missing) // queries, queries, dim)), (1, 0, 2, 3))
    attended = ops.transpose(ops.map(attend, pieces), (1, 0, 2, 3))
    return ops.reshape(attended, (batch, time + missing, dim))[:, :time]
