"""What an estimator has learned, in a form that pickles: a head is kept as arrays, the source below it by its name."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from scipy.special import softmax

from embeddings.embedder import Embedder
from embeddings.embedders import AnyEmbedder, Stored, find_embedder, shape_of
from embeddings.errors import SourceError
from embeddings.source import Source, load_bilm
from embeddings.stored import StoredBiLM
from embeddings.text_embedding import StoredTextEmbedding
from embeddings.weights import MIX
from models.description import Description
from models.features import Features
from models.model_folder import save_model
from models.predictor import Predictor
from models.training import Head, build_head

_TURN = Lock()
"""An embedder keeps words, so that threads which share one have to take turns."""


@lru_cache(maxsize=2)
def _load(source: Source, checksum: str, batch_size: int | None, batch_words: int) -> AnyEmbedder:
    """The embedder of a source, kept, since a search fits many estimators above the same one; the checksum tells it
    from what stood there before."""
    stored = find_embedder(source)
    if isinstance(stored, StoredTextEmbedding):
        return stored.load(batch_size or 64)
    return Embedder(load_bilm(stored), batch_size=batch_size, batch_words=batch_words)


class PickledSource:
    """A source that is pickled as its name and its checksum, and loaded again when it is first asked.

    Args:
        source: as for `load_bilm`, or a SavedModel that embeds texts, which loading runs.
        batch_size: most sentences in a batch, if not the embedder's default.
        batch_words: most words in a batch of a biLM, padding included.

    Raises:
        SourceError: it does not exist or holds nothing that embeds.
    """

    def __init__(self, source: Source, batch_size: int | None = None, batch_words: int = 4096):
        self.source = source
        self._batch_size, self._batch_words = batch_size, batch_words
        self.stored = find_embedder(source)
        self._checksum = self.stored.checksum()

    @cached_property
    def stored(self) -> Stored:
        """What is at the source.

        Raises:
            SourceError: it is no longer there, or is no longer what it was.
        """
        stored = find_embedder(self.source)
        if stored.checksum() != self._checksum:
            raise SourceError(f"{self.source}: has other files than at the fit; expected the same, or a new fit")
        return stored

    @property
    def embeds_texts(self) -> bool:
        """Whether it gives one vector a text, not one a word."""
        return isinstance(self.stored, StoredTextEmbedding)

    @cached_property
    def embedder(self) -> AnyEmbedder:
        """Shared by all estimators of a process that ask for the same; use `embed`, so that they take turns."""
        # Looked at first, to be refused if it has changed.
        _ = self.stored
        with _TURN:
            return _load(self.source, self._checksum, self._batch_size, self._batch_words)

    @property
    def shape(self) -> tuple[int, int]:
        """Its layers, and the width of a vector."""
        return shape_of(self.embedder)

    @property
    def forward(self) -> int:
        """Numbers of a vector that have read from the left; the others have read from the right."""
        return self.shape[1] if isinstance(self.stored, StoredTextEmbedding) else self.stored.options.projection

    @property
    def normalises(self) -> bool:
        """Whether the mix that it brings normalises the layers."""
        return isinstance(self.stored, StoredBiLM) and self.stored.layer_norm

    def mix(self) -> np.ndarray | None:
        """What each layer counts in the mix that it brings, gamma * softmax(w), float32 `[layers]`; None without
        one."""
        arrays = self.stored.arrays() if isinstance(self.stored, StoredBiLM) else {}
        if MIX[0] not in arrays:
            return None
        weights, gamma = (np.asarray(arrays[key], np.float32) for key in MIX)
        return gamma * softmax(weights)

    def embed(self, sentences: Iterable[Sequence[str]]) -> Iterator[np.ndarray]:
        """The layers of each sentence, float32 `[layers, words, dim]`, in order."""
        embedder = self.embedder
        with _TURN:
            yield from embedder.embed(sentences)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("stored", "embedder")}


@dataclass
class PickledHead:
    """A trained head that is pickled as its description and its arrays, and built again when it is first asked.

    Args:
        description: of the model.
        features: of the head, if it has inputs of words or characters.
        weights: of the head, in Keras's order.
        below: the source, or None if the head asks for no ELMo.
    """

    description: Description
    features: Features | None
    weights: Sequence[np.ndarray]
    below: PickledSource | None

    @classmethod
    def of(
        cls, description: Description, head: Head, features: Features | None, below: PickledSource | None
    ) -> "PickledHead":
        """A head that was just trained; it answers without being built again."""
        description = description.calibrated_as(head)
        pickled = cls(description, features, head.get_weights(), below)
        pickled.head = head
        return pickled

    @cached_property
    def head(self) -> Head:
        task: Any = self.description.task
        shape = self.below.shape if self.below else None
        rows = self.features.rows if self.features else None
        head = build_head(task, self.description.head, self.description.labels, shape, rows)
        head.set_weights(self.weights)
        head.calibration = self.description.calibration
        return head

    @cached_property
    def predictor(self) -> Predictor:
        """What answers.

        Raises:
            SourceError: the source is no longer there, or is no longer what it was.
        """
        # It has the face of an embedder.
        embedder: Any = self.below
        return Predictor(self.description, self.head, embedder, self.features or Features({}))

    def save(self, folder: Path, name: str) -> None:
        """Write a model folder, with all that is below the head.

        Raises:
            OutputError: the folder cannot be written.
            SourceError: as for `predictor`.
        """
        below = self.below.stored if self.below else None
        save_model(folder, replace(self.description, name=name), self.head, below, self.features)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("head", "predictor")}
