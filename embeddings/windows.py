"""Text as the windows that truncated backpropagation trains on."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
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
        # What has been read and not been given yet, of one row behind the other: rows of the table, forward and
        # backward, and how many each row holds. An array a row would cost more than all else.
        self._rest = np.empty((2, 0), np.int32)
        self._held = np.zeros(batch_size, np.int64)

    def __iter__(self) -> "Windows":
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        if self._table.full:
            self._renumber()
        self._fill()
        table, steps = self._table, self.steps
        if len(self._numbers) < len(table):
            new = self.vocabulary.numbers(table.words()[len(self._numbers) :])
            self._numbers = np.concatenate([self._numbers, new])
        # One word more than a window, since the last one is predicted too.
        places = (np.cumsum(self._held) - self._held)[:, None] + np.arange(steps + 1)
        taken = self._rest[:, places]
        left = np.ones(self._rest.shape[1], bool)
        left[places[:, :-1]] = False
        self._rest, self._held = self._rest[:, left], self._held - steps
        unique, inputs = _by_appearance(taken[:, :, :-1], len(table))
        following = self._numbers[taken[:, :, 1:]]
        return {
            "words": self.spelling.trim(table.ids[unique]).astype(np.int32),
            "forward": inputs[0],
            "backward": inputs[1, :, ::-1],
            "forward_next": following[0],
            "backward_next": following[1, :, ::-1],
        }

    def _fill(self) -> None:
        """Read until every row has a word more than a window.

        Raises:
            StopIteration: there is no text left.
        """
        sentences, owners = [], []
        for row, held in enumerate(self._held.tolist()):
            missing = self.steps + 1 - held
            while missing > 0:
                sentences.append(sentence := next(self._supply))
                owners.append(row)
                missing -= len(sentence) + 2
        if not sentences:
            return
        lengths = np.fromiter(map(len, sentences), np.int64) + 2
        ends = np.cumsum(lengths)
        begins = ends - lengths
        # Rows of the table, each sentence between row 0 and row 1, its two frame words.
        framed = np.ones(ends[-1], np.int32)
        inside = np.ones(ends[-1], bool)
        inside[begins] = inside[ends - 1] = False
        framed[begins] = 0
        framed[inside] = self._table.rows(chain.from_iterable(sentences))
        mirrored = framed[np.repeat(begins + ends - 1, lengths) - np.arange(ends[-1])]
        rows = np.concatenate([np.repeat(np.arange(self.batch_size), self._held), np.repeat(owners, lengths)])
        self._rest = np.concatenate([self._rest, [framed, mirrored]], axis=1)[:, np.argsort(rows, kind="stable")]
        self._held = np.bincount(rows, minlength=self.batch_size)

    def state(self) -> dict[str, Any]:
        """Where the reading stands, as JSON can hold it: the words of each stream that are left over, forward and
        backward, and the state of the sentences if they have one. To be asked for between two batches."""
        streams = self._streams()
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

    def _streams(self) -> list[list[list[str]]]:
        """The words that each row holds, forward and backward."""
        words = self._table.words()
        rows = np.split(self._rest, np.cumsum(self._held)[:-1], axis=1)
        return [[[words[number] for number in direction] for direction in row.tolist()] for row in rows]

    def _renumber(self) -> None:
        self._read_streams(self._streams())

    def _read_streams(self, streams: list[list[list[str]]]) -> None:
        """Begin a new table with the words of the streams."""
        self._table.clear()
        self._numbers = np.empty(0, np.int32)
        self._held = np.array([len(forward) for forward, _ in streams])
        self._rest = np.concatenate([[self._table.rows(part) for part in stream] for stream in streams], axis=1)


def _by_appearance(rows: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Distinct numbers, each below `most`, in the order in which they first appear, and an int32 array of the shape of
    `rows` that says where each stands among them. Sorted, they would depend on what was read before."""
    flat, places = rows.ravel(), np.arange(rows.size, dtype=np.int32)
    first, rank = np.empty((2, most), np.int32)
    # Written from the end: of places with the same number the first one stays.
    first[flat[::-1]] = places[::-1]
    unique = flat[first[flat] == places]
    rank[unique] = places[: len(unique)]
    return unique, rank[flat].reshape(rows.shape)
