"""How a biLM is trained."""

from dataclasses import dataclass
from typing import ClassVar


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

    batch_size: int = 64
    steps: int = 20
    learning_rate: float = 4e-3
    clip_norm: float = 1.0
    dropout: float = 0.1
    seed: int = 1

    __pydantic_config__: ClassVar = {"extra": "forbid"}
