"""What a language model expects of the word that comes next, or that came before."""

from collections.abc import Sequence

import numpy as np
from keras import ops

from embeddings.bilm import BiLM
from embeddings.characters import SENTENCE_BEGIN, SENTENCE_END
from embeddings.compiled import compiled
from embeddings.errors import SourceError
from embeddings.source import Source, find_source
from embeddings.spelling import UNKNOWN
from embeddings.stored_softmax import StoredSoftmax, softmax_of
from embeddings.weights import fill

FORWARD, BACKWARD = 0, 1
State = list[list[np.ndarray]]


class WordPredictor:
    """Reads words in one direction and scores all words as the next one (Peters et al. 2018, section 3.1).

    Args:
        bilm: the network.
        softmax: of the network.
        vocabulary: the words of the softmax.
        counts: how often each occurred in the text of the training, int `[words]`, or None where nobody knows.
        steps: words that are read at once.

    Example:
        >>> predictor = WordPredictor.load("runs/bilm")
        >>> hidden, state = predictor.read(FORWARD, ["<S>", "It", "was"])
        >>> predictor.logits(hidden[-1]).shape  # (words,)
        (5000,)
        >>> hidden, state = predictor.read(FORWARD, ["a"], state)
    """

    def __init__(
        self,
        bilm: BiLM,
        softmax: StoredSoftmax,
        vocabulary: Sequence[str],
        counts: np.ndarray | None = None,
        steps: int = 512,
    ):
        self.bilm, self.softmax = bilm, softmax
        self.vocabulary, self.counts = list(vocabulary), counts
        self.steps = steps
        self._vectors: dict[str, np.ndarray] = {}
        self._encode = compiled(bilm.token_encoder)
        self._stacks = [compiled(_stepping(stack)) for stack in bilm.stacks]

    @classmethod
    def load(cls, source: Source) -> "WordPredictor":
        """The language model at a source.

        Raises:
            SourceError: the source cannot be read, brings no softmax or no vocabulary, or the two do not fit.
        """
        stored = find_source(source)
        arrays, words, where = stored.arrays(), stored.vocabulary, stored.tree.place or ", ".join(stored.files)
        softmax = softmax_of(arrays)
        if not softmax:
            raise SourceError(f"{where}: brings no softmax; expected a language model, such as `telmo pretrain` writes")
        if not words:
            raise SourceError(f"{where}: brings no vocabulary; expected the {softmax.words:,} words of its softmax")
        if len(words) != softmax.words:
            raise SourceError(f"{where}: {len(words):,} words in the vocabulary; the softmax has {softmax.words:,}")
        missing = [mark for mark in (SENTENCE_BEGIN, SENTENCE_END, UNKNOWN) if mark not in words]
        if missing:
            raise SourceError(
                f"{where}: no {' and no '.join(missing)} in the vocabulary; expected the words of bilm-tf"
            )
        bilm = BiLM(stored.options, stored.spelling)
        fill(bilm, arrays)
        return cls(bilm, softmax, words, stored.counts)

    def read(self, direction: int, words: Sequence[str], state: State | None = None) -> tuple[np.ndarray, State]:
        """Read words, of which the frame words are the caller's to give.

        Args:
            direction: `FORWARD`, or `BACKWARD`, which reads them from their end.
            words: at least one, in the order of the text.
            state: of the words before, or for `BACKWARD` of those behind; None where the text begins.

        Returns:
            The top layer `[words, projection]` in the order of the text: after each word what is known of the one
            that follows, or for `BACKWARD` goes before it. And the state.
        """
        options = self.bilm.options
        if state is None:
            state = [[np.zeros((1, n), np.float32) for n in options.state_sizes] for _ in range(options.layers)]
        pieces = [words[first : first + self.steps] for first in range(0, len(words), self.steps)]
        outputs = []
        for piece in pieces if direction == FORWARD else reversed(pieces):
            output, state = self._stacks[direction](self._vectors_of(piece)[None], state)
            outputs.append(ops.convert_to_numpy(output)[0])
        return np.concatenate(outputs if direction == FORWARD else outputs[::-1]), state

    def logits(self, hidden: np.ndarray) -> np.ndarray:
        """Scores `[..., words]` of which the softmax is the distribution; hidden `[..., projection]` as of `read`."""
        return self.softmax.logits(hidden)

    def log_probabilities(self, hidden: np.ndarray) -> np.ndarray:
        """The logarithms `[..., words]` of the distribution, in nats, float64."""
        return self.softmax.log_probabilities(hidden)

    def _vectors_of(self, words: Sequence[str], most: int = 100_000) -> np.ndarray:
        """Token vectors `[words, projection]`; each word is encoded once, as long as there are not too many."""
        if len(self._vectors) > most:
            self._vectors.clear()
        new = list(dict.fromkeys(word for word in words if word not in self._vectors))
        if new:
            spelling = self.bilm.spelling
            vectors = ops.convert_to_numpy(self._encode(spelling.trim(spelling.ids(new)).astype(np.int32)))
            self._vectors |= zip(new, vectors, strict=True)
        return np.stack([self._vectors[word] for word in words])


def _stepping(stack):
    def read(vectors, state):
        outputs, after = stack(vectors, state=state)
        return outputs[-1], after

    return read
