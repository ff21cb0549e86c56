"""Keras's LSTM, faster on processors.

TensorFlow differentiates each of the dozen small steps that Keras's loop does for a word. Here the loop forwards is one
kernel, the loop backwards has two, and the gradients of the weights are one product for all words. Names, weights and
results are Keras's own; where TensorFlow does not run on a processor, so is the computation.
"""

from functools import cache

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
    states = [_states(inputs, cells[0])]
    if len(cells) == 2:
        # From its own end each text is read, so that padding comes last here too, and no state sees it.
        turned = tf.reverse_sequence(inputs, lengths, seq_axis=0, batch_axis=1)
        states.append(tf.reverse_sequence(_states(turned, cells[1]), lengths, seq_axis=0, batch_axis=1))
    outputs = tf.transpose(tf.concat(states, axis=-1), (1, 0, 2))
    return outputs if mask is None else outputs * tf.cast(mask, outputs.dtype)[..., None]


def _states(inputs, cell):
    """The states `[time, batch, units]` that a cell goes through, for inputs `[time, batch, input]`."""
    import tensorflow as tf

    @tf.custom_gradient
    def run(inputs, kernel, recurrent, bias):
        zeros, none = tf.zeros((tf.shape(inputs)[1], cell.units)), tf.zeros(cell.units)
        peepholes = {"wci": none, "wcf": none, "wco": none, "use_peephole": False}
        time = tf.shape(inputs)[0]
        kept = tf.raw_ops.BlockLSTMV2(
            seq_len_max=tf.cast(time, tf.int64),
            x=inputs,
            cs_prev=zeros,
            h_prev=zeros,
            w=tf.concat([kernel, recurrent], axis=0),
            b=bias,
            cell_clip=0.0,
            **peepholes,
        )

        def gradient(upstream):
            memory_before = tf.concat([zeros[None], kept.cs[:-1]], axis=0)
            # The kernel that goes back through a cell takes its input and weights, and looks at their shapes alone.
            unread = {"x": zeros[:, :1], "h_prev": zeros, "w": tf.zeros((1 + cell.units, 4 * cell.units)), "b": bias}

            in_order = _swapped(recurrent)

            def back(t, by_state, by_memory, gates):
                found = tf.raw_ops.LSTMBlockCellGrad(
                    cs_prev=memory_before[t],
                    **{name: getattr(kept, name)[t] for name in ("i", "cs", "f", "o", "ci", "co")},
                    cs_grad=by_memory,
                    h_grad=upstream[t] + by_state,
                    **unread,
                    **peepholes,
                )
                by_state = tf.matmul(found.dicfo, in_order, transpose_b=True)
                return t - 1, by_state, found.cs_prev_grad, gates.write(t, found.dicfo)

            gates = tf.TensorArray(tf.float32, time, element_shape=(None, 4 * cell.units))
            gates = tf.while_loop(lambda t, *_: t >= 0, back, (time - 1, zeros, zeros, gates))[3]
            gates = _swapped(gates.concat())
            states_before = tf.concat([zeros[None], kept.h[:-1]], axis=0)
            return (
                tf.reshape(tf.matmul(gates, kernel, transpose_b=True), tf.shape(inputs)),
                tf.matmul(tf.reshape(inputs, (-1, kernel.shape[0])), gates, transpose_a=True),
                tf.matmul(tf.reshape(states_before, (-1, cell.units)), gates, transpose_a=True),
                tf.reduce_sum(gates, axis=0),
            )

        return kept.h, gradient

    # Tensors, since a custom gradient does not take variables as they are.
    return run(inputs, *(tf.identity(weight.value) for weight in (cell.kernel, cell.recurrent_kernel, cell.bias)))


def _swapped(gates):
    """The gates in the order i, c, f, o of the kernel that goes back, for Keras's i, f, c, o, or the reverse."""
    i, f, c, o = ops.split(gates, 4, axis=-1)
    return ops.concatenate([i, c, f, o], axis=-1)
