"""A trained model that translates, ready to answer."""

from collections.abc import Sequence

import numpy as np

from embeddings.errors import InputError
from embeddings.tokenizer import text_of
from models.predictions import Attention, Hypothesis, Prediction, Translation
from models.predictor import Predictor, Read, Text
from models.seq2seq_vocabulary import BEGIN, END, MARKS, TargetVocabulary, padded


class Translator(Predictor):
    """Answers for texts with their translations: words, biLM, encoder, beam search, text.

    It may be shared by threads, which take turns.

    Example:
        >>> translator = Predictor.load("demo/models/dates")
        >>> translator.translate(["Tuesday, March 5, 2019"])[0].text
        'terça-feira, 5 de março de 2019'
    """

    def predict(self, texts: Sequence[Text], batch_size: int = 64, logits: bool = False) -> list[Prediction]:
        """A `Translation` for each text, by the beam and the n-best of the model's options.

        Raises:
            InputError: a text has no words; the message names its position. Or logits were asked for.
        """
        if logits:
            raise InputError("logits: a translation has no score of each label; expected a classification or a tagging")
        return [*self.translate(texts, batch_size)]

    def translate(
        self,
        texts: Sequence[Text],
        batch_size: int = 64,
        beam: int | None = None,
        n_best: int | None = None,
        attention: bool = False,
    ) -> list[Translation]:
        """Translate each text.

        Args:
            texts: raw texts, or lists of words.
            batch_size: texts that are searched for at once.
            beam: hypotheses that are held at once, or None for those of the model's options; 1 is greedy search.
            n_best: hypotheses of an answer at most, or None for those of the options, or of the beam if it is smaller.
            attention: whether the answers say where the decoder looked.

        Raises:
            InputError: a text has no words; the message names its position. Or n_best is more than the beam.
        """
        options = self.description.head
        beam = options.beam if beam is None else beam
        n_best = min(options.n_best, beam) if n_best is None else n_best
        if not 1 <= n_best <= beam:
            raise InputError(f"n_best {n_best} with a beam of {beam}; expected at least 1 and at most the beam")
        return self._in_batches(texts, batch_size, lambda batch: self._translate(batch, beam, n_best, attention))

    def _translate(self, batch: list[Read], beam: int, n_best: int, attention: bool) -> list[Translation]:
        vocabulary = TargetVocabulary(self.description.labels)
        sentences = [one.words for one in batch]
        x = self._inputs(batch)
        numbers, scores = self._head.translate(x, beam, n_best)
        # A source has fewer translations than were asked for if the beam ran dry.
        words = [
            [vocabulary.words(row) for row in rows[np.isfinite(of)].tolist()]
            for rows, of in zip(numbers, scores, strict=True)
        ]
        looks: list = [None] * len(batch)
        if attention:
            best = [[*found[0], MARKS[END]] for found in words]
            previous = padded(
                [[BEGIN, *row[: len(target) - 1]] for row, target in zip(numbers[:, 0], best, strict=True)]
            )
            weights = self._head.attend(x | {"previous": previous})
            looks = [
                Attention(source, target, rows[: len(target), : len(source)].tolist())
                for source, target, rows in zip(sentences, best, weights, strict=True)
            ]
        return [self._translation(*answer) for answer in zip(words, scores, looks, strict=True)]

    def _translation(self, words: list[list[str]], scores: np.ndarray, attention: Attention | None) -> Translation:
        texts = [text_of(found, self.description.target_tokenizer) for found in words]
        hypotheses = [Hypothesis(text, float(score)) for text, score in zip(texts, scores, strict=False)]
        return Translation(texts[0], hypotheses, attention)
