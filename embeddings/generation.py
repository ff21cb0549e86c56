"""Text from a language model."""

from collections.abc import Iterator, Sequence

import numpy as np

from embeddings.characters import SENTENCE_BEGIN, SENTENCE_END
from embeddings.samplers import Sampler
from embeddings.spelling import UNKNOWN
from embeddings.word_predictor import FORWARD, WordPredictor


class Generator:
    """Continues a text word by word with the forward language model. The LSTM state is carried from word to word and,
    as in training, from sentence to sentence, so that a word costs the same however long the text is.

    Args:
        predictor: the language model.
        sampler: how a word is drawn.
        unknown: whether `<UNK>` may be drawn, which stands for all words that are not in the vocabulary.

    Example:
        >>> generator = Generator(WordPredictor.load("runs/bilm"), Sampler(temperature=0.7, seed=1))
        >>> " ".join(generator.generate([["It", "was"]], most_words=3))
        'a dark night'
    """

    def __init__(self, predictor: WordPredictor, sampler: Sampler, unknown: bool = False):
        self.predictor = predictor
        self.sampler = sampler
        # What follows the end of a sentence is not left to chance.
        never = (SENTENCE_BEGIN,) if unknown else (SENTENCE_BEGIN, UNKNOWN)
        self._never = [predictor.vocabulary.index(word) for word in never]

    def generate(self, prompt: Sequence[Sequence[str]], most_words: int) -> Iterator[str]:
        """Read a prompt and go on.

        Args:
            prompt: sentences, of which the last is continued; it may be empty. Words outside the vocabulary are read
                by their characters, if the biLM reads such.
            most_words: how many are drawn.

        Yields:
            Each word as it is drawn. `</S>` ends a sentence and counts as a word; what follows begins a new one.
        """
        *whole, open_sentence = prompt or [[]]
        unread = [word for sentence in whole for word in (SENTENCE_BEGIN, *sentence, SENTENCE_END)]
        unread += [SENTENCE_BEGIN, *open_sentence]
        state = None
        for _ in range(most_words):
            hidden, state = self.predictor.read(FORWARD, unread, state)
            logits = self.predictor.logits(hidden[-1])
            logits[self._never] = -np.inf
            word = self.predictor.vocabulary[self.sampler.sample(logits)]
            yield word
            unread = [word, SENTENCE_BEGIN] if word == SENTENCE_END else [word]
