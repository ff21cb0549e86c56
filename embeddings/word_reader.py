"""The token vectors of words, on NumPy and every core."""

from collections.abc import Callable
from functools import partial

import numpy as np
from keras import ops

from embeddings.cores import cores, on_cores
from embeddings.kernels import highway_mix, pooled_windows
from embeddings.matrix import Float32Product, Product, matrix_of_many
from embeddings.options import Precision
from embeddings.spelling import Spelling
from embeddings.token_encoder import TokenEncoder

Dense = tuple[Product, np.ndarray]

EVERY = slice(None)
AT_ONCE = 512
"""Words whose features are in memory at once, for each core."""
FEW = 64
"""Words whose products take the time of reading the weights: each core reads a part of them, for all of the words."""


class WordReader:
    """`TokenEncoder` where nothing is to be learned.

    Args:
        encoder: whose weights do not change any more.
        spelling: of the biLM.
        precision: of the products.
    """

    def __init__(self, encoder: TokenEncoder, spelling: Spelling, precision: Precision = "float32"):
        options = self._options = encoder.options
        self._spelling = spelling
        self._words = _array(encoder.word_vectors) if options.words else None
        self._tables: list[np.ndarray] = []
        if options.spelled:
            characters = _array(encoder.character_vectors)
            # [characters, dim] x [width, dim, filters]
            self._tables = [characters @ _array(layer.kernel) for layer in encoder.convolutions]
            self._bias = np.concatenate([_array(layer.bias) for layer in encoder.convolutions])

        def dense(kernel: np.ndarray, bias: np.ndarray) -> Dense:
            return matrix_of_many(kernel, precision).product(), bias

        # The half is that of the sigmoid (`kernels.highway_mix`).
        self._highways = [
            (dense(*(_array(one) / 2 for one in layer.carry.weights)), dense(*map(_array, layer.transform.weights)))
            for layer in encoder.highways
        ]
        self._project = dense(*map(_array, encoder.project.weights)) if encoder.project else None

        products = [product for highway in self._highways for product, _ in highway]
        products += [self._project[0]] if self._project else []
        # Whether each core may compute some columns of a product.
        self._parted = all(isinstance(product, Float32Product) for product in products)

    def read(self, ids: np.ndarray) -> np.ndarray:
        """Token vectors `[words, projection]` of words as the spelling gives them, int `[words, width]`."""
        threads = cores()
        # Of a core that is alone `on_cores` sees to it that products stay there.
        if threads > 1 and len(ids) <= FEW and self._parted:
            return self._read(ids, threads)
        found = np.empty((len(ids), self._options.projection), np.float32)

        def read(piece: slice) -> None:
            found[piece] = self._read(ids[piece])

        size = max(1, min(AT_ONCE, -(-len(ids) // threads)))
        on_cores(read, [slice(first, first + size) for first in range(0, len(ids), size)])
        return found

    def _read(self, ids: np.ndarray, parts: int = 1) -> np.ndarray:
        """Likewise, with each product in so many parts of its outputs: of several, all have to be of float32."""
        inputs = []
        if self._words is not None:
            inputs.append(self._words[ids[:, 0]])
        if self._tables:
            characters = ids[:, len(inputs) :]
            features = self._features(characters, self._spelling.lengths(ids) - len(inputs))
            for layer in self._highways:
                features = _in_parts(partial(_highway, layer, features), features.shape[1], parts)
            inputs.append(features)
        words = np.concatenate(inputs, axis=1) if len(inputs) > 1 else inputs[0]
        if not self._project:
            return words
        return _in_parts(partial(_through, self._project, words), self._options.projection, parts)

    def _features(self, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """What convolutions make of characters, `[words, features]`."""
        words = np.empty((len(ids), self._options.features), np.float32)
        first = 0
        for table in self._tables:
            # A part of the array would have a layout of its own, for one word and for several.
            pooled_windows(ids, lengths, table, words, first)
            first += table.shape[2]
        words += self._bias
        if self._options.activation == "relu":
            np.maximum(words, 0, out=words)
        else:
            np.tanh(words, out=words)
        return words


def _in_parts(outputs: Callable[[slice], np.ndarray], count: int, parts: int) -> np.ndarray:
    """All outputs of a layer that gives some of them; of several parts each core computes one."""
    if parts == 1:
        return outputs(EVERY)
    size = -(-count // parts)
    return np.concatenate(on_cores(outputs, [slice(first, first + size) for first in range(0, count, size)]), axis=1)


def _highway(layer: tuple[Dense, Dense], rows: np.ndarray, columns: slice) -> np.ndarray:
    mixed = rows[:, columns].copy()
    highway_mix(mixed, *(_through(dense, rows, columns) for dense in layer))
    return mixed


def _through(dense: Dense, rows: np.ndarray, columns: slice) -> np.ndarray:
    product, bias = dense
    if columns is not EVERY:
        assert isinstance(product, Float32Product), "others are not parted"
        product, bias = product.columns(columns), bias[columns]
    found = product(rows, np.empty((len(rows), len(bias)), np.float32))
    found += bias
    return found


def _array(weights) -> np.ndarray:
    return ops.convert_to_numpy(weights)
