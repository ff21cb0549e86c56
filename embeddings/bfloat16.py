"""Numbers of 16 bits, the upper half of a float32, and their products where the processor has them."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import keras
import ml_dtypes
import numpy as np
from keras import ops

TILE = 32
"""Rows of a product are a multiple of this, so that few shapes are compiled; an AMX tile has 16."""


@cache
def multiplies_bfloat16() -> bool:
    """Whether the processor has products of bfloat16: AVX-512 BF16 or AMX, or BF16 of Arm. Known on Linux only."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return False
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features"))), [])
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(flags)


def rounded(numbers: np.ndarray) -> np.ndarray:
    """The bits of the nearest bfloat16, of two the even one, as uint16."""
    bits = np.ascontiguousarray(numbers).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def widened(bits: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """The float32 of a bfloat16's bits."""
    wide = np.left_shift(bits, 16, out=None if out is None else out.view(np.uint32), dtype=np.uint32)
    return wide.view(np.float32)


class Bfloat16Product:
    """Multiplies rows with weights, both rounded to bfloat16, as is the result; by the library that Keras stands on.

    Args:
        bits: of the weights, uint16 `[inputs, outputs]`.
    """

    def __init__(self, bits: np.ndarray):
        self._weights = ops.convert_to_tensor(bits.view(ml_dtypes.bfloat16))

    def __call__(self, rows: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Float32 `[rows, outputs]` of float32 `[rows, inputs]`, put into `out`."""
        return widened(self.as_it_comes(rows, out), out)

    def as_it_comes(self, rows: np.ndarray, out: np.ndarray) -> np.ndarray:
        """The bits of the result, uint16; `out` is not used."""
        padded = np.zeros((-(-len(rows) // TILE) * TILE, rows.shape[1]), np.uint16)
        padded[: len(rows)] = rounded(rows)
        found = _product()(padded.view(ml_dtypes.bfloat16), self._weights)
        return np.asarray(found)[: len(rows)].view(np.uint16)


@cache
def _product() -> Callable:
    """Of each core by itself, as those of NumPy are here."""
    if keras.backend.backend() != "jax":
        return ops.matmul
    import jax

    return jax.jit(jax.numpy.matmul, compiler_options={"xla_cpu_multi_thread_eigen": False})
