"""A trained model, ready to answer. The command line, the REST server and MLflow's pyfunc all ask this one."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from embeddings.embedders import AnyEmbedder
from embeddings.errors import InputError
from embeddings.tokenizer import Token, is_text, tokenize, tokens_of_words
from models.description import Description
from models.examples import mask_of, padded
from models.features import Features
from models.model_folder import AnyHead, load_model
from models.predictions import Classification, Prediction, Tagging, spans_of

Text = str | Sequence[str]
"""A raw text, or its words."""


class Predictor:
    """Answers for texts: words, biLM, head, labels.

    It may be shared by threads, which take turns.

    Args:
        description, head, embedder, features: as `load_model` gives them.

    Example:
        >>> predictor = Predictor.load("demo/models/library")
        >>> predictor.predict(["Returns a DataFrame with one row per group."])[0].label
        'pandas'
    """

    def __init__(self, description: Description, head: AnyHead, embedder: AnyEmbedder | None, features: Features):
        self.description = description
        self._head: Any = head
        self._embedder = embedder
        self._features = features
        self._lock = Lock()

    @classmethod
    def load(cls, folder: str | Path) -> "Predictor":
        """Read a model folder; one of the task seq2seq gives a `Translator`.

        Raises:
            ModelError: the folder is no model.
            SourceError: its biLM cannot be read.
        """
        # It is a predictor itself.
        from models.translator import Translator

        loaded = load_model(Path(folder))
        return (Translator if loaded[0].task == "seq2seq" else cls)(*loaded)

    def predict(self, texts: Sequence[Text], batch_size: int = 64, logits: bool = False) -> list[Prediction]:
        """Answer for each text.

        Args:
            texts: raw texts, or lists of words; places in a list of words are those in the words joined by spaces.
            batch_size: texts that pass the head at once.
            logits: whether the answers hold the scores that the head gives each label.

        Returns:
            In order, a `Classification` or a `Tagging` for each text.

        Raises:
            InputError: a text has no words; the message names its position.
        """
        return self._in_batches(texts, batch_size, lambda batch: self._predict_batch(batch, logits))

    def _in_batches(self, texts: Sequence[Text], batch_size: int, answer: Callable[[list], list]) -> list:
        """What `answer` gives for batches of texts and their tokens, in the order of the texts."""
        if isinstance(texts, str):
            raise InputError("expected a list of texts, found one text")
        read = [self._read(text, position) for position, text in enumerate(texts)]
        predictions: list = [None] * len(read)
        with self._lock:
            for batch in _batches([len(tokens) for _, tokens in read], batch_size):
                for k, prediction in zip(batch, answer([read[k] for k in batch]), strict=True):
                    predictions[k] = prediction
        return predictions

    def _read(self, text: Text, position: int) -> tuple[str, list[Token]]:
        raw = text if isinstance(text, str) else " ".join(text)
        if not is_text(raw):
            raise InputError(f"text {position} holds half a character (a lone surrogate); expected Unicode text")
        if not raw.strip():
            raise InputError(f"text {position} has no words; expected at least one")
        return raw, tokenize(raw, self.description.tokenizer) if isinstance(text, str) else tokens_of_words(text)

    def _predict_batch(self, batch: list[tuple[str, list[Token]]], logits: bool) -> list[Prediction]:
        x = self._inputs([[token.text for token in tokens] for _, tokens in batch])
        lengths = x["mask"].sum(axis=1)
        scores = self._head.predict_on_batch(x)
        decoded = self._head.decode(scores, lengths)
        labels = self.description.labels
        if self.description.task == "classification":
            return [
                _classification(labels, probabilities, _by_label(labels, row) if logits else None)
                for probabilities, row in zip(decoded, scores, strict=True)
            ]
        return [
            _tagging(
                text, tokens, [labels[k] for k in path], [_by_label(labels, word) for word in row] if logits else None
            )
            for (text, tokens), path, row in zip(
                batch, decoded, (row[:length] for row, length in zip(scores, lengths, strict=True)), strict=True
            )
        ]

    def _inputs(self, sentences: list[list[str]]) -> dict[str, Any]:
        """What the head takes of a batch."""
        options = self.description.head
        x: dict[str, Any] = {"mask": mask_of([len(words) for words in sentences])}
        if self._embedder:
            x = padded(list(self._embedder.embed(sentences)))
        return x | {"features": self._features.arrays(options, sentences)} if options.features else x


def _batches(lengths: list[int], batch_size: int, batch_words: int = 16_384) -> Iterator[list[int]]:
    """Positions of texts of like length, which keeps the padding small: at most so many texts and, padded, words."""
    batch: list[int] = []
    for k in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) == batch_size or (len(batch) + 1) * lengths[k] > batch_words):
            yield batch
            batch = []
        batch.append(k)
    if batch:
        yield batch


def _by_label(labels: list[str], numbers: np.ndarray) -> dict[str, float]:
    return dict(zip(labels, map(float, numbers), strict=True))


def _classification(labels: list[str], probabilities: np.ndarray, logits: dict[str, float] | None) -> Classification:
    ranked = sorted(_by_label(labels, probabilities).items(), key=lambda pair: -pair[1])
    return Classification(ranked[0][0], dict(ranked), logits)


def _tagging(text: str, tokens: list[Token], tags: list[str], logits: list[dict[str, float]] | None) -> Tagging:
    return Tagging(tokens, tags, spans_of(text, tokens, tags), logits)
