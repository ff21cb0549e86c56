"""The projected LSTM over a whole sequence, with its gradient written out.

Automatic differentiation adds to the gradient of the weights in every step of time. Here the gradients of the gates are
kept, so that one matrix product over all steps gives that of the weights.
"""

from typing import Any, NamedTuple

import keras
from keras import ops


def projected_lstm(inputs, hidden, memory, weights, cell_clip=None, projection_clip=None, reverse=False):
    """The steps of `ProjectedLSTMCell`, above the product of its inputs with the kernel.

        i, j, f, o = [x; h] K + b
        c' = clip(sigmoid(f + 1) * c + sigmoid(i) * tanh(j))
        r = sigmoid(o) * tanh(c')
        h' = clip(r P)

    Each gate is a product of its own, so that none has to be cut out of a larger array or put together to one, and
    TensorFlow makes product, bias and squashing one operation. The input's share is not computed ahead, as `Recurrent`
    does elsewhere: with many rows the product of a step is large enough, and the shares of all steps are never held.

    Args:
        inputs: x `[time, batch, input]`.
        hidden, memory: h `[batch, units]` and c `[batch, cells]` before the first step.
        weights: K of i, j, f and o, each `[input + units, cells]`; their b, each `[cells]`; and if r is projected P
            `[cells, units]`; else h' = r.
        cell_clip, projection_clip: bounds on the absolute values of c' and of r P, or None.
        reverse: begin with the last step.

    Returns:
        The hidden states `[time, batch, units]` in the order of the inputs, and the last hidden state and memory.
    """

    @ops.custom_gradient
    def run(inputs, hidden, memory, *weights):
        kernels, (i, j, f, o), projection = weights[:4], weights[4:8], weights[8:]
        biases, units = (i, j, f + 1.0, o), hidden.shape[-1]
        steps, first = ops.shape(inputs)[0], hidden

        def step(t, state, _):
            hidden, before = state
            both = ops.concatenate([inputs[t], hidden], axis=-1)
            gates = [ops.add(ops.matmul(both, kernel), bias) for kernel, bias in zip(kernels, biases, strict=True)]
            *parts, hidden = _step(gates, before, cell_clip)
            if projection:
                hidden = clip(ops.matmul(hidden, projection[0]), projection_clip)
            return (hidden, parts[-1]), (hidden, before, *parts)

        (hidden, memory), kept = _loop(step, (hidden, memory), steps, (), 7, reverse)
        outputs = kept[0].stack()

        def gradient(*arguments, upstream=None):
            to_outputs, to_hidden, to_memory = keras.tree.flatten(arguments if upstream is None else upstream)
            # Transposed once: as an operand of every step's product it would be read against the grain.
            back, back_projected = ([ops.transpose(x) for x in part] for part in (kernels, projection))

            def step_back(t, state, kept):
                to_hidden, to_memory = state
                hidden, *parts = kept
                to_projected = to_result = to_hidden + to_outputs[t]
                if projection:
                    to_projected = _clip_gradient(hidden, to_projected, projection_clip)
                    to_result = ops.matmul(to_projected, back_projected[0])
                to_gates, to_memory, result = _step_gradient(to_result, to_memory, parts, cell_clip)
                to_both = sum(ops.matmul(gate, kernel) for gate, kernel in zip(to_gates, back, strict=True))
                return (to_both[:, -units:], to_memory), (to_both[:, :-units], to_projected, result, *to_gates)

            state, (to_inputs, to_projected, result, *to_gates) = _loop(
                step_back, (to_hidden, to_memory), steps, kept, 7, not reverse
            )
            before = [outputs[1:], first[None]] if reverse else [first[None], outputs[:-1]]
            both = _flat(ops.concatenate([inputs, ops.concatenate(before)], axis=-1))
            to_gates = [_flat(gate.stack()) for gate in to_gates]
            to_weights = [ops.matmul(ops.transpose(both), gate) for gate in to_gates]
            to_weights += [ops.sum(gate, axis=0) for gate in to_gates]
            if projection:
                to_weights.append(ops.matmul(ops.transpose(_flat(result.stack())), _flat(to_projected.stack())))
            return to_inputs.stack(), *state, *to_weights

        return (outputs, hidden, memory), gradient

    return run(inputs, hidden, memory, *weights)


def clip(x, bound: float | None):
    return x if bound is None else ops.clip(x, -bound, bound)


def _clip_gradient(clipped, upstream, bound: float | None):
    return upstream if bound is None else ops.where(ops.abs(clipped) < bound, upstream, 0.0)


def _step(gates, before, cell_clip):
    """What of a step is done number by number: the gates, whose f has 1 added already, c' and r."""
    i, j, f, o = gates
    i, j, f, o = ops.sigmoid(i), ops.tanh(j), ops.sigmoid(f), ops.sigmoid(o)
    memory = clip(f * before + i * j, cell_clip)
    return i, j, f, o, memory, o * ops.tanh(memory)


def _step_gradient(to_result, to_memory, parts, cell_clip):
    """The gradient of `_step`, to the gates and to the memory before; and r, which is not worth keeping."""
    before, i, j, f, o, memory = parts
    squashed = ops.tanh(memory)
    to_memory = _clip_gradient(memory, to_memory + _tanh_gradient(squashed, to_result * o), cell_clip)
    to_gates = (
        _sigmoid_gradient(i, to_memory * j),
        _tanh_gradient(j, to_memory * i),
        _sigmoid_gradient(f, to_memory * before),
        _sigmoid_gradient(o, to_result * squashed),
    )
    return to_gates, to_memory * f, o * squashed


def _sigmoid_gradient(y, upstream):
    """To x, of y = sigmoid(x)."""
    if keras.backend.backend() != "tensorflow":
        return upstream * y * (1.0 - y)
    import tensorflow as tf

    # In one pass over the numbers.
    return tf.raw_ops.SigmoidGrad(y=y, dy=upstream)


def _tanh_gradient(y, upstream):
    """To x, of y = tanh(x)."""
    if keras.backend.backend() != "tensorflow":
        return upstream * (1.0 - y * y)
    import tensorflow as tf

    return tf.raw_ops.TanhGrad(y=y, dy=upstream)


def _flat(series):
    """`[time, batch, width]` as `[time * batch, width]`."""
    return ops.reshape(series, (-1, series.shape[-1]))


class _Series(NamedTuple):
    """A tensor for each step: all in one, `[time, ...]`, or on TensorFlow an array of tensors, which need not be copied
    together, with the shape that each has."""

    array: Any
    shape: Any = None

    def read(self, array, t):
        """From the array as a loop has changed it."""
        x = array.read(t)
        x.set_shape(self.shape)
        return x

    def stack(self):
        if self.shape is None:
            return self.array
        x = self.array.stack()
        x.set_shape([None, *self.shape])
        return x


def _loop(step, state, steps, takes, gives: int, reverse: bool):
    """Call `step(t, state, taken)` for each of the steps t.

    Args:
        step: gives the new state, and a tuple of tensors.
        state: before the first step.
        steps: how many.
        takes: series of which each step takes its part; they are used up.
        gives: number of tensors in the tuple.
        reverse: begin with the last step.

    Returns:
        The last state, and the series of each tensor that the steps gave, in the order of t.
    """
    if keras.backend.backend() != "tensorflow":
        taken = ops.arange(steps), [series.array for series in takes]
        state, given = ops.scan(lambda state, x: step(x[0], state, x[1]), state, taken, reverse=reverse)
        return state, [_Series(x) for x in given]
    import tensorflow as tf

    dtype = state[0].dtype
    shapes: list = []
    arrays = tuple(tf.TensorArray(dtype, steps, clear_after_read=False, infer_shape=False) for _ in range(gives))

    def body(k, state, taken, arrays):
        t = steps - 1 - k if reverse else k
        state, given = step(t, state, [series.read(array, t) for series, array in zip(takes, taken, strict=True)])
        shapes[:] = [x.shape for x in given]
        # Else the memory of what was taken would be held until the end, beside that of what is given.
        taken = tuple(array.write(t, tf.zeros((0,), dtype)) for array in taken)
        return k + 1, state, taken, tuple(array.write(t, x) for array, x in zip(arrays, given, strict=True))

    taken = tuple(series.array for series in takes)
    _, state, _, arrays = tf.while_loop(lambda k, *_: k < steps, body, (0, state, taken, arrays))
    return state, [_Series(array, shape) for array, shape in zip(arrays, shapes, strict=True)]
