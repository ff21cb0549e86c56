"""The projected LSTM over a whole sequence, with its gradient written out.

Automatic differentiation adds to the gradient of the recurrent weights in every step of time. Here the gradients of the
gates are kept, so that one matrix product over all steps gives that of the weights, and the loops hold nothing but what
depends on the step before.
"""

import keras
from keras import ops


def projected_lstm(gates, hidden, memory, kernels, cell_clip=None, projection_clip=None, reverse=False):
    """The steps of `ProjectedLSTMCell`.

        i, j, f, o = gates + h U
        c' = clip(sigmoid(f + 1) * c + sigmoid(i) * tanh(j))
        r = sigmoid(o) * tanh(c')
        h' = clip(r P)

    Args:
        gates: `[time, batch, 4 * cells]`, the input's share.
        hidden, memory: h `[batch, units]` and c `[batch, cells]` before the first step.
        kernels: U `[units, 4 * cells]`, and if r is projected P `[cells, units]`; else h' = r.
        cell_clip, projection_clip: bounds on the absolute values of c' and of r P, or None.
        reverse: begin with the last step.

    Returns:
        The hidden states `[time, batch, units]` in the order of the gates, and the last hidden state and memory.
    """

    @ops.custom_gradient
    def run(gates, hidden, memory, *kernels):
        recurrent, *projection = kernels
        steps, first = ops.shape(gates)[0], hidden

        def step(t, state):
            hidden, before = state
            *parts, hidden = _step(gates[t] + ops.matmul(hidden, recurrent), before, cell_clip)
            if projection:
                hidden = clip(ops.matmul(hidden, projection[0]), projection_clip)
            return (hidden, parts[-1]), (hidden, before, *parts)

        (hidden, memory), kept = _loop(step, (hidden, memory), steps, 7, reverse)
        outputs = kept[0].stack()

        def gradient(*arguments, upstream=None):
            to_outputs, to_hidden, to_memory = keras.tree.flatten(arguments if upstream is None else upstream)
            # Transposed once: as an operand of every step's product it would be read against the grain.
            back, *back_projected = [ops.transpose(kernel) for kernel in kernels]

            def step_back(t, state):
                to_hidden, to_memory = state
                hidden, *parts = (series.read(t) for series in kept)
                to_projected = to_result = to_hidden + to_outputs[t]
                if projection:
                    to_projected = _clip_gradient(hidden, to_projected, projection_clip)
                    to_result = ops.matmul(to_projected, back_projected[0])
                to_gates, to_memory, result = _step_gradient(to_result, to_memory, parts, cell_clip)
                return (ops.matmul(to_gates, back), to_memory), (to_gates, to_projected, result)

            state, (to_gates, to_projected, result) = _loop(step_back, (to_hidden, to_memory), steps, 3, not reverse)
            to_gates = to_gates.stack()
            before = [outputs[1:], first[None]] if reverse else [first[None], outputs[:-1]]
            to_kernels = [_over_all_steps(ops.concatenate(before), to_gates)]
            if projection:
                to_kernels.append(_over_all_steps(result.stack(), to_projected.stack()))
            return to_gates, *state, *to_kernels

        return (outputs, hidden, memory), gradient

    return run(gates, hidden, memory, *kernels)


def clip(x, bound: float | None):
    return x if bound is None else ops.clip(x, -bound, bound)


def _clip_gradient(clipped, upstream, bound: float | None):
    return upstream if bound is None else ops.where(ops.abs(clipped) < bound, upstream, 0.0)


def _step(gates, before, cell_clip):
    """What of a step is done number by number: the gates, c' and r."""
    i, j, f, o = ops.split(gates, 4, axis=-1)
    i, j, f, o = ops.sigmoid(i), ops.tanh(j), ops.sigmoid(f + 1.0), ops.sigmoid(o)
    memory = clip(f * before + i * j, cell_clip)
    return i, j, f, o, memory, o * ops.tanh(memory)


def _step_gradient(to_result, to_memory, parts, cell_clip):
    """The gradient of `_step`, to the gates and to the memory before; and r, which is not worth keeping."""
    before, i, j, f, o, memory = parts
    squashed = ops.tanh(memory)
    result = o * squashed
    to_memory = to_memory + to_result * (o - result * squashed)
    to_memory = _clip_gradient(memory, to_memory, cell_clip)
    to_candidate = to_memory * i
    to_gates = [
        to_candidate * j * (1.0 - i),
        to_candidate * (1.0 - j * j),
        to_memory * before * f * (1.0 - f),
        to_result * result * (1.0 - o),
    ]
    return ops.concatenate(to_gates, axis=-1), to_memory * f, result


def _over_all_steps(before, to_after):
    """The gradient of a kernel between two sequences, `[time, batch, ...]`."""
    rows, columns = (ops.reshape(x, (-1, x.shape[-1])) for x in (before, to_after))
    return ops.matmul(ops.transpose(rows), columns)


class _Series:
    """What the steps gave, `[time, ...]`, read as a `tf.TensorArray` is."""

    def __init__(self, array):
        self.array = array

    def read(self, t):
        return self.array[t]

    def stack(self):
        return self.array


def _loop(step, state, steps, gives: int, reverse: bool):
    """Call `step(t, state)` for each of the steps t; it returns the new state and as many tensors as it `gives`.

    Returns:
        The last state, and for each tensor that a step gives the series of it, in the order of t.
    """
    if keras.backend.backend() != "tensorflow":
        state, given = ops.scan(lambda state, t: step(t, state), state, ops.arange(steps), reverse=reverse)
        return state, [_Series(array) for array in given]
    import tensorflow as tf

    # An array of tensors need not be copied together where its parts are read one by one.
    arrays = tuple(tf.TensorArray(state[0].dtype, steps, clear_after_read=False) for _ in range(gives))

    def body(k, state, arrays):
        t = steps - 1 - k if reverse else k
        state, given = step(t, state)
        return k + 1, state, tuple(array.write(t, x) for array, x in zip(arrays, given, strict=True))

    _, state, arrays = tf.while_loop(lambda k, *_: k < steps, body, (0, state, arrays))
    return state, arrays
