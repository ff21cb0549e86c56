"""The recurrent cells: one step in time.

The input's share of the gates is computed for all steps at once by `Recurrent` and arrives as the step's input, so
that the loop holds nothing but what depends on the step before. In the equations below it is `x W + b`; `*` multiplies
number by number.
"""

from typing import ClassVar

import keras
from keras import ops

from embeddings.lstm_gradient import clip


class Cell(keras.layers.Layer):
    """What the cells share.

    Args:
        units: width of the hidden state.
        recurrent_initializer: of the weights between the hidden states.

    Call arguments:
        gates: `[batch, blocks * width]`, the input's share.
        states: the state of the step before, each `[batch, ...]`.

    Returns:
        The hidden state `[batch, units]` and the list of states, the hidden state first.

    Attributes:
        blocks: gates and candidates, each of `width` numbers.
        state_size: widths of the states.
    """

    blocks: ClassVar[int]

    def __init__(self, units: int, recurrent_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.units = self.width = self.output_size = units
        self.recurrent_initializer = fresh(recurrent_initializer)
        self.state_size = [units]

    def build(self, input_shape):
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel",
            shape=(self.units, self.blocks * self.width),
            initializer=by_block(self.recurrent_initializer, self.blocks),
        )

    def initial_bias(self, shape, dtype=None):
        """The bias of the gates before training, `[blocks * width]`."""
        return ops.zeros(shape, dtype)

    def get_config(self):
        initializer = keras.initializers.serialize(self.recurrent_initializer)
        return super().get_config() | {"units": self.units, "recurrent_initializer": initializer}


def fresh(initializer):
    """An initializer of its own: one that is used twice gives the same numbers twice."""
    initializer = keras.initializers.get(initializer)
    return initializer.clone() if isinstance(initializer, keras.initializers.Initializer) else initializer


def by_block(initializer, blocks: int):
    """Makes each of the blocks that stand side by side in a matrix orthogonal on its own; other initialisers are as
    they are."""
    if not isinstance(initializer, keras.initializers.Orthogonal):
        return initializer

    def initialize(shape, dtype=None):
        one = (shape[0], shape[1] // blocks)
        return ops.concatenate([initializer.clone()(one, dtype) for _ in range(blocks)], axis=1)

    return initialize


class ElmanCell(Cell):
    """A simple recurrent network (Elman 1990, "Finding structure in time"):

    h' = tanh(x W + b + h U)
    """

    blocks = 1

    def call(self, gates, states):
        hidden = ops.tanh(gates + ops.matmul(states[0], self.recurrent_kernel))
        return hidden, [hidden]


class OriginalLSTMCell(Cell):
    """The LSTM as it was, without a forget gate: the error in the memory is neither lessened nor magnified
    (Hochreiter and Schmidhuber 1997, "Long short-term memory", section 4).

        i, j, o = x W + b + h U
        c' = c + sigmoid(i) * tanh(j)
        h' = sigmoid(o) * tanh(c')
    """

    blocks = 3

    def __init__(self, units: int, **kwargs):
        super().__init__(units, **kwargs)
        self.state_size = [units, units]

    def call(self, gates, states):
        hidden, memory = states
        i, j, o = ops.split(gates + ops.matmul(hidden, self.recurrent_kernel), 3, axis=-1)
        memory = memory + ops.sigmoid(i) * ops.tanh(j)
        hidden = ops.sigmoid(o) * ops.tanh(memory)
        return hidden, [hidden, memory]


class LSTMCell(Cell):
    """The LSTM with a forget gate (Gers et al. 2000, "Learning to forget"), whose bias is high at first, so that a
    fresh network remembers (Jozefowicz et al. 2015, "An empirical exploration of recurrent network architectures").

        i, j, f, o = x W + b + h U
        c' = sigmoid(f) * c + sigmoid(i) * tanh(j)
        h' = sigmoid(o) * tanh(c')

    Args:
        units: width of the hidden state and of the memory.
        forget_bias: the forget gate's bias before training.
    """

    blocks = 4

    def __init__(self, units: int, forget_bias: float = 1.0, **kwargs):
        super().__init__(units, **kwargs)
        self.forget_bias = forget_bias
        self.state_size = [units, units]

    def initial_bias(self, shape, dtype=None):
        block = (shape[0] // 4,)
        return ops.concatenate(
            [ops.zeros((2 * block[0],), dtype), ops.full(block, self.forget_bias, dtype), ops.zeros(block, dtype)]
        )

    def call(self, gates, states):
        hidden, memory = states
        i, j, f, o = ops.split(gates + ops.matmul(hidden, self.recurrent_kernel), 4, axis=-1)
        memory = ops.sigmoid(f) * memory + ops.sigmoid(i) * ops.tanh(j)
        hidden = ops.sigmoid(o) * ops.tanh(memory)
        return hidden, [hidden, memory]

    def get_config(self):
        return super().get_config() | {"forget_bias": self.forget_bias}


class GRUCell(Cell):
    """A gated recurrent unit (Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder", equations
    5 to 8):

        z, r = (x W + b)_zr + h U_zr
        n = tanh((x W + b)_n + (sigmoid(r) * h) U_n)
        h' = sigmoid(z) * h + (1 - sigmoid(z)) * n
    """

    blocks = 3

    def call(self, gates, states):
        (hidden,) = states
        two = 2 * self.units
        z, r = ops.split(gates[:, :two] + ops.matmul(hidden, self.recurrent_kernel[:, :two]), 2, axis=-1)
        candidate = ops.tanh(gates[:, two:] + ops.matmul(ops.sigmoid(r) * hidden, self.recurrent_kernel[:, two:]))
        z = ops.sigmoid(z)
        hidden = z * hidden + (1.0 - z) * candidate
        return hidden, [hidden]


class ProjectedLSTMCell(Cell):
    """An LSTM whose hidden state is projected and clipped (Sak et al. 2014, "Long short-term memory recurrent neural
    network architectures", equations 7 to 13, without peepholes; the clips are those of Peters et al. 2018).

        i, j, f, o = x W + b + h U
        c' = clip(sigmoid(f + 1) * c + sigmoid(i) * tanh(j))
        h' = clip((sigmoid(o) * tanh(c')) P)

    The gates stand in the order of the published weights. Where the widths are equal there is no P, and h' is not
    clipped.

    Args:
        units: width p of the hidden state.
        cells: width c of the memory.
        cell_clip, projection_clip: bounds on the absolute values of memory and hidden state, or None.
    """

    blocks = 4

    def __init__(self, units: int, cells: int, cell_clip: float | None, projection_clip: float | None, **kwargs):
        super().__init__(units, **kwargs)
        self.width = cells
        self.cell_clip, self.projection_clip = cell_clip, projection_clip
        self.state_size = [units, cells]

    def build(self, input_shape):
        super().build(input_shape)
        if self.units != self.width:
            self.projection_kernel = self.add_weight(
                name="projection_kernel", shape=(self.width, self.units), initializer="glorot_uniform"
            )

    def call(self, gates, states):
        hidden, memory = states
        i, j, f, o = ops.split(gates + ops.matmul(hidden, self.recurrent_kernel), 4, axis=-1)
        memory = ops.sigmoid(f + 1.0) * memory + ops.sigmoid(i) * ops.tanh(j)
        memory = clip(memory, self.cell_clip)
        hidden = ops.sigmoid(o) * ops.tanh(memory)
        if self.units != self.width:
            hidden = clip(ops.matmul(hidden, self.projection_kernel), self.projection_clip)
        return hidden, [hidden, memory]

    def get_config(self):
        clips = {"cell_clip": self.cell_clip, "projection_clip": self.projection_clip}
        return super().get_config() | {"cells": self.width} | clips
