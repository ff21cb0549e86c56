"""A recurrent layer over a whole sequence."""

import keras
from keras import ops

from embeddings.cells import Cell, ProjectedLSTMCell, by_block, fresh
from embeddings.lstm_gradient import projected_lstm
from embeddings.softmax import value_of


class Recurrent(keras.layers.Layer):
    """Steps a cell through a sequence. The input's share of all gates of all steps is one matrix product.

    Args:
        cell: what does a step.
        go_backwards: read the sequence from its end; the output stays in the input's order.
        kernel_initializer: of the weights between input and gates.

    Call arguments:
        inputs: `[batch, time, input]`.
        mask: bool `[batch, time]`; where False the state is carried over unchanged.
        initial_state: the cell's states, each `[batch, ...]`, or None for zeros.
        training: whether a gradient will be asked for. The result is the same, but `ProjectedLSTMCell` without a mask
            keeps what `lstm_gradient` needs.

    Returns:
        The outputs `[batch, time, units]` and the last state, in the form of `initial_state`.
    """

    supports_masking = True

    def __init__(self, cell: Cell, go_backwards: bool = False, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.cell = cell
        self.go_backwards = go_backwards
        self.kernel_initializer = fresh(kernel_initializer)
        self.loop = keras.layers.RNN(
            cell, return_sequences=True, return_state=True, go_backwards=go_backwards, name="loop"
        )

    def build(self, input_shape):
        gates = self.cell.blocks * self.cell.width
        initializer = by_block(self.kernel_initializer, self.cell.blocks)
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], gates), initializer=initializer)
        self.bias = self.add_weight(name="bias", shape=(gates,), initializer=self.cell.initial_bias)
        self.loop.build((None, None, gates))

    def call(self, inputs, mask=None, initial_state=None, training=False):
        if initial_state is not None:
            # Where the rows of a batch are not known as it is compiled, a state of one row could be spread over any
            # number of them, and the state after a step would have another shape than that before.
            inputs = ops.reshape(inputs, (ops.shape(initial_state[0])[0], -1, inputs.shape[-1]))
        if training and mask is None and isinstance(self.cell, ProjectedLSTMCell):
            return self._with_written_gradient(inputs, initial_state)
        gates = ops.matmul(inputs, self.kernel) + self.bias
        outputs, *state = self.loop(gates, mask=mask, initial_state=initial_state)
        return ops.flip(outputs, axis=1) if self.go_backwards else outputs, state

    def _with_written_gradient(self, inputs, initial_state):
        cell = self.cell
        # Time comes first, so that a step's part is one piece of memory.
        inputs = ops.transpose(inputs, (1, 0, 2))
        if initial_state is None:
            initial_state = [ops.zeros((ops.shape(inputs)[1], n), inputs.dtype) for n in cell.state_size]
        recurrent, *projection = cell.weights
        kernels = ops.split(ops.concatenate([self.kernel, recurrent]), cell.blocks, axis=-1)
        outputs, *state = projected_lstm(
            inputs,
            *[ops.cast(x, inputs.dtype) for x in initial_state],
            [*kernels, *ops.split(self.bias, cell.blocks), *map(value_of, projection)],
            cell.cell_clip,
            cell.projection_clip,
            self.go_backwards,
        )
        return ops.transpose(outputs, (1, 0, 2)), state

    def compute_mask(self, inputs, mask=None):
        """The caller hands on its mask by itself."""

    def get_config(self):
        return super().get_config() | {
            "cell": keras.layers.serialize(self.cell),
            "go_backwards": self.go_backwards,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config | {"cell": keras.layers.deserialize(config["cell"])})
