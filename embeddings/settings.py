"""How a biLM is trained."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field


@dataclass(frozen=True)
class PretrainingSettings:
    """How a biLM is trained.

    Args:
        batch_size: streams of text in a batch.
        steps: words of a window, through which the gradient flows.
        learning_rate: of Adam, at its highest; it rises over the first twentieth of the steps and falls along a cosine.
        clip_norm: bound on the norm of the whole gradient.
        dropout: share of the token vectors' and of the top layer's units that is left out.
        seed: of the initial weights and of dropout.
    """

    batch_size: Annotated[int, Field(ge=1)] = 64
    steps: Annotated[int, Field(ge=1)] = 20
    learning_rate: Annotated[float, Field(gt=0)] = 4e-3
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    seed: int = 1

    __pydantic_config__: ClassVar = {"extra": "forbid"}
