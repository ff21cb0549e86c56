"""The token vectors of words, on NumPy and every core."""

import numpy as np
from keras import ops

from embeddings.cores import cores, on_cores
from embeddings.kernels import highway_mix, pooled_windows
from embeddings.matrix import Product, matrix_of_many
from embeddings.options import Precision
from embeddings.spelling import Spelling
from embeddings.token_encoder import TokenEncoder

Dense = tuple[Product, np.ndarray]

AT_ONCE = 512
"""Words whose features are in memory at once, for each core."""


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

    def read(self, ids: np.ndarray) -> np.ndarray:
        """Token vectors `[words, projection]` of words as the spelling gives them, int `[words, width]`."""
        found = np.empty((len(ids), self._options.projection), np.float32)
        size = max(1, min(AT_ONCE, -(-len(ids) // cores())))
        pieces = [slice(first, first + size) for first in range(0, len(ids), size)]
        on_cores(lambda piece: self._read(ids[piece], found[piece]), pieces)
        return found

    def _read(self, ids: np.ndarray, found: np.ndarray) -> None:
        parts = []
        if self._words is not None:
            parts.append(self._words[ids[:, 0]])
        if self._tables:
            characters = ids[:, len(parts) :]
            parts.append(self._features(characters, self._spelling.lengths(ids) - len(parts)))
        words = np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]
        if self._project:
            words = _through(self._project, words)
        found[:] = words

    def _features(self, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """What convolutions and highways make of characters, `[words, features]`."""
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
        for carry, transform in self._highways:
            highway_mix(words, _through(carry, words), _through(transform, words))
        return words


def _through(dense: Dense, rows: np.ndarray) -> np.ndarray:
    product, bias = dense
    found = product(rows, np.empty((len(rows), len(bias)), np.float32))
    found += bias
    return found


def _array(weights) -> np.ndarray:
    return ops.convert_to_numpy(weights)
