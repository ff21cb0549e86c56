"""One graph for a function over layers, whatever the backend."""

from collections.abc import Callable

import keras


def compiled(function: Callable) -> Callable:
    """`function`, traced once for all shapes on TensorFlow; elsewhere as it is (Keras compiles its loops by itself).

    The arguments are nested structures of tensors and arrays. Every axis may change from call to call, but the last
    of an array of floats. For another number of arrays it is traced anew.
    """
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    def any_shape(x):
        free = x.shape.rank - x.dtype.is_floating
        return tf.TensorSpec([None] * free + x.shape[free:], x.dtype)

    graphs: dict[int, Callable] = {}

    def call(*arguments):
        arguments = tf.nest.map_structure(tf.convert_to_tensor, arguments)
        count = len(tf.nest.flatten(arguments))
        if count not in graphs:
            graphs[count] = tf.function(function, input_signature=tf.nest.map_structure(any_shape, arguments))
        return graphs[count](*arguments)

    return call
