"""Stacks of recurrent layers."""

import keras

_CELLS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


def recurrent_layer(
    cell: str, units: int, bidirectional: bool, name: str, return_sequences: bool = True
) -> keras.layers.Layer:
    """A layer of LSTM or GRU cells, read from one side or from both."""
    layer = _CELLS[cell](units, return_sequences=return_sequences, name=None if bidirectional else name)
    return keras.layers.Bidirectional(layer, name=name) if bidirectional else layer


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
    cell: str, units: int, depth: int, bidirectional: bool, width: int, name: str
) -> tuple[list[keras.layers.Layer], int]:
    """Built recurrent layers, one after another, and the width of the last.

    Args:
        cell, units, depth, bidirectional: of the layers.
        width: of the input.
        name: of a layer is this and its number.
    """
    stack = []
    for k in range(depth):
        stack.append(recurrent_layer(cell, units, bidirectional, f"{name}_{k}"))
        stack[-1].build((None, None, width))
        width = width_of(units, bidirectional)
    return stack, width
