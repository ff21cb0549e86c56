"""One graph for a function over layers, whatever the backend, and whether there is more than a processor to run it."""

from collections.abc import Callable

import keras


def has_accelerator() -> bool:
    """Whether the backend computes elsewhere than on the processor."""
    if keras.backend.backend() != "tensorflow":
        import jax

        return jax.default_backend() != "cpu"
    import tensorflow as tf

    return any(device.device_type != "CPU" for device in tf.config.list_logical_devices())


def compiled(function: Callable, of: keras.layers.Layer | None = None) -> Callable:
    """`function`, traced once for all shapes on TensorFlow. On JAX it is compiled for each shape, if `of` tells whose
    weights it needs, which do not change any more; and else as it is (Keras compiles its loops by itself).

    The arguments are nested structures of tensors and arrays. Every axis may change from call to call, but the last
    of an array of floats. For another number of arrays it is traced anew. `function` asks Keras or TensorFlow, and not
    Python, for what depends on the numbers in a tensor: its `if` and `for` are those of the first call.
    """
    if keras.backend.backend() != "tensorflow":
        return _compiled_by_jax(function, of.variables) if of else function
    import tensorflow as tf

    def any_shape(x):
        free = x.shape.rank - x.dtype.is_floating
        return tf.TensorSpec([None] * free + x.shape[free:], x.dtype)

    graphs: dict[int, Callable] = {}

    def call(*arguments):
        arguments = tf.nest.map_structure(tf.convert_to_tensor, arguments)
        count = len(tf.nest.flatten(arguments))
        if count not in graphs:
            signature = tf.nest.map_structure(any_shape, arguments)
            graphs[count] = tf.function(function, input_signature=signature, autograph=False)
        return graphs[count](*arguments)

    return call


def _compiled_by_jax(function: Callable, variables: list) -> Callable:
    import jax

    def stateless(values, arguments):
        # As constants of the graph, weights would be compiled with it.
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return function(*arguments)

    graph = jax.jit(stateless)

    def call(*arguments):
        # A GPU would else round each factor to 10 bits of mantissa (TF32).
        with jax.default_matmul_precision("highest"):
            return graph([variable.value for variable in variables], arguments)

    return call
