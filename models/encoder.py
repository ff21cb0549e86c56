"""What the heads share: what a word is given as, and an encoder above it."""

from typing import Any

import keras
from keras import ops

from embeddings.elmo import Elmo
from models.convolutions import convolution_stack
from models.inputs import CharacterVectors, WordVectors
from models.options import Dense, ElmoInput, HeadOptions, WordInput
from models.recurrent import dense_stack, recurrent_stack


class Encoder(keras.layers.Layer):
    """The inputs of each word side by side, then recurrent or dense layers.

    Args:
        options: of the head.
        shape: `(layers, dim)` of the biLM, or None without one.
        rows: of the vocabulary of each feature.
        before: dense layers between the inputs and the encoder.

    Call arguments:
        inputs: a dict of `mask`, bool `[batch, time]`; `layers`, a biLM's, `[batch, layers, time, dim]`, if the head
            asks for ELMo; and `features`, by their names, if it asks for any (`Features.arrays`).

    Returns:
        `[batch, time, width]`.

    Attributes:
        width: of the last layer.
    """

    def __init__(
        self,
        options: HeadOptions,
        shape: tuple[int, int] | None,
        rows: dict[str, int] | None = None,
        before: Dense = (),
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.options = options
        # === Layers ===
        self.elmo: Any = None
        self.output_elmo: Any = None
        self.project: Any = None
        self.features: list = []
        self.dropout = _dropout(options, options.dropout)
        # One object where one share will do: a model folder of before has one, with a seed of its own.
        self.input_dropout = self.dropout
        if options.input_dropout is not None:
            self.input_dropout = _dropout(options, options.input_dropout)
        self.width = sum(self._input(part, shape, rows or {}) for part in options.inputs)
        self.before, self.width = dense_stack(before, self.width, "before")
        self.stack, self.width = self._stack(options)
        if options.elmo_at_output:
            self.output_elmo = self._elmo(shape, "output_elmo")
            self.width += shape[1]  # type: ignore[index]
        self.after, self.width = dense_stack(options.feedforward, self.width, "after")
        self.built = True

    def _input(self, part, shape: tuple[int, int] | None, rows: dict[str, int]) -> int:
        """Build the layer of an input; its width."""
        if not isinstance(part, ElmoInput):
            if isinstance(part, WordInput):
                self.features.append(WordVectors(part, rows[part.name], self.options.word_dropout, name=part.kind))
            else:
                self.features.append(CharacterVectors(part, rows[part.name], name=part.kind))
            return self.features[-1].width
        self.elmo = self._elmo(shape, "elmo")
        dim = shape[1]  # type: ignore[index]
        if part.projection:
            self.project = keras.layers.Dense(part.projection, name="project")
            self.project.build((None, dim))
        return part.projection or dim

    def _elmo(self, shape: tuple[int, int] | None, name: str) -> Elmo:
        assert shape is not None, "ELMo needs a biLM"
        share = self.options.input_dropout if name == "elmo" else None
        elmo = Elmo(self.options.layer_norm, self.options.dropout if share is None else share, name=name)
        elmo.build((None, shape[0], None, shape[1]))
        return elmo

    def _stack(self, options: HeadOptions):
        if options.encoder == "none":
            return [], self.width
        if options.encoder == "dense":
            return dense_stack([(options.units, "relu")] * options.depth, self.width, "layer")
        if options.encoder == "cnn":
            return convolution_stack(options.units, options.widths, options.depth, self.width, "layer")
        bidirectional, cells = options.bidirectional, options.cells
        return recurrent_stack(options.encoder, options.units, options.depth, bidirectional, self.width, "layer", cells)

    def call(self, inputs, training=False):
        mask = inputs["mask"]
        vectors = self._vectors(inputs, training)
        for layer in self.before:
            vectors = self.dropout(layer(vectors), training=training)
        for layer in self.stack:
            masked = {} if isinstance(layer, keras.layers.Dense) else {"mask": mask}
            vectors = self.dropout(layer(vectors, **masked), training=training)
        if self.output_elmo:
            mixed = self.output_elmo(inputs["layers"], mask=mask, training=training)
            vectors = ops.concatenate([vectors, mixed], axis=-1)
        for layer in self.after:
            vectors = self.dropout(layer(vectors), training=training)
        return vectors

    def _vectors(self, inputs, training):
        parts, features = [], iter(self.features)
        for part in self.options.inputs:
            if isinstance(part, ElmoInput):
                mixed = self.elmo(inputs["layers"], mask=inputs["mask"], training=training)
                parts.append(self.project(mixed) if self.project else mixed)
            else:
                vectors = next(features)(inputs["features"][part.name], training=training)
                parts.append(self.input_dropout(vectors, training=training))
        return ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]

    def compute_mask(self, inputs, mask=None):
        """The caller hands on its mask by itself."""


def _dropout(options: HeadOptions, share: float) -> keras.layers.Layer:
    return (keras.layers.SpatialDropout1D if options.variational_dropout else keras.layers.Dropout)(share)


def layer_weights(head: Any) -> dict[str, list[float]]:
    """The softmax-normalised weights that a head has given the biLM's layers.

    Returns:
        `input` and `output`, of the mixes at those places; nothing without ELMo. Each `[layers]`.
    """
    mixes = {"input": head.encoder.elmo, "output": head.encoder.output_elmo or getattr(head, "elmo", None)}
    return {place: ops.convert_to_numpy(mix.layer_weights()).tolist() for place, mix in mixes.items() if mix}
