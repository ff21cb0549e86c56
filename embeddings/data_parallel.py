"""Several devices that share the work of a training.

With `KERAS_BACKEND=jax` every GPU that JAX sees holds the whole model and takes its share of each batch's rows, and of
the window's distinct words:

    pip install "jax[cuda13]"
    KERAS_BACKEND=jax telmo pretrain CONFIG
    CUDA_VISIBLE_DEVICES=0 KERAS_BACKEND=jax telmo pretrain CONFIG  # on the first one only

The losses are those of one device but for rounding. A checkpoint has no backend and no number of devices: a training
goes on with others, but that TensorFlow and JAX draw other random numbers from the same seed.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from embeddings.errors import ConfigError


@contextmanager
def data_parallel(batch_size: int) -> Iterator[None]:
    """While it lasts, models are built for all devices that JAX sees; on TensorFlow, and with one device, nothing is
    done.

    Args:
        batch_size: rows of every batch.

    Raises:
        ConfigError: they cannot be shared out evenly.
    """
    if keras.backend.backend() != "jax" or (devices := keras.distribution.get_device_count()) == 1:
        yield
        return
    if batch_size % devices:
        raise ConfigError(
            f"training.batch_size: {batch_size} rows for {devices} devices; expected a multiple of {devices}, or fewer "
            "devices (CUDA_VISIBLE_DEVICES)"
        )
    with keras.distribution.DataParallel().scope():
        yield


def devices_in_use() -> int:
    """Among how many devices a batch is shared out."""
    distribution = keras.distribution.distribution()
    return distribution.device_mesh.devices.size if distribution else 1


def shared_out(arrays: dict) -> dict:
    """Arrays on their devices, cut along the first axis if there are several."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return arrays
    return {
        name: keras.distribution.distribute_tensor(array, distribution.get_data_layout(array.shape))
        for name, array in arrays.items()
    }
