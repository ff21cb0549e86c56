"""A version of a model in memory, warm, with the queues of what is asked of it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from embeddings.tokenizer import Token
from models.predictions import Prediction
from models.predictor import Predictor
from serve.answers import ServedInfo, State
from serve.batcher import Batcher, Lane
from serve.registry import FoundModel


class LoadedModel:
    """A version of a model that can answer.

    Args:
        name, version: the version is that of the registry, None for a folder.
        predictor: that answers.
        background: whether nobody waits for its answers.
    """

    def __init__(self, name: str, version: str | None, predictor: Predictor, background: bool = False):
        self.name, self.version, self.predictor = name, version, predictor
        self.state: State = "ready"
        self.background = background
        description = predictor.description
        layers, dim = predictor.shape or (None, None)
        self.info = ServedInfo(
            name=name,
            version=version,
            state="ready",
            task=description.task,
            labels=description.labels if description.task != "seq2seq" else [],
            metrics=description.metrics,
            example=description.example,
            pairs=predictor.pairs,
            tokenizer=description.tokenizer,
            layer_weights=predictor.layer_weights(),
            layers=layers,
            dim=dim,
        )
        self.predictions = Lane(name, version, self._predict, background)
        self.embeddings = Lane(name, version, self._embed, background)

    @classmethod
    def load(cls, found: FoundModel, background: bool = False) -> "LoadedModel":
        """Load a model and let it answer, so that the first request does not wait for what is made on first use."""
        predictor = Predictor.load(found.folder)
        example: Any = predictor.description.example
        # One text and several: NumPy and TensorFlow take other ways for one row than for many.
        for texts in ([example], [example] * 8):
            predictor.predict(texts)
        return cls(found.name, found.version, predictor, background)

    def join(self, batcher: Batcher) -> None:
        """Take part in batches."""
        batcher.add(self.predictions)
        batcher.add(self.embeddings)

    async def drain(self, batcher: Batcher) -> None:
        """Answer what is asked already, and then leave."""
        self.state = "draining"
        await batcher.remove(self.predictions)
        await batcher.remove(self.embeddings)

    def described(self) -> ServedInfo:
        """What a caller sees of it now."""
        return replace(self.info, state=self.state)

    def _predict(self, texts: Sequence[Any], logits: Sequence[bool]) -> list[Prediction]:
        asked = any(logits)
        predictions = self.predictor.predict(texts, logits=asked)
        if not asked or all(logits):
            return predictions
        return [
            one if kept else replace(one, logits=None)  # type: ignore[call-arg, arg-type]
            for one, kept in zip(predictions, logits, strict=True)
        ]

    def _embed(
        self, texts: Sequence[Any], select: Sequence[Callable[[np.ndarray], np.ndarray]]
    ) -> list[tuple[list[Token], np.ndarray]]:
        return self.predictor.embed(texts, select)
