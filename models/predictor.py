"""A trained model, ready to answer. The command line, the REST server and MLflow's pyfunc all ask this one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from threading import Lock
from typing import Any

import numpy as np

from embeddings.embedders import AnyEmbedder, shape_of
from embeddings.errors import InputError
from embeddings.tokenizer import Token, is_text, tokenize, tokens_of_words
from models.description import Description
from models.encoder import layer_weights
from models.features import Features
from models.labels import answers
from models.model_folder import AnyHead, load_model
from models.predictions import Path, Prediction, Tagging, by_label, classification, spans_of
from models.scoring import scorer
from models.texts import mask_of, padded

Text = str | Sequence[str | Sequence[str]]
"""A raw text, or its words; or for a model of pairs two of these."""


@dataclass
class Read:
    """A raw text, its words, and what the biLM makes of them, `[layers, words, dim]`, if there is one."""

    text: str
    tokens: list[Token]
    layers: np.ndarray | None = None

    @property
    def words(self) -> list[str]:
        return [token.text for token in self.tokens]


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
    def load(cls, folder: str | FilePath) -> "Predictor":
        """Read a model folder; one of the task seq2seq gives a `Translator`.

        Raises:
            ModelError: the folder is no model.
            SourceError: its biLM cannot be read.
        """
        # It is a predictor itself.
        from models.translator import Translator

        loaded = load_model(FilePath(folder))
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
            InputError: a text has no words, or is no pair though the model reads pairs; the message names its position.
        """
        return self._in_batches(texts, batch_size, lambda batch: self._predict_batch(batch, logits))

    def tag(
        self, texts: Sequence[Text], batch_size: int = 64, paths: int = 0, marginals: bool = False
    ) -> list[Tagging]:
        """Answer for each text, with what a tagger knows beside the best path.

        Args:
            texts, batch_size: as for `predict`.
            paths: how many of the best paths the answers hold, each with its probability.
            marginals: whether the answers hold the probability of each label of each word.

        Raises:
            InputError: a text has no words; the message names its position. Or the model is no tagger.
        """
        if self.description.task != "tagging":
            raise InputError(f"a model for {self.description.task} has no tags; expected one for tagging")
        return self._in_batches(texts, batch_size, lambda batch: self._tag(batch, False, paths, marginals))

    def check(self, texts: Sequence[Text], pairs: bool | None = None) -> None:
        """Look at texts as `predict` does before it computes anything, and sooner than it: no text is split into words.

        Args:
            texts: as for `predict`.
            pairs: whether they must be pairs; by default as the model reads them.

        Raises:
            InputError: as for `predict`.
        """
        for k, text in enumerate(texts):
            for one in _pair(text, k) if (self.pairs if pairs is None else pairs) else (text,):
                _raw(one, k)

    def embed(
        self, texts: Sequence[Text], select: Sequence[Callable[[np.ndarray], np.ndarray]]
    ) -> list[tuple[list[Token], np.ndarray]]:
        """The vectors below the head.

        Args:
            texts: raw texts or lists of words, no pairs.
            select: for each text, what makes of its layers `[layers, words, dim]` what is kept of them.

        Returns:
            For each text its words, and what is kept.

        Raises:
            InputError: a text has no words; the message names its position. Or the model has no biLM.
        """
        if self._embedder is None:
            raise InputError(f"the model '{self.description.name}' has no biLM; expected one that has")
        read = [self._read(text, k) for k, text in enumerate(texts)]
        with self._lock:
            layers = self._embedder.embed([one.words for one in read])
            return [(one.tokens, kept(x)) for one, x, kept in zip(read, layers, select, strict=True)]

    @property
    def pairs(self) -> bool:
        """Whether it reads pairs of texts."""
        return getattr(self.description.head, "pairs", False)

    @property
    def shape(self) -> tuple[int, int] | None:
        """Layers of its biLM and numbers of a vector; None without one."""
        return shape_of(self._embedder) if self._embedder else None

    def layer_weights(self) -> list[float] | None:
        """What the head's mix gives each layer of the biLM, softmaxed (Peters et al. 2018, equation 1); of two mixes
        the one at its input. None without a mix."""
        encoder = getattr(self._head, "encoder", None)
        return next(iter(layer_weights(self._head).values()), None) if hasattr(encoder, "elmo") else None

    def _in_batches(self, texts: Sequence[Text], batch_size: int, answer: Callable[[list], list]) -> list:
        """What `answer` gives for batches of texts that have been read, in the order of the texts."""
        if isinstance(texts, str):
            raise InputError("expected a list of texts, found one text")
        pairs = self.pairs
        read: list = [(self._read_pair if pairs else self._read)(text, k) for k, text in enumerate(texts)]
        lengths = [max(len(side.tokens) for side in (one if pairs else (one,))) for one in read]
        predictions: list = [None] * len(read)
        with self._lock:
            for batch in _batches(lengths):
                sides = [side for k in batch for side in (read[k] if pairs else (read[k],))]
                self._embed(sides)
                for piece in _pieces(batch, lengths, batch_size):
                    for k, prediction in zip(piece, answer([read[k] for k in piece]), strict=True):
                        predictions[k] = prediction
                for side in sides:
                    side.layers = None
        return predictions

    def _embed(self, read: Sequence[Read]) -> None:
        """Embed texts of any lengths together, where a head had better read those of like length."""
        if self._embedder and self.description.kind != "tfidf":
            for one, layers in zip(read, self._embedder.embed([one.words for one in read]), strict=True):
                one.layers = layers

    def _read_pair(self, texts: Any, position: int) -> tuple[Read, Read]:
        first, second = (self._read(text, position) for text in _pair(texts, position))
        return first, second

    def _read(self, text: Any, position: int) -> Read:
        raw = _raw(text, position)
        tokens = tokenize(raw, self.description.tokenizer) if isinstance(text, str) else tokens_of_words(list(text))
        return Read(raw, tokens)

    def _predict_batch(self, batch: list, logits: bool) -> list:
        if self.description.task == "tagging":
            return self._tag(batch, logits)
        options, labels = self.description.head, self.description.labels
        # Of pairs the first texts, then the second ones.
        scores, decoded, _ = self._decode(
            [text for side in zip(*batch, strict=True) for text in side] if options.pairs else batch
        )
        return [
            classification(labels, row, options.multi_label, by_label(labels, score) if logits else None)
            for row, score in zip(decoded, scores, strict=True)
        ]

    def _tag(self, batch: list[Read], logits: bool, paths: int = 0, marginals: bool = False) -> list[Tagging]:
        options, labels = self.description.head, self.description.labels
        scores, decoded, lengths = self._decode(batch)
        found = []
        for read, path in zip(batch, decoded, strict=True):
            tags = answers(options, labels, path)
            found.append(Tagging(read.tokens, tags, spans_of(read.text, read.tokens, tags)))
        if logits:
            found = [replace(one, logits=_by_word(labels, one, row)) for one, row in zip(found, scores, strict=True)]
        if paths:
            best = self._head.best_paths(scores, lengths, paths)
            for k, row in enumerate(best):
                found[k] = replace(found[k], paths=[Path(answers(options, labels, path), p) for path, p in row])
        if marginals:
            for k, row in enumerate(self._head.marginals(scores, lengths)):
                found[k] = replace(found[k], marginals=_by_word(labels, found[k], row))
        return found

    def _decode(self, batch: list[Read]) -> tuple[np.ndarray, Any, np.ndarray]:
        """The head's scores, what it makes of them, and the words of each text."""
        x = self._inputs(batch)
        lengths = x["mask"].sum(axis=1)
        scores = scorer(self._head)(x)
        return scores, self._head.decode(scores, lengths), lengths

    def _inputs(self, batch: Sequence[Read]) -> dict[str, Any]:
        """What the head takes of a batch."""
        options = self.description.head
        x: dict[str, Any] = {"mask": mask_of([len(one.tokens) for one in batch])}
        if self.description.kind == "tfidf":
            return x | {"sentences": [one.words for one in batch]}
        if self._embedder:
            x = padded([one.layers for one in batch])  # type: ignore[misc]
        return x | {"features": self._features.arrays(options, [one.words for one in batch])} if options.features else x


def _pair(texts: Any, position: int) -> Any:
    """What must be a pair of texts."""
    if not isinstance(texts, Sequence | np.ndarray) or isinstance(texts, str) or len(texts) != 2:
        found = f"{len(texts)} texts" if isinstance(texts, list | tuple | np.ndarray) else "one text"
        raise InputError(f"texts[{position}] is {found}; expected two, as this model reads pairs")
    return texts


def _raw(text: Any, position: int) -> str:
    """A text that can be read."""
    if not isinstance(text, str | Sequence | np.ndarray):
        raise InputError(f"texts[{position}] is of the type {type(text).__name__}; expected a text or its words")
    if not isinstance(text, str) and not all(isinstance(word, str) for word in text):
        raise InputError(f"texts[{position}] is a pair of texts; expected one text, as this model reads no pairs")
    raw = text if isinstance(text, str) else " ".join(text)
    if not is_text(raw):
        raise InputError(f"texts[{position}] holds half a character (a lone surrogate); expected Unicode text")
    if not raw.strip():
        raise InputError(f"texts[{position}] has no words; expected at least one")
    return raw


TOGETHER = 8_192
"""Words that are embedded at once, at most."""
PADDING = 1_024
"""Words that a head reads in no more than the time that two batches of its own take."""
PADDED = 16_384
"""Words of a head's batch with its padding, at most."""


def _batches(lengths: list[int]) -> Iterator[list[int]]:
    """Positions of texts that are embedded together, by length."""
    batch: list[int] = []
    words = 0
    for k in sorted(range(len(lengths)), key=lengths.__getitem__):
        words += lengths[k]
        if batch and words > TOGETHER:
            yield batch
            batch, words = [], lengths[k]
        batch.append(k)
    if batch:
        yield batch


def _pieces(batch: list[int], lengths: list[int], batch_size: int) -> Iterator[list[int]]:
    """What a head reads at once of a batch: texts of like length, so that there is little padding."""
    first = words = 0
    for end, k in enumerate(batch):
        words += lengths[k]
        padded = (end + 1 - first) * lengths[k]
        if end - first == batch_size or padded - words > PADDING or (padded > PADDED and end > first):
            yield batch[first:end]
            first, words = end, lengths[k]
    yield batch[first:]


def _by_word(labels: list[str], answer: Tagging, numbers: np.ndarray) -> list[dict[str, float]]:
    return [by_label(labels, row) for row in numbers[: len(answer.tokens)]]
