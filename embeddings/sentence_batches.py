"""Text as the batches of whole sentences through which the gradient flows from end to begin."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import count, islice
from random import Random
from typing import Any

import keras
import numpy as np

from embeddings.spelling import Spelling
from embeddings.vocabulary import Vocabulary
from embeddings.windows import Resumable
from embeddings.word_table import WordTable

POOL = 32
"""Batches whose sentences are sorted by length together, so that little of a batch is padding."""
LENGTHS = (8, 12)
"""Where each length costs a compilation, rows are padded to one of these, or to one of them doubled."""


class SentenceBatches(Iterator[dict[str, np.ndarray]]):
    """Batches of framed sentences, each row one of them; the counterpart of `Windows` for backpropagation through all
    of a sentence (Werbos 1990, "Backpropagation through time").

    Args:
        sentences: lists of words; to be resumed, they must be `Resumable`.
        vocabulary: the words to predict.
        batch_size: rows of a batch; in the last of those that are sorted together, some may be masked.
        steps: most words of a sentence, its frame included; what is longer is cut into pieces.
        spelling: of the biLM.

    Yields:
        The dict that `LanguageModel` describes, with a mask.
    """

    def __init__(
        self,
        sentences: Iterable[Sequence[str]],
        vocabulary: Vocabulary,
        batch_size: int,
        steps: int,
        spelling: Spelling,
    ):
        self.sentences, self.vocabulary, self.spelling = sentences, vocabulary, spelling
        self.batch_size, self.steps = batch_size, steps
        self._supply = iter(sentences)
        self._table = WordTable(spelling)
        self._pool: list[list[np.ndarray]] = []
        self._given, self._pools = 0, 0
        self._begin = self._place()

    def __iter__(self) -> "SentenceBatches":
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        if self._given == len(self._pool):
            self._read_pool()
        self._given += 1
        return self._batch(self._pool[self._given - 1])

    def state(self) -> dict[str, Any]:
        """Where the reading stands, as JSON can hold it: where the sentences begin that were sorted together, how many
        of their batches have been given, and how often sentences have been read to be sorted."""
        return {"sentences": self._begin, "given": self._given, "pools": self._pools}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on as the one did whose `state` this was.

        Raises:
            ValueError: these sentences cannot be resumed.
        """
        if not isinstance(self.sentences, Resumable):
            raise ValueError("the state holds a place in the text, but these sentences cannot be resumed")
        self.sentences.restore(state["sentences"])
        self._supply = iter(self.sentences)
        self._pool, self._given, self._begin = [], 0, state["sentences"]
        self._pools = state["pools"]
        if state["given"]:
            self._pools -= 1
            self._read_pool()
            self._given = state["given"]

    def _place(self) -> dict[str, Any] | None:
        return self.sentences.state() if isinstance(self.sentences, Resumable) else None

    def _read_pool(self) -> None:
        """Read the sentences that are sorted together.

        Raises:
            StopIteration: there is no text left.
        """
        begin = self._place()
        self._table.clear()
        pieces = []
        for sentence in islice(self._supply, POOL * self.batch_size):
            rows = self._table.framed_rows(sentence)
            # The last word of a piece is the first of the next, so that each is predicted once in each direction.
            pieces += [rows[first : first + self.steps] for first in range(0, len(rows) - 1, self.steps - 1)]
        if not pieces:
            raise StopIteration
        self._begin = begin
        pieces.sort(key=len)
        self._pool = [pieces[first : first + self.batch_size] for first in range(0, len(pieces), self.batch_size)]
        # In another order each time, or an epoch would be like the one before.
        Random(self._pools).shuffle(self._pool)
        self._given, self._pools = 0, self._pools + 1

    def _batch(self, pieces: list[np.ndarray]) -> dict[str, np.ndarray]:
        length = self._padded(max(map(len, pieces)) - 1)
        # Always as many rows: where devices share them, each must have its part.
        rows = np.zeros((self.batch_size, length + 1), np.int32)
        mask = np.zeros((self.batch_size, length), bool)
        for k, piece in enumerate(pieces):
            rows[k, : len(piece)] = piece
            mask[k, : len(piece) - 1] = True
        unique, inverse = np.unique(rows, return_inverse=True)
        places = inverse.reshape(rows.shape).astype(np.int32)
        words = self._table.words()
        numbers = self.vocabulary.numbers(words[row] for row in unique)[places]
        return {
            "words": self.spelling.trim(self._table.ids[unique]).astype(np.int32),
            "forward": places[:, :-1],
            "backward": places[:, 1:],
            "forward_next": numbers[:, 1:],
            "backward_next": numbers[:, :-1],
            "mask": mask,
        }

    def _padded(self, length: int) -> int:
        """The length that rows get. JAX compiles anew for every one, TensorFlow takes them as they are."""
        if keras.backend.backend() == "tensorflow":
            return length
        doubled = (size << times for times in count() for size in LENGTHS)
        return min(next(size for size in doubled if size >= length), self.steps - 1)
