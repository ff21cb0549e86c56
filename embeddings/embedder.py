"""Batch inference: sentences in, layers out, in the order in which they came."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from embeddings.bilm import BiLM
from embeddings.compiled import has_accelerator
from embeddings.cores import cores
from embeddings.errors import ConfigError, InputError
from embeddings.keras_reader import KerasReader
from embeddings.options import Precision
from embeddings.sentence_reader import SentenceReader
from embeddings.word_reader import WordReader
from embeddings.word_table import SPARE, WordTable

Sentence = Sequence[str]
WINDOW = 2**28
"""Bytes of layers that are computed in one go, at most; for each four cores, and fourfold on an accelerator."""
BATCHES = 16
"""Batches that are computed in one go, at most, for each four cores."""
SIDE_BY_SIDE = 256
"""Sentences of a batch on a processor, at most."""


class Embedder:
    """Turns sentences into the layers of a biLM.

    Each distinct word goes through the character layers once; its vector is kept. Sentences are read in windows and
    given back in input order; they may have any length. On a processor NumPy computes them (`WordReader`,
    `SentenceReader`). On an accelerator, and if the biLM's cells are of another kind, Keras computes the recurrent
    layers, in batches of about the same length; a sentence of more than `steps` words in pieces, with the LSTM state
    carried from piece to piece, forwards and backwards, which changes nothing in the result and bounds the memory. JAX
    compiles for every shape; there the batches have some dozens of shapes, whatever the corpus.

    Args:
        bilm: the language model; an embedder keeps word vectors, so that after a change of weights a new one is needed.
        stateful: start each batch from the last LSTM state of the one before, row by row, as the reference
            implementation did. Batches are then `batch_size` sentences in input order.
        batch_size: most sentences that are read side by side; 1 by default if stateful, so that a document is read as
            one stream, else 256, or 1024 on an accelerator.
        batch_words: most words in a batch of Keras, padding included; 4096 by default, or 16,384 on an accelerator. If
            stateful it bounds only how much is computed in one go.
        steps: most words of a sentence that Keras computes at once.
        precision: of the weights that are read for every word. With narrower ones a sentence that is read alone takes
            less time (`benchmarks/embedding.py --latency` tells how much, and how far the vectors are off). A processor
            that multiplies bfloat16 does so with many sentences, too.

    Raises:
        ConfigError: it is Keras that computes, and another precision than float32 is asked for.

    Example:
        >>> embedder = Embedder(load_bilm("runs/bilm"))
        >>> for vectors in embedder.embed([["Hello", "world"], ["One"]]):
        ...     print(vectors.shape)  # (layers, words, 2 * projection)
        (3, 2, 128)
        (3, 1, 128)
    """

    def __init__(
        self,
        bilm: BiLM,
        stateful: bool = False,
        batch_size: int | None = None,
        batch_words: int | None = None,
        steps: int = 512,
        precision: Precision = "float32",
    ):
        self.bilm = bilm
        self.stateful = stateful
        accelerator = has_accelerator()
        self.batch_size = batch_size or (1 if stateful else 1024 if accelerator else SIDE_BY_SIDE)
        self.batch_words = batch_words or (16_384 if accelerator else 4096)
        self.work = Work()
        self.reset_state()
        self._table = WordTable(bilm.spelling, beside=4 * bilm.options.projection)
        self._word_vectors = np.empty((0, bilm.options.projection), np.float32)
        self._encoded = self._told = 0
        # Distinct words are few, and of many lengths, for which an accelerator would be made ready each time.
        self._encode = WordReader(bilm.token_encoder, bilm.spelling, precision).read
        self._reader: SentenceReader | None = None
        self._window = WINDOW * (4 if accelerator else 1)
        if not accelerator and bilm.options.cell == "projected_lstm":
            self._reader = SentenceReader(bilm, self.batch_size, precision)
        elif precision != "float32":
            raise ConfigError(
                f"precision {precision}: is for a biLM of cells 'projected_lstm' on a processor; found cells "
                f"'{bilm.options.cell}'{' on an accelerator' if accelerator else ''}"
            )
        else:
            self._keras = KerasReader(bilm, steps)
            self._few_shapes = keras.backend.backend() != "tensorflow"

    def reset_state(self) -> None:
        """Forget what was read, if stateful: the next batch starts from zeros."""
        self._state: list | None = None

    def embed(self, sentences: Iterable[Sentence]) -> Iterator[np.ndarray]:
        """Embed sentences lazily.

        Args:
            sentences: lists of words.

        Raises:
            InputError: a sentence is a text, not a list of words, or a word is no string.

        Yields:
            For each sentence, in order, float32 of shape `[layers, words, 2 * projection]`; layer 0 is the token
            vector, twice.
        """
        for results in self.windows(sentences):
            # Each is let go as it is handed out.
            results.reverse()
            while results:
                yield results.pop()

    def windows(
        self, sentences: Iterable[Sentence], select: Callable[[np.ndarray], np.ndarray] = lambda layers: layers
    ) -> Iterator[list[np.ndarray]]:
        """As `embed`, with the arrays of all sentences that are computed together in one list. Between two windows
        the embedder can be asked what it has learned (`news`).

        Args:
            sentences: lists of words.
            select: makes of the layers of a sentence what is kept of them.
        """
        for read in self._windows(sentences):
            with self.work.timed("spelling"):
                if self._table.full:
                    self._table.clear()
                    self._encoded = self._told = 0
                rows = [self._table.framed_rows(sentence) for sentence in read]
            with self.work.timed("characters"):
                self._encode_new_words()
            self.work.words += sum(map(len, read))
            yield self._embed_window(rows, select)

    def news(self) -> "Learned":
        """What the embedder has come to know since it was asked last."""
        first, self._told = self._told, self._encoded
        state = self._state and _map_state(lambda rows: rows, self._state)
        return Learned(first, self._table.words(first), self._word_vectors[first : self._encoded].copy(), state)

    def learn(self, words: Sequence[str], vectors: np.ndarray, state: list | None = None) -> None:
        """Begin where another embedder of the same biLM stood, so that what comes is the same to the last bit.

        Args:
            words, vectors: all that its `news` told since `first` was 0 the last time, one after the other.
            state: the last one.
        """
        self._table.clear()
        self._table.rows(words)
        self._word_vectors, self._state = np.array(vectors, np.float32), state
        self._encoded = self._told = len(vectors)

    def _windows(self, sentences: Iterable[Sentence]) -> Iterator[list[Sentence]]:
        """Sentences that are computed together: about 16 batches, as far as the memory allows; if stateful thousands,
        in whole batches."""
        options = self.bilm.options
        bytes_of_a_word = 4 * (options.layers + 1) * options.dim
        times = max(1, cores() // 4)
        most_words = max(1, times * min(BATCHES * self.batch_words, self._window // bytes_of_a_word))
        unit, most = 1, BATCHES * times * self.batch_size
        if self.stateful:
            unit = self.batch_size
            most = unit * -(-BATCHES * times * SIDE_BY_SIDE // unit)
        read: list[Sentence] = []
        words = 0
        for sentence in sentences:
            if isinstance(sentence, str):
                raise InputError(
                    f"expected lists of words, found the text {sentence[:40]!r}; split it into words first"
                )
            read.append(sentence)
            words += len(sentence)
            if len(read) == most or (words >= most_words and len(read) % unit == 0):
                yield read
                read, words = [], 0
        if read:
            yield read

    def _embed_window(self, rows: list[np.ndarray], select: Callable) -> list[np.ndarray]:
        results: list = [None] * len(rows)
        for batch in self._batches([len(row) for row in rows]):
            read = [rows[k] for k in batch]
            found = (
                self._read_by_numpy(self._reader, read, select)
                if self._reader
                else map(select, self._embed_batch(read))
            )
            for k, layers in zip(batch, found, strict=True):
                results[k] = layers
        return results

    def _read_by_numpy(
        self, reader: SentenceReader, rows: list[np.ndarray], select: Callable[[np.ndarray], np.ndarray]
    ) -> list[np.ndarray]:
        # Who goes on from one sentence to the next, goes through what is between them.
        frame = 0 if self.stateful else 1
        words = np.concatenate([row[frame : len(row) - frame] for row in rows])
        lengths = np.array([len(row) - 2 * frame for row in rows])
        inputs = reader.inputs
        with self.work.timed("recurrent layers"):
            if self.stateful:
                layers, state = reader.read_on(words, lengths, self._word_vectors, self._initial_state(len(rows)))
                self._keep_state(state)
            else:
                layers = reader.read(words, lengths, self._word_vectors)
        self.work.places += len(words)
        self.work.computed += len(words)
        self.work.inputs += reader.inputs - inputs
        with self.work.timed("selection"):
            sentences = np.split(layers, np.cumsum(lengths)[:-1])
            inner = slice(1 - frame, frame - 1 or None)
            # Copies, so that a sentence that is kept does not keep all of them.
            return [np.array(select(sentence[inner].swapaxes(0, 1))) for sentence in sentences]

    def _batches(self, lengths: list[int]) -> Iterator[list[int]]:
        """Positions of the sentences of each batch."""
        if self.stateful or self._reader:
            size = self.batch_size if self.stateful else len(lengths)
            positions = list(range(len(lengths)))
            yield from (positions[first : first + size] for first in range(0, len(lengths), size))
            return
        batch: list[int] = []
        for k in sorted(range(len(lengths)), key=lengths.__getitem__):
            rows, steps = self._shape(len(batch) + 1, lengths[k])
            if batch and (len(batch) == self.batch_size or rows * steps > self.batch_words):
                yield batch
                batch = []
            batch.append(k)
        yield batch

    def _encode_new_words(self, at_once: int = 4096) -> None:
        """Bring the vectors `[words, projection]` of the table's words up to date."""
        if len(self._table) > len(self._word_vectors):
            grown = np.empty((int(SPARE * len(self._table)), self._word_vectors.shape[1]), np.float32)
            grown[: self._encoded] = self._word_vectors[: self._encoded]
            self._word_vectors = grown
        new = self._table.ids[self._encoded :]
        # The frame words count where they are read.
        self.work.encoded += len(new) - (0 if self._encoded or self.stateful or not self._reader else 2)
        for first in range(self._encoded, len(self._table), at_once):
            ids = self.bilm.spelling.trim(self._table.ids[first : first + at_once]).astype(np.int32)
            self._word_vectors[first : first + len(ids)] = self._encode(ids)
        self._encoded = len(self._table)

    def _embed_batch(self, rows: list[np.ndarray]) -> Iterator[np.ndarray]:
        lengths = np.array([len(row) for row in rows])
        padded = np.zeros(self._shape(len(rows), lengths.max()), np.int32)
        mask = np.zeros(padded.shape, bool)
        for k, row in enumerate(rows):
            padded[k, : len(row)], mask[k, : len(row)] = row, True
        vectors = self._word_vectors[padded]
        self.work.places += int(lengths.sum())
        self.work.computed += mask.size
        self.work.inputs += self.bilm.options.directions * int(lengths.sum())
        with self.work.timed("recurrent layers"):
            layers, state = self._keras.read(vectors, mask, self._initial_state(len(vectors)))
            if self.stateful:
                self._keep_state(state)
        for k, length in enumerate(lengths):
            token_layer = np.tile(vectors[k, 1 : length - 1], self.bilm.options.directions)
            yield np.concatenate([token_layer[None], layers[k, :, 1 : length - 1]])

    def _shape(self, rows: int, steps: int) -> tuple[int, int]:
        """That of a batch of so many rows, the longest of so many steps."""
        if not self._few_shapes:
            return rows, steps
        unit = 8 if steps <= 32 else 32 if steps <= 128 else 128
        # The state of a row that is not there would be kept.
        return rows if self.stateful else 1 << (rows - 1).bit_length(), -(-steps // unit) * unit

    def _initial_state(self, batch: int) -> list:
        """For each direction and layer the cell's states, each `[batch, ...]`."""
        options = self.bilm.options
        if self._state is not None:
            # A batch that is larger than any before has rows without a state.
            missing = max(0, batch - len(self._state[0][0][0]))
            return _map_state(lambda rows: np.pad(rows[:batch], ((0, missing), (0, 0))), self._state)
        return [
            [[np.zeros((batch, width), np.float32) for width in options.state_sizes] for _ in range(options.layers)]
            for _ in range(options.directions)
        ]

    def _keep_state(self, state: list) -> None:
        """Rows that a smaller batch did not reach keep their state."""
        new = _map_state(ops.convert_to_numpy, state)
        if self._state is None:
            self._state = new
            return
        batch = len(new[0][0][0])
        for old_direction, new_direction in zip(self._state, new, strict=True):
            for k, arrays in enumerate(new_direction):
                old_direction[k] = [
                    np.concatenate([rows, old[batch:]]) for rows, old in zip(arrays, old_direction[k], strict=True)
                ]


@dataclass
class Work:
    """What an embedder has done.

    Attributes:
        words: that were embedded.
        encoded: distinct words that passed the character layers; again, if they were forgotten in between.
        places: words that were read, with the frames of the sentences where these are read, too.
        computed: the same with the padding, for which the recurrent layers were computed.
        inputs: words for which the first layer's inputs were multiplied, in all directions.
        seconds: that were spent, by what for.
        elapsed: seconds from begin to end, for whoever measures them.
    """

    words: int = 0
    encoded: int = 0
    places: int = 0
    computed: int = 0
    inputs: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    elapsed: float = 0.0

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Count the seconds of a block."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


class Learned(NamedTuple):
    """What an embedder has come to know.

    Args:
        first: number of the first of the words among all that it knows; at 0 it has forgotten those of before.
        words, vectors: new words and their vectors `[words, projection]`.
        state: of the recurrent layers, if they carry it on, as `Embedder.learn` takes it.
    """

    first: int
    words: list[str]
    vectors: np.ndarray
    state: list | None


def _map_state(function, state: list) -> list:
    return [[[function(rows) for rows in layer] for layer in direction] for direction in state]
