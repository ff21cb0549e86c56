"""A layer of projected LSTM on NumPy, for those who only read."""

from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from keras import ops

from embeddings.kernels import lstm_alone, lstm_rows, lstm_step
from embeddings.matrix import Float32Product, Matrix, Product, matrix_of_many
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
        self._kernel = matrix_of_many(ops.convert_to_numpy(layer.kernel) * half, precision)
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
        kernel = self._kernel.product()
        products: list[Product] = []
        if not alone:
            products = [self._recurrent.product(), self._projection.product()]
            # What the states before sentences give to the gates.
            before = products[0].as_it_comes(begin[0], room.array("before", len(begin[0]), 4 * self.cells))
        for first, last in streams.pieces(at_once):
            begins = streams.begins[first : last + 1]
            piece = slice(begins[0], begins[-1])
            distinct, where = np.unique(place[piece], return_inverse=True)
            computed += len(distinct)
            share = kernel(inputs[distinct], room.array("share", len(distinct), 4 * self.cells))
            share += self._bias
            new = streams.new[piece]
            part = where, np.where(new < 0, -1, begin_of[new]), begin, state, found[piece]
            if alone:
                self._read_alone(share, *part)
            else:
                self._read_rows(share, begins - begins[0], products, before, room, *part)
        return computed

    def _read_rows(self, share, begins, products, before, room, place, new, begin, state, found) -> None:
        recurrent, projection = products
        if isinstance(recurrent, Float32Product) and isinstance(projection, Float32Product):
            gates = room.array("gates", len(state[0]), 4 * self.cells)
            weights = recurrent.weights, projection.weights
            lstm_rows(share, place, begins, new, before, begin[1], weights, tuple(state), gates, self._clips, found)
            return
        for first, last in pairwise(begins.tolist()):
            hidden, memory = (rows[: last - first] for rows in state)
            row_of = new[first:last]
            old = np.flatnonzero(row_of < 0)
            if len(old) < last - first:
                fresh = np.flatnonzero(row_of >= 0)
                memory[fresh] = begin[1][row_of[fresh]]
                row_of = -1 - row_of
                row_of[old] = range(len(old))
                states = hidden[old]
            else:
                row_of, states = np.arange(len(old)), hidden
            gates = recurrent.as_it_comes(states, room.array("gates", len(old), 4 * self.cells))
            output = room.array("output", *memory.shape)
            lstm_step(share, place[first:last], gates, before, row_of, memory, output, self._clips[0])
            if self._projection.outputs:
                projection(output, hidden)
                np.clip(hidden, -self._clips[1], self._clips[1], out=hidden)
            else:
                np.multiply(output, np.float32(0.5), out=hidden)
            found[first:last] = hidden

    def _read_alone(self, share, place, new, begin, state, found) -> None:
        recurrent, projection = self._recurrent.by_output(), self._projection.by_output()
        hidden, memory = (rows[0] for rows in state)
        for first, last in pairwise(sorted({0, *np.flatnonzero(new >= 0).tolist(), len(place)})):
            if new[first] >= 0:
                hidden[:], memory[:] = (rows[new[first]] for rows in begin)
            steps = slice(first, last)
            lstm_alone(share, place[steps], recurrent, projection, memory, hidden, self._clips, found[steps])
