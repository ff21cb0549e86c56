"""What the heads share: what a word is given as, and an encoder above it."""

from typing import Any

import keras
from keras import ops

from embeddings.elmo import Elmo
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
        self.project: Any = None
        self.features: list = []
        self.dropout = keras.layers.Dropout(options.dropout)
        self.width = sum(self._input(part, shape, rows or {}) for part in options.inputs)
        self.before, self.width = dense_stack(before, self.width, "before")
        self.stack, self.width = self._stack(options)
        self.after, self.width = dense_stack(options.feedforward, self.width, "after")
        self.built = True

    def _input(self, part, shape: tuple[int, int] | None, rows: dict[str, int]) -> int:
        """Build the layer of an input; its width."""
        if not isinstance(part, ElmoInput):
            layer = WordVectors if isinstance(part, WordInput) else CharacterVectors
            self.features.append(layer(part, rows[part.name], name=part.kind))
            return self.features[-1].width
        layers, dim = shape  # type: ignore[misc]
        self.elmo = Elmo(self.options.layer_norm, self.options.dropout, name="elmo")
        self.elmo.build((None, layers, None, dim))
        if part.projection:
            self.project = keras.layers.Dense(part.projection, name="project")
            self.project.build((None, dim))
        return part.projection or dim

    def _stack(self, options: HeadOptions):
        if options.encoder == "none":
            return [], self.width
        if options.encoder == "dense":
            return dense_stack([(options.units, "relu")] * options.depth, self.width, "layer")
        return recurrent_stack(
            options.encoder, options.units, options.depth, options.bidirectional, self.width, "layer"
        )

    def call(self, inputs, training=False):
        mask = inputs["mask"]
        vectors = self._vectors(inputs, training)
        for layer in self.before:
            vectors = self.dropout(layer(vectors), training=training)
        for layer in self.stack:
            masked = {} if isinstance(layer, keras.layers.Dense) else {"mask": mask}
            vectors = self.dropout(layer(vectors, **masked), training=training)
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
                parts.append(self.dropout(next(features)(inputs["features"][part.name]), training=training))
        return ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]

    def compute_mask(self, inputs, mask=None):
        """The caller hands on its mask by itself."""
