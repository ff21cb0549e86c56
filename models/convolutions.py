"""Convolutions over the words of a text."""

from collections.abc import Sequence

import keras
from keras import ops


class WordConvolutions(keras.layers.Layer):
    """Convolutions of several widths side by side, with ReLU; with max pooling above it the network of Kim (2014,
    "Convolutional neural networks for sentence classification", section 2). A text is padded with zeros at both ends,
    so that each word has its window.

    Args:
        filters: of each width.
        widths: in words.

    Call arguments:
        inputs: `[batch, time, input]`.
        mask: bool `[batch, time]`.

    Returns:
        `[batch, time, filters * len(widths)]`.
    """

    def __init__(self, filters: int, widths: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        self.convolutions = [
            keras.layers.Conv1D(filters, width, padding="same", activation="relu", name=f"width_{width}_{k}")
            for k, width in enumerate(widths)
        ]

    def build(self, input_shape):
        for convolution in self.convolutions:
            convolution.build(input_shape)

    def call(self, inputs, mask):
        # What stands beyond the end must not be seen through a window.
        inputs = inputs * ops.cast(mask, inputs.dtype)[..., None]
        return ops.concatenate([convolution(inputs) for convolution in self.convolutions], axis=-1)

    def compute_mask(self, inputs, mask=None):
        """The caller hands on its mask by itself."""


def convolution_stack(filters: int, widths: Sequence[int], depth: int, width: int, name: str):
    """Built layers of convolutions, one after another, and the width of the last.

    Args:
        filters, widths: of each layer.
        depth: number of layers.
        width: of the input.
        name: of a layer is this and its number.
    """
    stack = []
    for k in range(depth):
        stack.append(WordConvolutions(filters, widths, name=f"{name}_{k}"))
        stack[-1].build((None, None, width))
        width = filters * len(widths)
    return stack, width
