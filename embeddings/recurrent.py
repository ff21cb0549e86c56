"""The biLM's recurrent layer: an LSTM whose hidden state is projected and clipped."""

import keras
from keras import ops


class ProjectedLSTMCell(keras.layers.Layer):
    """One step of a projected LSTM (Sak et al. 2014, "Long short-term memory recurrent neural network architectures",
    equations 7 to 13, without peepholes; the clips are those of Peters et al. 2018).

    The input's share of the gates is computed for all steps at once by `ProjectedLSTM` and arrives as the step's
    input, so that the loop holds nothing but what depends on the step before:

        i, j, f, o = x W + h U + b
        c' = clip(sigmoid(f + 1) c + sigmoid(i) tanh(j))
        h' = clip((sigmoid(o) tanh(c')) P)

    The gates stand in the order of the published weights. Where p = c there is no P, and h' is not clipped.
    """

    def __init__(self, projection: int, cells: int, cell_clip: float | None, projection_clip: float | None, **kwargs):
        super().__init__(**kwargs)
        self.projection, self.cells = projection, cells
        self.cell_clip, self.projection_clip = cell_clip, projection_clip
        self.state_size = [projection, cells]
        self.output_size = projection

    def build(self, input_shape):
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel", shape=(self.projection, 4 * self.cells), initializer="glorot_uniform"
        )
        if self.projection != self.cells:
            self.projection_kernel = self.add_weight(
                name="projection_kernel", shape=(self.cells, self.projection), initializer="glorot_uniform"
            )

    def call(self, gates, states):
        hidden, memory = states
        i, j, f, o = ops.split(gates + ops.matmul(hidden, self.recurrent_kernel), 4, axis=-1)
        memory = ops.sigmoid(f + 1.0) * memory + ops.sigmoid(i) * ops.tanh(j)
        memory = _clip(memory, self.cell_clip)
        hidden = ops.sigmoid(o) * ops.tanh(memory)
        if self.projection != self.cells:
            hidden = _clip(ops.matmul(hidden, self.projection_kernel), self.projection_clip)
        return hidden, [hidden, memory]


def _clip(x, bound: float | None):
    return x if bound is None else ops.clip(x, -bound, bound)


class ProjectedLSTM(keras.layers.Layer):
    """An LSTM with a projection of its hidden state, over a whole sequence.

    Args:
        projection: width p of the hidden state.
        cells: width c of the memory.
        cell_clip: bound on the memory, or None.
        projection_clip: bound on the hidden state, or None.
        go_backwards: read the sequence from its end; the output stays in the input's order.

    Call arguments:
        inputs: `[batch, time, input]`.
        mask: bool `[batch, time]`; where False the state is carried over unchanged.
        initial_state: `[hidden [batch, p], memory [batch, c]]`.

    Returns:
        The outputs `[batch, time, p]` and the last state, in the form of `initial_state`.
    """

    def __init__(
        self,
        projection: int,
        cells: int,
        cell_clip: float | None = None,
        projection_clip: float | None = None,
        go_backwards: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.cell = ProjectedLSTMCell(projection, cells, cell_clip, projection_clip, name="cell")
        self.go_backwards = go_backwards
        self.loop = keras.layers.RNN(
            self.cell, return_sequences=True, return_state=True, go_backwards=go_backwards, name="loop"
        )

    def build(self, input_shape):
        gates = 4 * self.cell.cells
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], gates), initializer="glorot_uniform")
        self.bias = self.add_weight(name="bias", shape=(gates,), initializer="zeros")
        self.loop.build((None, None, gates))

    def call(self, inputs, mask=None, initial_state=None):
        gates = ops.matmul(inputs, self.kernel) + self.bias
        outputs, *state = self.loop(gates, mask=mask, initial_state=initial_state)
        return ops.flip(outputs, axis=1) if self.go_backwards else outputs, state

    supports_masking = True

    def compute_mask(self, inputs, mask=None):
        """The caller hands on its mask by itself."""

    def get_config(self):
        cell = self.cell
        return super().get_config() | {
            "projection": cell.projection,
            "cells": cell.cells,
            "cell_clip": cell.cell_clip,
            "projection_clip": cell.projection_clip,
            "go_backwards": self.go_backwards,
        }
