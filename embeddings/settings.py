"""How a biLM is trained."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class PretrainingSettings:
    """How a biLM is trained.

    Args:
        batch_size: streams of text in a batch.
        backpropagation: `truncated`, through a window of the text, whose state is carried to the next; or through each
            `sentence`, which begins with a state of zeros.
        steps: words of a window, or the most of a sentence, its frame included; what is longer is cut into pieces.
        optimizer: `adam`, `adagrad` (as bilm-tf) or `sgd`.
        momentum: of SGD.
        learning_rate: at its highest.
        schedule: how the rate falls after the warm-up: along a `cosine` or in a `linear` way to a twentieth,
            `exponential` likewise, with the inverse square root of the steps, or not at all (`constant`).
        warm_up: share of the steps in which the rate rises from a twentieth to its highest.
        clip_norm: bound on the norm of the whole gradient, or None.
        clip_value: bound on each number of the gradient, or None.
        accumulate: batches whose gradients make one step.
        objective: of the words to predict: the softmax over `full` vocabulary; the same, trained on a sample of it
            (`sampled`); or an `adaptive` softmax, which has clusters of rare words with fewer weights. Perplexity is
            measured with the full distribution always.
        samples: words of a sample, for all positions of a batch.
        cutoffs: the first word of each cluster, by its number in the vocabulary; by default as `default_cutoffs`.
        div_value: by how much each cluster's rows are narrower than those before.
        precision: in which the layers compute: `float32`, or `bfloat16` with weights, optimizer and objective in
            float32 (Micikevicius et al. 2018, "Mixed precision training").
        dropout: share of the token vectors' and of the top layer's units that is left out.
        initializer: of the weights of the recurrent layers.
        forget_bias: of a plain LSTM's forget gate, before training.
        seed: of the initial weights, of dropout and of samples.
        checkpoint_every: batches after which all that is needed to go on is written.
        validate_every: batches after which perplexity is measured on the validation text, or None for the end only.
            The weights with the lowest one are kept.
        patience: measurements without a lower perplexity after which the training ends, or None for no early end.
    """

    batch_size: Count = 64
    backpropagation: Literal["truncated", "sentence"] = "truncated"
    steps: Annotated[int, Field(ge=2)] = 20
    optimizer: Literal["adam", "adagrad", "sgd"] = "adam"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    learning_rate: Positive = 2e-3
    schedule: Literal["cosine", "linear", "exponential", "inverse_sqrt", "constant"] = "cosine"
    warm_up: Annotated[float, Field(ge=0, lt=1)] = 0.1
    clip_norm: Positive | None = 0.25
    clip_value: Positive | None = None
    accumulate: Count = 1
    objective: Literal["full", "sampled", "adaptive"] = "full"
    samples: Count = 8192
    cutoffs: tuple[Count, ...] | None = None
    div_value: Annotated[float, Field(ge=1, le=1000)] = 4.0
    precision: Literal["float32", "bfloat16"] = "float32"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    initializer: Literal["glorot_uniform", "uniform", "orthogonal"] = "glorot_uniform"
    forget_bias: float = 1.0
    seed: int = 1
    checkpoint_every: Count = 500
    validate_every: Count | None = None
    patience: Count | None = None

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    def __post_init__(self):
        if self.clip_norm and self.clip_value:
            raise ValueError("clip_norm and clip_value are both set; expected one of them (the other as null)")
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"momentum is for sgd, found optimizer '{self.optimizer}'")
        if self.cutoffs is not None and self.objective != "adaptive":
            raise ValueError(f"cutoffs are for adaptive, found objective '{self.objective}'")
        if self.patience and not self.validate_every:
            raise ValueError("patience needs validate_every, the batches between two measurements")
