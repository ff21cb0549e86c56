"""Text as the windows that truncated backpropagation trains on."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from embeddings.spelling import Spelling
from embeddings.vocabulary import Vocabulary
from embeddings.word_table import WordTable


@runtime_checkable
class Resumable(Protocol):
    """Something that is read once, and can be read on from where it was."""

    def state(self) -> dict[str, Any]:
        """Where the reading stands, as JSON can hold it."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on as the one did whose `state` this was."""


class Windows(Iterator[dict[str, np.ndarray]]):
    """Cuts sentences into the batches that `LanguageModel` takes, in constant memory.

    Every row of a batch is a stream: framed sentences one after the other, taken from the common supply as the row
    runs out. The backward stream of a row holds the same sentences in the same order, each from its end to its begin.
    The last incomplete batch is dropped. A batch depends on nothing but the text, so that it is the same when the
    reading was resumed just before it.

    Args:
        sentences: lists of words. To be resumed, they must be `Resumable`, such as `pipeline.corpora.Corpus`; or the
            caller hands over those that have not been read yet.
        vocabulary: the words to predict.
        batch_size: streams.
        steps: words of a window.
        spelling: of the biLM.

    Yields:
        The dict that `LanguageModel` describes.
    """

    def __init__(
        self,
        sentences: Iterable[Sequence[str]],
        vocabulary: Vocabulary,
        batch_size: int,
        steps: int,
        spelling: Spelling,
    ):
        self.sentences = sentences
        self.vocabulary, self.spelling = vocabulary, spelling
        self.batch_size, self.steps = batch_size, steps
        self._supply = iter(sentences)
        self._table = WordTable(spelling)
        self._numbers = np.empty(0, np.int32)
        # Of each row, what has been read and not been given yet: rows of the table, forward and backward.
        self._streams = [np.empty((2, 0), np.int32) for _ in range(batch_size)]

    def __iter__(self) -> "Windows":
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        if self._table.full:
            self._renumber()
        for k, stream in enumerate(self._streams):
            self._streams[k] = self._filled(stream)
        table, steps = self._table, self.steps
        if len(self._numbers) < len(table):
            new = self.vocabulary.numbers(table.words()[len(self._numbers) :])
            self._numbers = np.concatenate([self._numbers, new])
        taken = np.stack([stream[:, : steps + 1] for stream in self._streams], axis=1)
        self._streams = [stream[:, steps:] for stream in self._streams]
        unique, inputs = _by_appearance(taken[:, :, :-1])
        following = self._numbers[taken[:, :, 1:]]
        return {
            "words": self.spelling.trim(table.ids[unique]).astype(np.int32),
            "forward": inputs[0],
            "backward": inputs[1, :, ::-1],
            "forward_next": following[0],
            "backward_next": following[1, :, ::-1],
        }

    def _filled(self, stream: np.ndarray) -> np.ndarray:
        """A stream with one word more than a window, since the last one is predicted too.

        Raises:
            StopIteration: there is no text left.
        """
        parts, held = [stream], stream.shape[1]
        while held <= self.steps:
            rows = self._table.framed_rows(next(self._supply))
            parts.append(np.stack([rows, rows[::-1]]))
            held += len(rows)
        return np.concatenate(parts, axis=1)

    def state(self) -> dict[str, Any]:
        """Where the reading stands, as JSON can hold it: the words of each stream that are left over, forward and
        backward, and the state of the sentences if they have one. To be asked for between two batches."""
        words = self._table.words()
        streams = [[[words[row] for row in direction] for direction in stream.tolist()] for stream in self._streams]
        supply = self.sentences.state() if isinstance(self.sentences, Resumable) else None
        return {"streams": streams, "sentences": supply}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on as the windows did whose `state` this was.

        Raises:
            ValueError: the state is one of another number of streams, or of sentences of another kind.
        """
        streams = state["streams"]
        if len(streams) != self.batch_size:
            raise ValueError(f"the state is one of {len(streams)} streams; expected {self.batch_size}, the batch size")
        if state["sentences"] is not None:
            if not isinstance(self.sentences, Resumable):
                raise ValueError("the state holds a place in the text, but these sentences cannot be resumed")
            self.sentences.restore(state["sentences"])
            self._supply = iter(self.sentences)
        self._read_streams(streams)

    def _renumber(self) -> None:
        words = self._table.words()
        self._read_streams([[[words[row] for row in part] for part in stream.tolist()] for stream in self._streams])

    def _read_streams(self, streams: list[list[list[str]]]) -> None:
        """Begin a new table with the words of the streams."""
        self._table.clear()
        self._numbers = np.empty(0, np.int32)
        self._streams = [np.stack([self._table.rows(part) for part in stream]) for stream in streams]


def _by_appearance(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct numbers in the order in which they first appear, and an int32 array of the shape of `rows` that says
    where each stands among them. Sorted, they would depend on what was read before."""
    unique, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return unique[order], rank[inverse].reshape(rows.shape).astype(np.int32)
