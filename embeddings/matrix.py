"""Weights whose numbers may be narrower than float32, and their products."""

import numpy as np

from embeddings.bfloat16 import Bfloat16Product, multiplies_bfloat16, rounded, widened
from embeddings.options import Precision


class Float32Product:
    """Multiplies rows with weights `[inputs, outputs]`."""

    def __init__(self, weights: np.ndarray):
        self.weights = weights

    def __call__(self, rows: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Float32 `[rows, outputs]` of float32 `[rows, inputs]`, put into `out`."""
        return np.matmul(rows, self.weights, out=out)

    as_it_comes = __call__

    def columns(self, which: slice) -> "Float32Product":
        """Gives some of the outputs, `[rows, those]`; nothing is copied."""
        return Float32Product(self.weights[:, which])


Product = Float32Product | Bfloat16Product


class Matrix:
    """Weights whose numbers may be narrower than float32.

    Args:
        weights: `[inputs, outputs]`.
        precision: bfloat16 rounds to 8 bits of mantissa; int8 to 1 of 127 steps up to the largest weight of an output.
    """

    def __init__(self, weights: np.ndarray, precision: Precision):
        self._precision, self._weights = precision, weights
        self._product: Product | None = None
        self.outputs: int = weights.shape[1]
        self._rows = np.empty((0, 0), np.float32)
        self._scale = np.ones(weights.shape[1], np.float32)
        if precision == "float32":
            return
        if precision == "int8":
            self._scale = np.maximum(np.abs(weights).max(axis=0, initial=0), 1e-30) / np.float32(127)
            self._rows = np.rint(weights.T / self._scale[:, None]).astype(np.int8, order="C")
        else:
            self._rows = rounded(weights.T)
            if multiplies_bfloat16():
                self._product = Bfloat16Product(np.ascontiguousarray(self._rows.T))
        self._weights = np.empty((0, 0), np.float32)

    def by_output(self) -> tuple[np.ndarray, np.ndarray]:
        """`[outputs, inputs]`, of bfloat16 as uint16, and what each row is to be multiplied with."""
        if len(self._rows) < len(self._scale):
            # In this order only who reads sentences alone needs them.
            self._rows = np.ascontiguousarray(self._weights.T)
        return self._rows, self._scale

    def by_input(self) -> np.ndarray:
        """As float32, `[inputs, outputs]`."""
        if self._precision == "float32":
            return self._weights
        if self._precision == "int8":
            return np.ascontiguousarray((self._rows * self._scale[:, None]).T)
        return np.ascontiguousarray(widened(self._rows).T)

    def product(self) -> Product:
        """Multiplies many rows with the weights."""
        if self._product:
            return self._product
        return Float32Product(self.by_input())


def matrix_of_many(weights: np.ndarray, precision: Precision) -> Matrix:
    """Weights that are multiplied with many rows or with few, never for the time of reading them: narrower only where
    the products are, which is bfloat16 on some processors."""
    return Matrix(weights, precision if precision == "bfloat16" and multiplies_bfloat16() else "float32")
