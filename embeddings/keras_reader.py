"""The recurrent layers where Keras computes them: on an accelerator, and with cells of every kind."""

import numpy as np
from keras import ops

from embeddings.bilm import BiLM
from embeddings.compiled import compiled


class KerasReader:
    """Reads batches of sentences; long ones in pieces, with the state carried from piece to piece.

    Args:
        bilm: whose weights do not change any more.
        steps: most words of a sentence that are computed at once.
    """

    def __init__(self, bilm: BiLM, steps: int):
        self._options, self._stacks, self._steps = bilm.options, bilm.stacks, steps
        self._read = compiled(self._read_directions, of=bilm)

    def read(self, vectors: np.ndarray, mask: np.ndarray, state: list) -> tuple[np.ndarray, list]:
        """The recurrent layers of a batch.

        Args:
            vectors: token vectors `[batch, time, projection]`.
            mask: bool `[batch, time]`, false where there is no word.
            state: for each direction and layer the cell's states, each `[batch, ...]`.

        Returns:
            `[batch, layers, time, dim]` and the states after the batch.
        """
        options = self._options
        batch, time, p = vectors.shape
        layers = np.empty((batch, options.layers, time, options.dim), np.float32)
        pieces = [slice(first, first + self._steps) for first in range(0, time, self._steps)]
        # The directions do not meet before the end, so that one reads the pieces from the left while the other reads
        # them from the right.
        for both in zip(pieces, reversed(pieces), strict=True):
            read = both[: options.directions]
            outputs, state = self._read([(vectors[:, piece], mask[:, piece]) for piece in read], state)
            for direction, (piece, output) in enumerate(zip(read, outputs, strict=True)):
                layers[:, :, piece, direction * p : (direction + 1) * p] = output
        return layers, state

    def _read_directions(self, pieces, state):
        read = [
            stack(vectors, mask=mask, state=before)
            for stack, (vectors, mask), before in zip(self._stacks, pieces, state, strict=True)
        ]
        return [ops.stack(outputs, axis=1) for outputs, _ in read], [after for _, after in read]
