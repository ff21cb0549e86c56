"""What a head is made of and how it is trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from models.label_scheme import Scheme, marks_spans

Task = Literal["classification", "tagging", "seq2seq"]

Cell = Literal["none", "dense", "lstm", "gru"]
"""What an encoder is made of: recurrent cells, `dense` (ReLU, word by word), or nothing."""

Activation = Literal[
    "linear",
    "relu",
    "relu6",
    "elu",
    "selu",
    "gelu",
    "silu",
    "mish",
    "tanh",
    "hard_tanh",
    "sigmoid",
    "log_sigmoid",
    "softplus",
    "softsign",
]
"""By their names in Keras."""

Units = Annotated[int, Field(ge=1)]
Dense = tuple[tuple[Units, Activation], ...]
"""Dense layers, one after another: the units and the activation of each."""

_FORBID: dict = {"extra": "forbid"}


@dataclass(frozen=True)
class ElmoInput:
    """The task's mix of a biLM's layers.

    Args:
        projection: width that a dense layer brings it to, or None to leave it.
    """

    kind: Literal["elmo"] = "elmo"
    projection: Units | None = None

    __pydantic_config__: ClassVar = _FORBID


@dataclass(frozen=True)
class WordInput:
    """A vector for each known word.

    Args:
        name: by which the features know it.
        dim: of the vector.
    """

    kind: Literal["words"] = "words"
    name: str = "words"
    dim: Units = 100

    __pydantic_config__: ClassVar = _FORBID


@dataclass(frozen=True)
class CharacterInput:
    """A word's vector, made of the vectors of its characters.

    Args:
        name: by which the features know it.
        dim: of a character's vector.
        encoder: `cnn`, convolutions and the maximum over the places in the word (Ma and Hovy 2016, section 2.1);
            `lstm` or `gru`, the last state of each direction (Lample et al. 2016, section 4.1); or the `sum` or the
            `mean` of the vectors.
        widths: of the convolutions, in characters.
        filters: of each width.
        activation: of the convolutions.
        projection: width that a dense layer brings the convolutions to, or None.
        units, depth, bidirectional: of a recurrent encoder.
    """

    kind: Literal["characters"] = "characters"
    name: str = "characters"
    dim: Units = 16
    encoder: Literal["cnn", "lstm", "gru", "sum", "mean"] = "cnn"
    widths: tuple[Units, ...] = (3,)
    filters: Units = 64
    activation: Activation = "relu"
    projection: Units | None = None
    units: Units = 25
    depth: Units = 1
    bidirectional: bool = True

    __pydantic_config__: ClassVar = _FORBID

    def __post_init__(self):
        if self.encoder == "cnn" and not self.widths:
            raise ValueError("'widths' is empty; expected the width of one convolution at least")


Input = Annotated[ElmoInput | WordInput | CharacterInput, Field(discriminator="kind")]


@dataclass(frozen=True)
class Biattention:
    """The parts of a biattentive classification network (McCann et al. 2017, "Learned in translation", section 5),
    whose encoder is that of the head.

    Args:
        before: dense layers below the encoder, word by word.
        integrator: reads each word beside what the others say of it.
        units, depth, bidirectional: of the integrator.
        elmo: whether a second ELMo mix of its own stands beside the integrator's output (Peters et al. 2018, 5.1).
        output: layers above the pooled vectors, but for the labels': units and, of a maxout layer (Goodfellow et al.
            2013), the pieces.
        pieces: of the labels' layer, 1 if it is no maxout.
        dense: in place of `output` and `pieces`, unless it is empty: dense layers above the pooled vectors; the last
            gives the labels, and its units are their number.
    """

    before: Dense = ((300, "relu"),)
    integrator: Literal["lstm", "gru"] = "lstm"
    units: Units = 300
    depth: Units = 1
    bidirectional: bool = True
    elmo: bool = False
    output: tuple[tuple[Units, Units], ...] = ((300, 4), (300, 4))
    pieces: Units = 4
    dense: Dense = ()

    __pydantic_config__: ClassVar = _FORBID


@dataclass(frozen=True)
class HeadOptions:
    """The layers above the biLM.

    Args:
        encoder: between the inputs and the output.
        units: of a layer of the encoder, in each direction.
        depth: layers of the encoder.
        pooling: of the words of a text, for classification.
        layer_norm: normalise the biLM's layers before they are mixed.
        dropout: share of the inputs' and of the encoder's units that training leaves out.
        bidirectional: whether a recurrent encoder reads from both sides.
        inputs: what a word is given as, side by side.
        feedforward: dense layers above the encoder, word by word.
        decoder: of tags: `crf` for the best path, `softmax` for the best tag of each word.
        boundaries: whether the CRF learns scores of a path's first and last tag.
        constraints: tags that a CRF's path may not put side by side, by the scheme in which the labels mark spans.
        biattention: makes of a classifier a biattentive classification network.
    """

    encoder: Cell = "lstm"
    units: Units = 100
    depth: Units = 1
    pooling: Literal["max", "mean", "last"] = "max"
    layer_norm: bool = False
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    bidirectional: bool = True
    inputs: tuple[Input, ...] = (ElmoInput(),)
    feedforward: Dense = ()
    decoder: Literal["crf", "softmax"] = "crf"
    boundaries: bool = True
    constraints: Scheme | None = None
    biattention: Biattention | None = None

    __pydantic_config__: ClassVar = _FORBID

    def __post_init__(self):
        if self.pooling == "last" and self.encoder not in ("lstm", "gru"):
            raise ValueError(f"pooling 'last' needs a recurrent encoder, found encoder '{self.encoder}'")
        if self.constraints and self.decoder != "crf":
            raise ValueError(f"constraints '{self.constraints}' need decoder 'crf', found '{self.decoder}'")
        if not self.inputs:
            raise ValueError("'inputs' is empty; expected one input at least")
        kinds = [part.kind for part in self.inputs]
        if kinds.count("elmo") > 1:
            raise ValueError(f"'inputs' has {kinds.count('elmo')} of kind 'elmo'; expected one at most")
        names = [part.name for part in self.features]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"'inputs' has two of the name '{name}'; expected a name of its own for each")

    @property
    def features(self) -> list[WordInput | CharacterInput]:
        """The inputs beside ELMo."""
        return [part for part in self.inputs if not isinstance(part, ElmoInput)]

    @property
    def uses_bilm(self) -> bool:
        return len(self.features) < len(self.inputs) or bool(self.biattention and self.biattention.elmo)


def check_trainable(task: Task, options: HeadOptions, labels: Sequence[str] | None = None) -> None:
    """Whether a head of these options can be trained for a task.

    Args:
        task, options: of the head.
        labels: if they are known.

    Raises:
        ValueError: it cannot.
    """
    if options.features:
        # Converted models alone have them so far.
        raise ValueError(f"input '{options.features[0].name}' cannot be trained; expected 'elmo' alone in 'inputs'")
    if task == "classification" and options.constraints:
        raise ValueError(f"constraints '{options.constraints}' are for tagging; this is classification")
    if task == "tagging" and options.biattention:
        raise ValueError("biattention is for classification; this is tagging")
    if labels is None:
        return
    if options.constraints and not marks_spans(labels):
        odd = next(label for label in labels if not marks_spans([label, "B-X"]))
        raise ValueError(f"constraints '{options.constraints}' do not fit the label '{odd}'; expected such as 'B-X'")
    dense = options.biattention.dense if options.biattention else ()
    if dense and dense[-1][0] != len(labels):
        raise ValueError(
            f"the last layer of biattention.dense has {dense[-1][0]} units; there are {len(labels)} labels"
        )


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

    __pydantic_config__: ClassVar = _FORBID
