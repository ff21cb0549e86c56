"""What the routes of every protocol ask, and what they are answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from embeddings.selection import Selection
from embeddings.tokenizer import Token, TokenizerName
from models.options import Task
from models.predictions import Prediction

# It loads TensorFlow, which those who only pass questions on do without.
if TYPE_CHECKING:
    from models.predictor import Text

State = Literal["loading", "ready", "draining", "failed"]


@dataclass(frozen=True)
class ServedInfo:
    """A version of a model that is served, as a caller sees it.

    Args:
        name, version: the version is that of the registry; None for a folder.
        state: only `ready` answers.
        labels: of the head.
        tokenizer: that parts its texts into words.
        example: a text to try it with, or a pair of them.
        layer_weights: of ELMo's layers, softmaxed (Peters et al. 2018, equation 1); None where the head mixes none.
        layers, dim: of `embed`'s vectors; None where there is no biLM.
    """

    name: str
    version: str | None
    state: State
    task: Task
    labels: list[str]
    metrics: dict[str, float]
    example: str | list[str]
    pairs: bool = False
    tokenizer: TokenizerName = "spacy"
    layer_weights: list[float] | None = None
    layers: int | None = None
    dim: int | None = None


@dataclass(frozen=True)
class Answer:
    """A prediction for each text, in order, and who gave them; every one of an answer comes from the same version."""

    model: str
    version: str | None
    task: Task
    predictions: list[Prediction]
    milliseconds: float


@dataclass(frozen=True)
class Embedding:
    """Of each text its words and `[kept layers, rows, dim]`, and who gave them.

    Args:
        layers: names of the kept layers.
    """

    model: str
    version: str | None
    layers: list[str]
    tokens: list[list[Token]]
    vectors: list[np.ndarray]
    milliseconds: float


class Service(Protocol):
    """The models that are served. Every call raises a `RequestError` or an `InputError`, or answers."""

    def models(self) -> list[ServedInfo]:
        """Every version that is there, the one that answers for its name first."""

    def model(self, name: str, version: str | None = None) -> ServedInfo:
        """The version that answers for a name, or the version that is asked for.

        Raises:
            NotFound: there is none.
        """

    async def predict(
        self,
        name: str,
        texts: Sequence["Text"],
        *,
        version: str | None = None,
        logits: bool = False,
        timeout: float | None = None,
    ) -> Answer:
        """Answer for texts.

        Args:
            timeout: seconds from now after which the answer is of no use.
        """

    async def embed(
        self,
        name: str,
        texts: Sequence["Text"],
        selection: Selection,
        *,
        version: str | None = None,
        timeout: float | None = None,
    ) -> Embedding:
        """The vectors of texts. The selection's layers may be `mix`, with the model's own weights."""
