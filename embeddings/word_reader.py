"""The token vectors of words, on NumPy and every core."""

import numpy as np
from keras import ops

from embeddings.cores import cores, on_cores
from embeddings.kernels import highway_mix, pooled_windows
from embeddings.spelling import Spelling
from embeddings.token_encoder import TokenEncoder

AT_ONCE = 512
"""Words whose features are in memory at once, for each core."""


class WordReader:
    """`TokenEncoder` where nothing is to be learned.

    Args:
        encoder: whose weights do not change any more.
        spelling: of the biLM.
    """

    def __init__(self, encoder: TokenEncoder, spelling: Spelling):
        options = self._options = encoder.options
        self._spelling = spelling
        self._words = _array(encoder.word_vectors) if options.words else None
        self._tables: list[np.ndarray] = []
        if options.spelled:
            characters = _array(encoder.character_vectors)
            # [characters, dim] x [width, dim, filters]
            self._tables = [characters @ _array(layer.kernel) for layer in encoder.convolutions]
            self._bias = np.concatenate([_array(layer.bias) for layer in encoder.convolutions])
        self._highways = [
            # The half is that of the sigmoid (`kernels.highway_mix`).
            (_array(layer.carry.kernel) / 2, _array(layer.carry.bias) / 2, *map(_array, layer.transform.weights))
            for layer in encoder.highways
        ]
        self._project = [_array(weights) for weights in encoder.project.weights] if encoder.project else None

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
            kernel, bias = self._project
            words = words @ kernel
            words += bias
        found[:] = words

    def _features(self, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """What convolutions and highways make of characters, `[words, features]`."""
        words = np.empty((len(ids), self._options.features), np.float32)
        first = 0
        for table in self._tables:
            pooled_windows(ids, lengths, table, words[:, first : first + table.shape[2]])
            first += table.shape[2]
        words += self._bias
        if self._options.activation == "relu":
            np.maximum(words, 0, out=words)
        else:
            np.tanh(words, out=words)
        for carry, carry_bias, transform, transform_bias in self._highways:
            gate, changed = words @ carry, words @ transform
            gate += carry_bias
            changed += transform_bias
            highway_mix(words, gate, changed)
        return words


def _array(weights) -> np.ndarray:
    return ops.convert_to_numpy(weights)
