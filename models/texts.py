"""What heads take of texts, batch by batch."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from embeddings.bilm import BiLM
from embeddings.errors import ConfigError
from embeddings.store import Store
from embeddings.word_table import WordTable
from models.examples import Examples
from models.features import Features
from models.options import HeadOptions

Layers = Store | BiLM | None
"""The layers of a head's texts: computed before, to be computed with the head, or none."""

Batch = tuple[np.ndarray, dict[str, Any], np.ndarray | None]


class Texts:
    """Texts as a head takes them.

    Args:
        layers: of all texts: a store of them, or the biLM; None for a head without ELMo.
        examples: the texts; not needed above a store without features.
        options: of the head, if it has features.
        features: of the head, if it has any.

    Raises:
        ConfigError: the store holds another number of vectors than there are words, for a head with features.
    """

    def __init__(
        self,
        layers: Layers,
        examples: Examples | None = None,
        options: HeadOptions | None = None,
        features: Features | None = None,
    ):
        self._layers, self._options, self._features = layers, options, features
        self._sentences = [] if examples is None else examples.texts
        self._pairs = examples is not None and examples.pairs is not None
        words = [len(sentence) for sentence in self._sentences]
        self._words = np.array([x.shape[1] for x in layers] if isinstance(layers, Store) else words)
        if features and self._words.tolist() != words:
            raise ConfigError("head.inputs: words and characters do not go with a source of one vector a text")
        if isinstance(layers, BiLM):
            self._table = WordTable(layers.spelling)

    def __len__(self) -> int:
        return len(self._words) // (1 + self._pairs)

    @property
    def words(self) -> int:
        """Words in all texts."""
        return int(self._words.sum())

    def batch(self, positions: np.ndarray) -> dict[str, Any]:
        """What the head takes of some texts: `mask`, bool `[batch, time]`, and what its options ask for; of pairs the
        first texts and then the second ones."""
        if self._pairs:
            positions = np.concatenate([positions, positions + len(self)])
        if isinstance(self._layers, Store):
            x: dict[str, Any] = padded([self._layers[k] for k in positions])
        else:
            x = {"mask": mask_of(self._words[positions])}
        sentences = [self._sentences[k] for k in positions] if self._sentences else []
        if isinstance(self._layers, BiLM):
            x |= self._spelled(sentences)
        if self._features:
            assert self._options is not None
            x["features"] = self._features.arrays(self._options, sentences)
        return x

    def _spelled(self, sentences: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
        """What `HeadOnBiLM` takes: `ids`, the spelling of the distinct words, int `[words, width]`, and `place`, the
        row of each word of each framed text, int `[batch, time + 2]`."""
        rows = [self._table.framed_rows(sentence) for sentence in sentences]
        distinct, place = np.unique(np.concatenate(rows), return_inverse=True)
        together = np.zeros((len(rows), max(map(len, rows))), np.int32)
        first = 0
        for row, framed in zip(together, rows, strict=True):
            row[: len(framed)] = place[first : first + len(framed)]
            first += len(framed)
        ids = self._table.spelling.trim(self._table.ids[distinct]).astype(np.int32)
        return {"ids": ids, "place": together}

    def batches(
        self, targets: Sequence[np.ndarray] | None, batch_size: int, random: np.random.Generator | None = None
    ) -> Iterator[Batch]:
        """Batches of texts of like length.

        Args:
            targets: from `models.labels.numbered_targets`, or None to predict.
            batch_size: texts in a batch.
            random: shuffles the texts, mildly sorted by length, and then the batches; None for the order of length.

        Yields:
            The positions of the texts, int `[batch]`; what heads take; and the targets, `[batch, ...]`.
        """
        lengths = self._words.reshape(-1, len(self)).max(axis=0) if len(self) else self._words
        noise = random.uniform(0.95, 1.05, len(lengths)) if random else 1.0
        order = np.argsort(lengths * noise, kind="stable")
        chunks = [order[first : first + batch_size] for first in range(0, len(order), batch_size)]
        if random:
            random.shuffle(chunks)
        for chunk in chunks:
            yield chunk, self.batch(chunk), None if targets is None else padded_rows([targets[k] for k in chunk])


def padded(layers: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """What heads take, from the layers `[layers, words, dim]` of each text."""
    mask = mask_of([x.shape[1] for x in layers])
    count, _, dim = layers[0].shape
    together = np.zeros((len(layers), count, mask.shape[1], dim), np.float32)
    for row, x in zip(together, layers, strict=True):
        row[:, : x.shape[1]] = x
    return {"layers": together, "mask": mask}


def mask_of(lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    """Where the words of texts stand that are padded to the longest: bool `[batch, time]`."""
    return np.arange(max(lengths)) < np.array(lengths)[:, None]


def padded_rows(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays of one axis one under another, filled up with 0; of none, side by side."""
    if rows[0].ndim == 0:
        return np.array(rows)
    together = np.zeros((len(rows), max(map(len, rows))), rows[0].dtype)
    for row, values in zip(together, rows, strict=True):
        row[: len(values)] = values
    return together
