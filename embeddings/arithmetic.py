"""How much arithmetic an embedding needs, and how much the machine can do."""

import time
from statistics import median

import numpy as np
from keras import ops

from embeddings.compiled import compiled
from embeddings.options import BiLMOptions


def operations(options: BiLMOptions, words: int, inputs: int, distinct: int) -> float:
    """Floating-point operations of the matrix products that an embedding cannot do without. The convolutions over
    characters need none (`kernels.pooled_windows`).

    Args:
        options: of the biLM.
        words: that pass the recurrent layers.
        inputs: words for which the first layer's inputs are multiplied, in all directions: of words that occur again
            once is enough.
        distinct: words that pass the character layers.
    """
    width = options.state_sizes[-1]
    blocks = {"rnn": 1, "gru": 3, "lstm_without_forget_gate": 3}.get(options.cell, 4)
    p = options.projection
    gates = p * blocks * width
    state = gates + (width * p if options.cell == "projected_lstm" and options.projects_state else 0)
    products = float(words) * options.directions * (options.layers * state + (options.layers - 1) * gates)
    products += float(inputs) * gates
    if options.spelled:
        products += distinct * (options.highways * 2 * options.features**2 + options.features * p)
    return 2 * float(products)


def matmul_peak(size: int = 2048, tries: int = 10, by_numpy: bool = False) -> float:
    """Floating-point operations a second of the product of two large squares of float32: the median of some tries.

    Args:
        size: of the squares.
        tries: how often.
        by_numpy: whether NumPy is measured, or Keras' backend.
    """
    square = np.random.default_rng(0).standard_normal((size, size), np.float32)
    product = np.matmul if by_numpy else compiled(ops.matmul)
    seconds = []
    for _ in range(tries + 1):
        began = time.perf_counter()
        ops.convert_to_numpy(product(square, square)[0, 0])
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / median(seconds[1:])
