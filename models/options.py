"""What a head is made of and how it is trained."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

Task = Literal["classification", "tagging"]


@dataclass(frozen=True)
class HeadOptions:
    """The layers above the biLM.

    Args:
        encoder: between the ELMo vectors and the output: bidirectional recurrent cells, `dense` (ReLU, word by word),
            or `none`.
        units: of a layer of the encoder, in each direction.
        depth: layers of the encoder.
        pooling: of the words of a text, for classification.
        layer_norm: normalise the biLM's layers before they are mixed.
        dropout: share of the ELMo vectors' and of the encoder's units that training leaves out.
    """

    encoder: Literal["none", "dense", "lstm", "gru"] = "lstm"
    units: Annotated[int, Field(ge=1)] = 100
    depth: Annotated[int, Field(ge=1)] = 1
    pooling: Literal["max", "mean", "last"] = "max"
    layer_norm: bool = False
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    def __post_init__(self):
        if self.pooling == "last" and self.encoder not in ("lstm", "gru"):
            raise ValueError(f"pooling 'last' needs a recurrent encoder, found encoder '{self.encoder}'")


@dataclass(frozen=True)
class TrainingSettings:
    """How a head is trained.

    Args:
        epochs: passes over the training data at most.
        patience: epochs without a better validation score after which training stops; the best epoch's weights are
            kept.
        batch_size: texts in a batch.
        learning_rate: of Adam.
        clip_norm: bound on the norm of the whole gradient.
    """

    epochs: Annotated[int, Field(ge=1)] = 10
    patience: Annotated[int, Field(ge=1)] = 3
    batch_size: Annotated[int, Field(ge=1)] = 32
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    clip_norm: Annotated[float, Field(gt=0)] = 5.0

    __pydantic_config__: ClassVar = {"extra": "forbid"}
