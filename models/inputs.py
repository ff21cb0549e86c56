"""What a word is given as beside ELMo: a vector of its own, or one made of its characters."""

from typing import Any

import keras
from keras import ops

from embeddings.pooled_convolution import pooled_convolution
from embeddings.rows import take_rows
from embeddings.softmax import value_of
from models.options import CharacterInput, WordInput
from models.recurrent import recurrent_layer, width_of


class WordVectors(keras.layers.Layer):
    """A vector for each row of the vocabulary.

    Args:
        options: of the input.
        rows: of the vocabulary.
        word_dropout: share of the words that training takes for unknown ones, so that those have a vector that fits
            them (Iyyer et al. 2015, "Deep unordered composition rivals syntactic methods for text classification").

    Call arguments:
        rows: int `[batch, time]`.

    Returns:
        `[batch, time, width]`.
    """

    def __init__(self, options: WordInput, rows: int, word_dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.width, self.word_dropout = options.dim, word_dropout
        self.vectors = self.add_weight(
            name="vectors", shape=(rows, options.dim), initializer=_initial(options.dim), trainable=options.trainable
        )
        if word_dropout:
            self.seed_generator = keras.random.SeedGenerator()
        self.built = True

    def call(self, rows, training=False):
        if training and self.word_dropout:
            dropped = keras.random.uniform(ops.shape(rows), seed=self.seed_generator) < self.word_dropout
            rows = ops.where(dropped & (rows > 0), 1, rows)
        flat = take_rows(self.vectors, ops.reshape(rows, (-1,)))
        return ops.reshape(flat, (*ops.shape(rows), self.width))


def _initial(dim: int):
    """Uniform, of a variance of 1 / dim for a vector's norm of 1 or so (Ma and Hovy 2016, section 3.1)."""
    bound = (3.0 / dim) ** 0.5
    return keras.initializers.RandomUniform(-bound, bound)


class CharacterVectors(keras.layers.Layer):
    """A word's vector from the vectors of its characters; each distinct word of a batch is computed once.

    A convolution sees the windows that lie in the word alone, so that no answer depends on padding; a word with no
    such window gives zeros, as AllenNLP's `CnnEncoder` has it.

    Args:
        options: of the input.
        rows: of the vocabulary of characters.

    Call arguments:
        characters: a dict of `groups`, int arrays `[words, characters]`, and `place`, int `[batch, time]`, as
            `Features.arrays` gives them.

    Returns:
        `[batch, time, width]`.
    """

    def __init__(self, options: CharacterInput, rows: int, **kwargs):
        super().__init__(**kwargs)
        self.options = options
        # === Layers ===
        self.vectors = self.add_weight(name="vectors", shape=(rows, options.dim), initializer=_initial(options.dim))
        self.layers: list = []
        self.project: Any = None
        self.width = options.dim
        if options.encoder == "cnn":
            self._build_convolutions()
        elif options.encoder in ("lstm", "gru"):
            for k in range(options.depth):
                layer = recurrent_layer(
                    options.encoder,
                    options.units,
                    options.bidirectional,
                    f"layer_{k}",
                    return_sequences=k < options.depth - 1,
                )
                layer.build((None, None, self.width))
                self.layers.append(layer)
                self.width = width_of(options.units, options.bidirectional)
        self.built = True

    def _build_convolutions(self) -> None:
        options = self.options
        for k, width in enumerate(options.widths):
            layer = keras.layers.Conv1D(options.filters, width, activation=options.activation, name=f"convolution_{k}")
            layer.build((None, None, options.dim))
            self.layers.append(layer)
        self.width = options.filters * len(options.widths)
        if options.projection:
            self.project = keras.layers.Dense(options.projection, name="project")
            self.project.build((None, self.width))
            self.width = options.projection

    def call(self, characters, training=False):
        encoded = ops.concatenate([self._encode(group) for group in characters["groups"]], axis=0)
        return ops.take(encoded, characters["place"], axis=0)

    def _encode(self, rows):
        present = rows > 0
        vectors = ops.take(self.vectors, rows, axis=0)
        if self.options.encoder == "cnn":
            return self._convolve(vectors, ops.sum(ops.cast(present, "int32"), axis=1))
        if self.options.encoder in ("sum", "mean"):
            weight = ops.cast(present, vectors.dtype)[..., None]
            total = ops.sum(vectors * weight, axis=1)
            return total / ops.maximum(ops.sum(weight, axis=1), 1) if self.options.encoder == "mean" else total
        for layer in self.layers:
            vectors = layer(vectors, mask=present)
        return vectors

    def _convolve(self, vectors, lengths):
        pooled = []
        for width, layer in zip(self.options.widths, self.layers, strict=True):
            best = self._best_window(layer, width, vectors, lengths)
            pooled.append(ops.where((lengths >= width)[:, None], best, 0.0))
        pooled = ops.concatenate(pooled, axis=-1)
        return self.project(pooled) if self.project else pooled

    def _best_window(self, layer, width: int, vectors, lengths):
        """The maximum over the windows in each word, `[words, filters]`; of no use where a word has none."""
        if self.options.activation in _MONOTONIC:
            kernel, bias = value_of(layer.kernel), value_of(layer.bias)
            return layer.activation(pooled_convolution(vectors, kernel, bias, lengths))
        convolved = layer(vectors)
        inside = ops.arange(ops.shape(convolved)[1]) <= (lengths - width)[:, None]
        return ops.max(ops.where(inside[..., None], convolved, -1e30), axis=1)


_MONOTONIC = (
    "linear",
    "relu",
    "relu6",
    "elu",
    "selu",
    "tanh",
    "hard_tanh",
    "sigmoid",
    "log_sigmoid",
    "softplus",
    "softsign",
)
"""Activations that are largest where the number is: their maximum can be taken before them."""
