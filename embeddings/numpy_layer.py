"""A layer of projected LSTM on NumPy, for those who only read."""

from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from keras import ops

from embeddings.kernels import lstm_alone, lstm_rows
from embeddings.options import Precision
from embeddings.streams import Streams


class _Room:
    """Memory that is used again, since memory that is new costs the system's time."""

    def __init__(self) -> None:
        self._held: dict[str, np.ndarray] = {}

    def array(self, name: str, *shape: int) -> np.ndarray:
        """Float32 of any content; what had the name before is overwritten."""
        size = prod(shape)
        if name not in self._held or self._held[name].size < size:
            self._held[name] = np.empty(size, np.float32)
        return self._held[name][:size].reshape(shape)


class Matrix:
    """Weights whose numbers may be narrower than float32.

    Args:
        weights: `[inputs, outputs]`.
        precision: bfloat16 rounds to 8 bits of mantissa; int8 to 1 of 127 steps up to the largest weight of an output.
    """

    def __init__(self, weights: np.ndarray, precision: Precision):
        self._precision, self._weights = precision, weights
        self._rows = np.empty((0, 0), np.float32)
        self._scale = np.ones(weights.shape[1], np.float32)
        if precision == "float32":
            return
        if precision == "int8":
            self._scale = np.maximum(np.abs(weights).max(axis=0, initial=0), 1e-30) / np.float32(127)
            self._rows = np.rint(weights.T / self._scale[:, None]).astype(np.int8, order="C")
        else:
            # To the nearest, of two the even one.
            bits = np.ascontiguousarray(weights.T).view(np.uint32)
            self._rows = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
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
        return np.ascontiguousarray((self._rows.astype(np.uint32) << 16).view(np.float32).T)


class NumPyLayer:
    """The weights of a `Recurrent` layer over a `ProjectedLSTMCell`, in the form in which a step wants them.

    Args:
        layer: whose weights do not change any more.
        precision: of its recurrent weights and its projection.

    Attributes:
        cells: width of the memory.
    """

    def __init__(self, layer: Any, precision: Precision = "float32"):
        cell = layer.cell
        self.cells: int = cell.width
        recurrent, *projection = map(ops.convert_to_numpy, cell.weights)
        # The half of each sigmoid and of the output (`kernels._cell`).
        half = np.repeat(np.array([0.5, 1, 0.5, 0.5], np.float32), self.cells)
        forget = np.repeat(np.array([0, 0, 1, 0], np.float32), self.cells)
        self._kernel = ops.convert_to_numpy(layer.kernel) * half
        self._bias = (ops.convert_to_numpy(layer.bias) + forget) * half
        self._recurrent = Matrix(recurrent * half, precision)
        without = np.empty((self.cells, 0), np.float32)
        self._projection = Matrix(projection[0] * np.float32(0.5) if projection else without, precision)
        bounds = [np.inf if clip is None else clip for clip in (cell.cell_clip, cell.projection_clip)]
        self._clips = np.array(bounds, np.float32)

    def read(
        self,
        inputs: np.ndarray,
        place: np.ndarray,
        streams: Streams,
        at_once: int,
        begin: list[np.ndarray],
        begin_of: np.ndarray,
        state: list[np.ndarray],
        found: np.ndarray,
    ) -> int:
        """Read sentences.

        Args:
            inputs: `[inputs, input width]`.
            place: int `[words]`, the input of each word of the streams, in their order.
            streams: the sentences.
            at_once: words for which the inputs' share of the gates is computed at once, each distinct one once.
            begin: hidden states `[begins, projection]` and memories `[begins, cells]` before sentences.
            begin_of: int `[all sentences]`, which of them comes before a sentence.
            state: likewise of each stream, `[streams, ...]`; changed in place.
            found: `[words, projection]`, the result.

        Returns:
            For how many inputs the share was computed.
        """
        alone, room, computed = streams.rows == 1, _Room(), 0
        weights: list[np.ndarray] = []
        if not alone:
            weights = [self._recurrent.by_input(), self._projection.by_input()]
            # What the states before sentences give to the gates stands before what those of the streams give.
            gates = room.array("gates", len(begin[0]) + streams.rows, 4 * self.cells)
            np.matmul(begin[0], weights[0], out=gates[: len(begin[0])])
        for first, last in streams.pieces(at_once):
            begins = streams.begins[first : last + 1]
            piece = slice(begins[0], begins[-1])
            distinct, where = np.unique(place[piece], return_inverse=True)
            computed += len(distinct)
            share = np.matmul(inputs[distinct], self._kernel, out=room.array("share", len(distinct), 4 * self.cells))
            share += self._bias
            new = streams.new[piece]
            part = where, np.where(new < 0, -1, begin_of[new]), begin, state, found[piece]
            if alone:
                self._read_alone(share, *part)
            else:
                self._read_rows(share, begins - begins[0], weights, gates, *part)
        return computed

    def _read_rows(self, share, begins, weights, gates, place, new, begin, state, found) -> None:
        lstm_rows(share, place, begins, new, begin[1], tuple(weights), tuple(state), gates, self._clips, found)

    def _read_alone(self, share, place, new, begin, state, found) -> None:
        recurrent, projection = self._recurrent.by_output(), self._projection.by_output()
        hidden, memory = (rows[0] for rows in state)
        for first, last in pairwise(sorted({0, *np.flatnonzero(new >= 0).tolist(), len(place)})):
            if new[first] >= 0:
                hidden[:], memory[:] = (rows[new[first]] for rows in begin)
            steps = slice(first, last)
            lstm_alone(share, place[steps], recurrent, projection, memory, hidden, self._clips, found[steps])
