"""Optimizers that update only the rows that a gradient has.

Keras's own take a `tf.IndexedSlices` but work on the whole matrix nevertheless: for a softmax of 200,000 words their
update alone costs more than the rest of a training step. With gradients that are dense, as all are on JAX, and for the
variables whose gradient is dense, these are Keras's optimizers.

A row that a gradient has several times, as that of `ops.take` does, is summed first: squares and norms are those of the
whole.
"""

import keras
from keras import ops


def is_rows(gradient) -> bool:
    """Whether a gradient is one of some rows only (`tf.IndexedSlices`)."""
    return hasattr(gradient, "dense_shape") and hasattr(gradient, "indices")


def dense_part(gradient):
    """The numbers of a gradient that may differ from 0."""
    return gradient.values if is_rows(gradient) else gradient


def scaled(gradient, scale):
    """A gradient times a number."""
    return _rows(scale * gradient.values, gradient) if is_rows(gradient) else scale * gradient


class RowUpdates:
    """A mixin for Keras's optimizers: clips and applies gradients of rows as they are."""

    def apply(self, grads, trainable_variables=None):
        grads = [_distinct(gradient) if is_rows(gradient) else gradient for gradient in grads]
        return super().apply(grads, trainable_variables)  # type: ignore[misc]

    def update_step(self, gradient, variable, learning_rate):
        if not is_rows(gradient):
            return super().update_step(gradient, variable, learning_rate)  # type: ignore[misc]
        index = self._get_variable_index(variable)  # type: ignore[attr-defined]
        values = ops.cast(gradient.values, variable.dtype)
        step = self.row_step(values, gradient.indices, index, ops.cast(learning_rate, variable.dtype))
        self.assign_sub(variable, _rows(step, gradient))  # type: ignore[attr-defined]

    def row_step(self, gradient, ids, index: int, learning_rate):
        """What to take from the rows; brings the optimizer's own rows up to date.

        Args:
            gradient: `[rows, ...]`.
            ids: int `[rows]`.
            index: of the variable among those of the optimizer.
            learning_rate: of this step.
        """
        raise NotImplementedError

    def _clip_gradients(self, grads):
        """As Keras clips, which cannot multiply `tf.IndexedSlices`."""
        if not any(map(is_rows, grads)):
            return super()._clip_gradients(grads)  # type: ignore[misc]
        parts = super()._clip_gradients([dense_part(gradient) for gradient in grads])  # type: ignore[misc]
        return [_rows(part, whole) if is_rows(whole) else part for part, whole in zip(parts, grads, strict=True)]


class RowSGD(RowUpdates, keras.optimizers.SGD):
    """Stochastic gradient descent; with momentum, which moves every row at every step, as Keras does it."""

    def update_step(self, gradient, variable, learning_rate):
        if is_rows(gradient) and self.momentum:
            return keras.optimizers.SGD.update_step(self, ops.convert_to_tensor(gradient), variable, learning_rate)
        return super().update_step(gradient, variable, learning_rate)

    def row_step(self, gradient, ids, index, learning_rate):
        return learning_rate * gradient


class RowAdagrad(RowUpdates, keras.optimizers.Adagrad):
    """Adagrad (Duchi et al. 2011). A row without a gradient stays as it is, so that the result is the dense one."""

    def row_step(self, gradient, ids, index, learning_rate):
        accumulator = self._accumulators[index].value
        squares = _gather(accumulator, ids) + ops.square(gradient)
        _put(accumulator, ids, squares)
        return learning_rate * gradient / ops.sqrt(squares + self.epsilon)


class RowAdam(RowUpdates, keras.optimizers.Adam):
    """Adam (Kingma and Ba 2015, algorithm 1), in which a row's moments rest while it has no gradient: the "lazy" Adam
    of TensorFlow. Where every row has a gradient at every step, the result is the dense one."""

    def update_step(self, gradient, variable, learning_rate):
        if is_rows(gradient) or self.amsgrad or keras.backend.backend() != "tensorflow":
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        index = self._get_variable_index(variable)
        t = ops.cast(self.iterations + 1, variable.dtype)
        # The same in one pass over the numbers.
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=ops.power(ops.cast(self.beta_1, variable.dtype), t),
            beta2_power=ops.power(ops.cast(self.beta_2, variable.dtype), t),
            lr=ops.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=ops.cast(gradient, variable.dtype),
        )

    def row_step(self, gradient, ids, index, learning_rate):
        if self.amsgrad:
            raise NotImplementedError("amsgrad has no update by rows")
        momentum, velocity = self._momentums[index].value, self._velocities[index].value
        m = _gather(momentum, ids)
        m += (gradient - m) * (1 - self.beta_1)
        v = _gather(velocity, ids)
        v += (ops.square(gradient) - v) * (1 - self.beta_2)
        _put(momentum, ids, m)
        _put(velocity, ids, v)
        t = ops.cast(self.iterations + 1, gradient.dtype)
        alpha = learning_rate * ops.sqrt(1 - ops.power(self.beta_2, t)) / (1 - ops.power(self.beta_1, t))
        return alpha * m / (ops.sqrt(v) + self.epsilon)


def _distinct(gradient):
    import tensorflow as tf

    ids, place = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, place, tf.size(ids))
    return tf.IndexedSlices(values, ids, gradient.dense_shape)


def _rows(values, like):
    import tensorflow as tf

    return tf.IndexedSlices(values, like.indices, like.dense_shape)


def _gather(variable, ids):
    import tensorflow as tf

    return tf.gather(variable, ids)


def _put(variable, ids, values) -> None:
    import tensorflow as tf

    variable.scatter_update(tf.IndexedSlices(values, ids))
