"""The projected LSTM where nothing is to be learned: whole sentences, on NumPy and every core."""

from dataclasses import replace
from itertools import product

import numpy as np

from embeddings.bilm import BiLM
from embeddings.cores import cores, on_cores
from embeddings.numpy_layer import NumPyLayer
from embeddings.options import Precision
from embeddings.streams import Streams, streams_of

SHARE = 2**29
"""Bytes that the inputs' share of the gates would take on each core if all words were different; it takes a third."""
ROWS = 256
"""Sentences that are side by side in products at the peak."""
MANY = 64
"""Sentences for which it is worth to look which begin with the same word."""
WORDS_APART = 4096
"""Words that are worth a core of their own."""

State = list[list[np.ndarray]]
"""For each layer hidden state and memory, `[rows, ...]`."""


class SentenceReader:
    """Reads sentences, each from a state of zeros.

    Every core has sentences and a direction of its own, and multiplies by itself. Sentences stand behind each other in
    streams, so that nothing is padded. The frame words of a sentence are not read: the state after the first one is the
    same for all sentences, and what comes of the last one is not asked for. Sentences that begin, or in the other
    direction end, with the same word share the state after it. What a word gives to the gates of the first layer is
    computed once for all its places that are near each other.

    Args:
        bilm: of cells `projected_lstm`, whose weights do not change any more.
        rows: sentences that are read side by side, at most, by each core.
        precision: of the recurrent weights.

    Attributes:
        inputs: words for which the first layer's share was computed so far, in all directions.
    """

    def __init__(self, bilm: BiLM, rows: int = ROWS, precision: Precision = "float32"):
        self.rows = rows
        self.inputs = 0
        self._options = bilm.options
        self._stacks = [[NumPyLayer(layer, precision) for layer in stack.layers] for stack in bilm.stacks]
        # The vectors of the frame words, and of each direction the state after the first one.
        self._frames = np.empty((0, bilm.options.projection), np.float32)
        self._begin: list[State] = []

    def read(self, words: np.ndarray, lengths: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """The layers of sentences.

        Args:
            words: int `[words]`, the words of all sentences, as rows of `vectors`.
            lengths: int `[sentences]`, words of each.
            vectors: token vectors `[rows, projection]`; rows 0 and 1 are those of the frame words.

        Returns:
            `[words, layers + 1, dim]`.
        """
        # Word vectors differ in their last bits by the words that they are computed with, so that those of the frame
        # words change where an embedder begins anew.
        if not np.array_equal(self._frames, vectors[:2]):
            self._frames = vectors[:2].copy()
            self._begin = [self._after_frame(direction, vectors) for direction in range(self._options.directions)]
        found = self._with_token_layer(words, vectors)

        def read(task: tuple[int, np.ndarray]) -> int:
            direction, sentences = task
            begin, begin_of = self._begin[direction], np.zeros(len(lengths), np.int64)
            computed, skip = 0, 0
            if len(sentences) >= MANY:
                ends = np.cumsum(lengths)[sentences]
                firsts = ends - 1 if direction else ends - lengths[sentences]
                distinct, begin_of[sentences] = np.unique(words[firsts], return_inverse=True)
                number = np.arange(len(distinct))
                alone, after = streams_of(np.ones_like(number), number, len(number)), self._zeros(len(number))
                of_firsts = np.empty((len(number), *found.shape[1:]), np.float32)
                computed = self._read(direction, distinct, vectors, alone, begin, 0 * number, after, of_firsts)
                mine = slice(direction * self._options.projection, (direction + 1) * self._options.projection)
                found[firsts, 1:, mine] = of_firsts[begin_of[sentences], 1:, mine]
                begin, skip = after, 1
            rest = sentences[lengths[sentences] > skip]
            if len(rest):
                streams = streams_of(lengths, rest, self.rows, skip)
                states = self._zeros(streams.rows)
                computed += self._read(direction, words, vectors, streams, begin, begin_of, states, found)
            return computed

        self.inputs += sum(on_cores(read, list(product(range(self._options.directions), self._shared_out(lengths)))))
        return found

    def read_on(
        self, words: np.ndarray, lengths: np.ndarray, vectors: np.ndarray, states: list[State]
    ) -> tuple[np.ndarray, list[State]]:
        """The layers of sentences, each from a state of its own.

        Args:
            words, lengths, vectors: as for `read`; every sentence has words, and whoever wants them read adds the frame
                words.
            states: of each direction, a row a sentence.

        Returns:
            `[words, layers + 1, dim]` and the states after the sentences.
        """
        streams = streams_of(lengths, np.argsort(-lengths, kind="stable"), len(lengths))
        streams = replace(streams, new=np.full(len(words), -1))
        # The sentence of each stream, and the stream of each sentence.
        order = np.searchsorted(np.cumsum(lengths), streams.words[: streams.rows], side="right")
        back = np.argsort(order)
        found = self._with_token_layer(words, vectors)

        def read(direction: int) -> tuple[int, State]:
            state = [[rows[order] for rows in layer] for layer in states[direction]]
            none = np.zeros(len(lengths), np.int64)
            computed = self._read(direction, words, vectors, streams, state, none, state, found)
            return computed, [[rows[back] for rows in layer] for layer in state]

        computed, after = zip(*on_cores(read, range(self._options.directions)), strict=True)
        self.inputs += sum(computed)
        return found, list(after)

    def _shared_out(self, lengths: np.ndarray) -> list[np.ndarray]:
        """The sentences that have words, the longest first, in as many parts as keep the cores busy."""
        most, directions = cores(), self._options.directions
        wanted = most if most % directions else most // directions
        longest_first = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
        parts = max(1, min(wanted, int(lengths.sum()) // WORDS_APART, len(longest_first)))
        return [longest_first[part::parts] for part in range(parts)]

    def _after_frame(self, direction: int, vectors: np.ndarray) -> State:
        alone, word = streams_of(np.array([1]), np.array([0]), 1), np.array([direction])
        state = self._zeros(1)
        self._read(direction, word, vectors, alone, state, 0 * word, state, self._with_token_layer(word, vectors))
        return state

    def _zeros(self, rows: int) -> State:
        sizes = self._options.state_sizes
        return [[np.zeros((rows, width), np.float32) for width in sizes] for _ in range(self._options.layers)]

    def _with_token_layer(self, words: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """`[words, layers + 1, dim]`, of which the first layer is there."""
        options = self._options
        found = np.empty((len(words), options.layers + 1, options.dim), np.float32)
        found[:, 0] = np.tile(vectors[words], options.directions)
        return found

    def _read(
        self,
        direction: int,
        words: np.ndarray,
        vectors: np.ndarray,
        streams: Streams,
        begin: State,
        begin_of: np.ndarray,
        states: State,
        found: np.ndarray,
    ) -> int:
        """Put what a direction makes of some sentences into `found`.

        Args:
            direction: 0 for forward.
            words, vectors: as for `read`.
            streams: the sentences.
            begin: states before sentences.
            begin_of: int `[all sentences]`, which of them comes before a sentence.
            states: of each stream; changed in place.
            found: `[words, layers + 1, dim]`, for all sentences.

        Returns:
            For how many words the first layer's share was computed.
        """
        order = streams.mirrored if direction else streams.words
        p, counts = self._options.projection, []
        inputs, place = vectors, words[order]
        for k, (layer, state) in enumerate(zip(self._stacks[direction], states, strict=True)):
            outputs = np.empty((len(order), p), np.float32)
            # In the first layer a word's share serves all its places; in the others it is used while it is cached.
            at_once = max(self.rows, ROWS) if k else SHARE // (16 * layer.cells)
            counts.append(layer.read(inputs, place, streams, at_once, begin[k], begin_of, state, outputs))
            inputs, place = outputs + inputs if k and self._options.skip_connections else outputs, np.arange(len(order))
            found[order, k + 1, direction * p : (direction + 1) * p] = inputs
        return counts[0]
