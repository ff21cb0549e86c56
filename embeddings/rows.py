"""Rows of a large matrix, read and learned without touching the others."""

import keras
from keras import ops


def take_rows(variable, ids):
    """Some rows of a matrix or entries of a vector, whose gradient is no larger than they are.

    On TensorFlow the gradient is a `tf.IndexedSlices` in which every row stands once, however often it was asked for:
    its norm is that of the dense gradient, and `embeddings.row_updates` can square it. JAX has only dense gradients.

    Args:
        variable: a Keras variable, `[rows, ...]`.
        ids: int `[n]`.

    Returns:
        `[n, ...]`.
    """
    if keras.backend.backend() != "tensorflow":
        return ops.take(variable, ids, axis=0)
    import tensorflow as tf

    unique, place = tf.unique(tf.convert_to_tensor(ids))
    # From the resource itself: a tensor of the variable would be a copy of it whenever rows have been updated.
    return tf.gather(tf.gather(variable.value, unique), place)
