"""Keras's LSTM, faster on processors.

TensorFlow differentiates each of the dozen small steps that Keras's loop does for a word. Here what the words give the
gates is one product, both directions share one loop, the loop backwards has two kernels, and the gradients of the
weights are one product for all words. Names, weights and results are Keras's own; where TensorFlow does not run on a
processor, so is the computation.
"""

from functools import cache, partial

import keras
from keras import ops


@cache
def _on_processor() -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_logical_devices("GPU")


@keras.saving.register_keras_serializable("telmo")
class LSTM(keras.layers.LSTM):
    """As `keras.layers.LSTM`."""

    def call(self, sequences, initial_state=None, mask=None, training=False):
        if initial_state is None and self.return_sequences and not self.go_backwards and _on_processor():
            return _read([self.cell], sequences, mask)
        return super().call(sequences, initial_state=initial_state, mask=mask, training=training)


@keras.saving.register_keras_serializable("telmo")
class Bidirectional(keras.layers.Bidirectional):
    """As `keras.layers.Bidirectional`, with the directions side by side."""

    def call(self, sequences, initial_state=None, mask=None, training=None):
        lstm = isinstance(self.forward_layer, LSTM) and self.return_sequences
        if lstm and initial_state is None and _on_processor():
            return _read([self.forward_layer.cell, self.backward_layer.cell], sequences, mask)
        return super().call(sequences, initial_state=initial_state, mask=mask, training=training)


def _read(cells, inputs, mask):
    """The states of one or both directions, `[batch, time, directions * units]`, zeros where the mask is False.

    Args:
        cells: built cells, that of the backward direction second.
        inputs: `[batch, time, input]`.
        mask: bool `[batch, time]`; each row True, then False; or None.
    """
    import tensorflow as tf

    inputs = tf.transpose(inputs, (1, 0, 2))
    time, batch = tf.unstack(tf.shape(inputs)[:2])
    lengths = tf.fill([batch], time) if mask is None else tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
    # From its own end each text is read, so that padding comes last here too, and no state sees it.
    turned = partial(tf.reverse_sequence, seq_lengths=lengths, seq_axis=0, batch_axis=1)
    # One product of all words for both directions.
    kernel, bias = (
        tf.concat([_swapped(getattr(cell, name)) for cell in cells], axis=-1) for name in ("kernel", "bias")
    )
    first, *others = tf.split(tf.tensordot(inputs, kernel, 1) + bias, len(cells), axis=-1)
    first, *others = _states([first, *map(turned, others)], tf.stack([_swapped(x.recurrent_kernel) for x in cells]))
    outputs = tf.transpose(tf.concat([first, *map(turned, others)], axis=-1), (1, 0, 2))
    return outputs if mask is None else outputs * tf.cast(mask, outputs.dtype)[..., None]


def _states(gates, recurrent):
    """The states `[time, batch, units]` of each direction; the directions go through the words side by side.

    Args:
        gates: of each direction what the words give i, c, f and o, `[time, batch, 4 * units]`.
        recurrent: what the states before give them, `[directions, units, 4 * units]`.
    """
    import tensorflow as tf

    directions, units = recurrent.shape[:2]
    time, batch = tf.unstack(tf.shape(gates[0])[:2])

    def product(x, kernels):
        """Of the rows of each direction with a kernel of its own."""
        by_direction = tf.reshape(x, (directions, batch, x.shape[-1]))
        return tf.reshape(tf.matmul(by_direction, kernels), (-1, kernels.shape[-1]))

    @tf.custom_gradient
    def run(recurrent, *gates):
        zeros = tf.zeros((directions * batch, units))

        def step(t, state, memory, kept):
            summed = product(state, recurrent) + tf.concat([gate[t] for gate in gates], axis=0)
            i, c, f, o = tf.split(summed, 4, axis=-1)
            i, c, f, o = tf.sigmoid(i), tf.tanh(c), tf.sigmoid(f), tf.sigmoid(o)
            now = f * memory + i * c
            squashed = tf.tanh(now)
            state = o * squashed
            found = (state, memory, now, i, c, f, o, squashed)
            return t + 1, state, now, tuple(array.write(t, x) for array, x in zip(kept, found, strict=True))

        kept = tuple(tf.TensorArray(tf.float32, time, False, False, element_shape=(None, units)) for _ in range(8))
        *_, (states, *kept) = tf.while_loop(lambda t, *_: t < time, step, (0, zeros, zeros, kept))
        states = states.stack()

        def gradient(*upstream):
            back, upstream = tf.transpose(recurrent, (0, 2, 1)), tf.concat(upstream, axis=1)
            # The kernel that goes back through a cell takes its input and weights, and looks at their shapes alone.
            unread = {
                "x": zeros[:, :1],
                "h_prev": zeros,
                "w": tf.zeros((1 + units, 4 * units)),
                "b": tf.zeros(4 * units),
            }
            unread |= dict.fromkeys(("wci", "wcf", "wco"), tf.zeros(units))

            def step_back(t, by_state, by_memory, by_gates):
                names = ("cs_prev", "cs", "i", "ci", "f", "o", "co")
                found = tf.raw_ops.LSTMBlockCellGrad(
                    **{name: array.read(t) for name, array in zip(names, kept, strict=True)},
                    cs_grad=by_memory,
                    h_grad=upstream[t] + by_state,
                    use_peephole=False,
                    **unread,
                )
                return t - 1, product(found.dicfo, back), found.cs_prev_grad, by_gates.write(t, found.dicfo)

            by_gates = tf.TensorArray(tf.float32, time, element_shape=(None, 4 * units))
            loop = tf.while_loop(lambda t, *_: t >= 0, step_back, (time - 1, zeros, zeros, by_gates))
            by_gates = tf.split(loop[-1].stack(), directions, axis=1)
            before = tf.split(tf.concat([zeros[None], states[:-1]], axis=0), directions, axis=1)
            by_recurrent = [
                tf.matmul(tf.reshape(x, (-1, units)), tf.reshape(y, (-1, 4 * units)), transpose_a=True)
                for x, y in zip(before, by_gates, strict=True)
            ]
            return tf.stack(by_recurrent), *by_gates

        return tf.split(states, directions, axis=1), gradient

    return run(recurrent, *gates)


def _swapped(weights):
    """A cell's weights in the order i, c, f, o of the kernel that goes back, for Keras's i, f, c, o."""
    i, f, c, o = ops.split(weights, 4, axis=-1)
    return ops.concatenate([i, c, f, o], axis=-1)
