"""Stacks of recurrent layers."""

import keras
from keras import ops

from embeddings.cells import Cell, ElmanCell, OriginalLSTMCell, ProjectedLSTMCell
from embeddings.recurrent import Recurrent
from models.lstm import LSTM, Bidirectional

_KERAS = {"lstm": LSTM, "gru": keras.layers.GRU}


def recurrent_layer(
    cell: str, units: int, bidirectional: bool, name: str, return_sequences: bool = True, cells: int | None = None
) -> keras.layers.Layer:
    """A layer of recurrent cells, read from one side or from both.

    Args:
        cell: one of `models.options.RECURRENT`.
        units: of each direction.
        bidirectional: whether it reads from both sides.
        name: of the layer.
        return_sequences: a state for each word, or the last one alone (of LSTM and GRU only).
        cells: of a projected LSTM, four times `units` by default.
    """
    if cell not in _KERAS:
        return Directions(cell, units, cells or 4 * units, bidirectional, name=name)
    layer = _KERAS[cell](units, return_sequences=return_sequences, name=None if bidirectional else name)
    return Bidirectional(layer, name=name) if bidirectional else layer


class Directions(keras.layers.Layer):
    """A cell of `embeddings.cells` that reads a text from its begin and, if asked for, from its end.

    Args:
        cell: `rnn`, `lstm_without_forget_gate` or `projected_lstm`.
        units: of each direction.
        cells: width of a projected LSTM's memory.
        bidirectional: whether it reads from both sides.

    Call arguments:
        inputs: `[batch, time, input]`.
        mask: bool `[batch, time]`.

    Returns:
        `[batch, time, units]`, or twice as many numbers with both directions.
    """

    def __init__(self, cell: str, units: int, cells: int, bidirectional: bool, **kwargs):
        super().__init__(**kwargs)
        sides = ("forward", "backward")[: 1 + bidirectional]
        self.sides = [Recurrent(_cell(cell, units, cells), side == "backward", name=side) for side in sides]

    def build(self, input_shape):
        for side in self.sides:
            side.build(input_shape)

    def call(self, inputs, mask=None):
        return ops.concatenate([side(inputs, mask=mask)[0] for side in self.sides], axis=-1)

    def compute_mask(self, inputs, mask=None):
        """The caller hands on its mask by itself."""


def _cell(cell: str, units: int, cells: int) -> Cell:
    if cell == "projected_lstm":
        return ProjectedLSTMCell(units, cells, cell_clip=None, projection_clip=None, name="cell")
    return {"rnn": ElmanCell, "lstm_without_forget_gate": OriginalLSTMCell}[cell](units, name="cell")


def width_of(units: int, bidirectional: bool) -> int:
    """Width of a recurrent layer's output."""
    return 2 * units if bidirectional else units


def dense_stack(layers, width: int, name: str) -> tuple[list[keras.layers.Dense], int]:
    """Built dense layers, one after another, and the width of the last.

    Args:
        layers: units and activation of each.
        width: of the input.
        name: of a layer is this and its number.
    """
    stack = []
    for k, (units, activation) in enumerate(layers):
        stack.append(keras.layers.Dense(units, activation, name=f"{name}_{k}"))
        stack[-1].build((None, width))
        width = units
    return stack, width


def recurrent_stack(
    cell: str, units: int, depth: int, bidirectional: bool, width: int, name: str, cells: int | None = None
) -> tuple[list[keras.layers.Layer], int]:
    """Built recurrent layers, one after another, and the width of the last.

    Args:
        cell, units, depth, bidirectional, cells: of the layers.
        width: of the input.
        name: of a layer is this and its number.
    """
    stack = []
    for k in range(depth):
        stack.append(recurrent_layer(cell, units, bidirectional, f"{name}_{k}", cells=cells))
        stack[-1].build((None, None, width))
        width = width_of(units, bidirectional)
    return stack, width
