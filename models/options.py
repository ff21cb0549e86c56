"""What a head is made of and how it is trained."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from models.label_scheme import Scheme, marks_spans

Task = Literal["classification", "tagging", "seq2seq"]

Cell = Literal["none", "dense", "cnn", "lstm", "gru", "rnn", "lstm_without_forget_gate", "projected_lstm"]
"""What an encoder is made of: recurrent cells (those of `embeddings.cells`), convolutions over words (`cnn`), `dense`
(ReLU, word by word), or nothing."""

RECURRENT = ("lstm", "gru", "rnn", "lstm_without_forget_gate", "projected_lstm")

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
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
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
        dim: of the vector; that of the word vectors where some are given.
        lowercase: whether words are put in lower case first.
        min_count: how often a word occurs in the training data at least to have a vector of its own.
        trainable: whether the vectors are learned, or stay as word vectors give them (Kim 2014, `CNN-static`).
    """

    kind: Literal["words"] = "words"
    name: str = "words"
    dim: Units = 100
    lowercase: bool = False
    min_count: Units = 1
    trainable: bool = True

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
        min_count: how often a character occurs in the training data at least to have a vector of its own.
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
    min_count: Units = 1

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
        units: of a layer of the encoder, in each direction; of a convolution, for each width.
        depth: layers of the encoder.
        pooling: of the words of a text, for classification: the `max` or the `mean` over them, the `last` state of each
            direction, or the mean weighted by `attention` (Yang et al. 2016, equations 5 to 7).
        layer_norm: normalise the biLM's layers before they are mixed.
        dropout: share of the inputs' and of the encoder's units that training leaves out.
        bidirectional: whether a recurrent encoder reads from both sides.
        inputs: what a word is given as, side by side.
        feedforward: dense layers above the encoder, word by word.
        decoder: of tags: `crf` for the best path, `softmax` for the best tag of each word.
        boundaries: whether the CRF learns scores of a path's first and last tag.
        constraints: tags that a CRF's path may not put side by side, by the scheme in which the labels mark spans.
        biattention: makes of a classifier a biattentive classification network.
        widths: of a `cnn`, in words (Kim 2014).
        cells: of a `projected_lstm`, four times `units` by default.
        elmo_at_output: whether a second ELMo mix of its own stands beside the encoder's output (Peters et al. 2018,
            section 3.3).
        variational_dropout: leave out the same units of all words of a text (Gal and Ghahramani 2016, "A theoretically
            grounded application of dropout in recurrent neural networks").
        input_dropout: in place of `dropout` at the inputs.
        output_dropout: share of the pooled vector's units that training leaves out, for classification.
        word_dropout: share of the words that training takes for unknown ones, in the inputs of words.
        multi_label: whether a text has any number of labels, for classification.
        pairs: whether a text is two, u and v, whose pooled vectors the output sees as [u; v; |u - v|; u * v] (Mou et
            al. 2016, "Natural language inference by tree-based convolution and heuristic matching", section 3.3), for
            classification.
        scheme: of the tags that the tagger learns; those of the data are brought to it.
        answers: scheme of the tags that the tagger gives, by default that of the training data.
    """

    encoder: Cell = "lstm"
    units: Units = 100
    depth: Units = 1
    pooling: Literal["max", "mean", "last", "attention"] = "max"
    layer_norm: bool = False
    dropout: Share = 0.3
    bidirectional: bool = True
    inputs: tuple[Input, ...] = (ElmoInput(),)
    feedforward: Dense = ()
    decoder: Literal["crf", "softmax"] = "crf"
    boundaries: bool = True
    constraints: Scheme | None = None
    biattention: Biattention | None = None
    widths: tuple[Units, ...] = (3, 4, 5)
    cells: Units | None = None
    elmo_at_output: bool = False
    variational_dropout: bool = False
    input_dropout: Share | None = None
    output_dropout: Share = 0.0
    word_dropout: Share = 0.0
    multi_label: bool = False
    pairs: bool = False
    scheme: Scheme | None = None
    answers: Scheme | None = None

    __pydantic_config__: ClassVar = _FORBID

    def __post_init__(self):
        if self.pooling == "last" and self.encoder not in RECURRENT:
            raise ValueError(f"pooling 'last' needs a recurrent encoder, found encoder '{self.encoder}'")
        if self.pooling == "last" and self.elmo_at_output:
            raise ValueError("pooling 'last' does not go with elmo_at_output; expected 'max', 'mean' or 'attention'")
        if self.pooling == "last" and self.bidirectional and self.feedforward:
            raise ValueError("pooling 'last' needs both directions apart, which 'feedforward' mixes")
        if self.encoder == "cnn" and not self.widths:
            raise ValueError("'widths' is empty; expected the width of one convolution at least")
        if self.constraints and self.decoder != "crf":
            raise ValueError(f"constraints '{self.constraints}' need decoder 'crf', found '{self.decoder}'")
        if self.constraints and self.scheme and self.constraints != self.scheme:
            raise ValueError(f"constraints '{self.constraints}' do not fit the scheme '{self.scheme}'")
        if self.answers and not self.scheme:
            raise ValueError(f"answers '{self.answers}' need a 'scheme' that they are brought back from")
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
        at_output = self.elmo_at_output or bool(self.biattention and self.biattention.elmo)
        return len(self.features) < len(self.inputs) or at_output


def without_elmo(options: HeadOptions) -> HeadOptions:
    """The same head where there is no biLM: words and characters stand in for ELMo, unless it has such already."""
    parts = options.biattention and replace(options.biattention, elmo=False)
    inputs = tuple(options.features) or (WordInput(), CharacterInput())
    return replace(options, inputs=inputs, elmo_at_output=False, biattention=parts)


def check_trainable(task: Task, options: HeadOptions, labels: Sequence[str] | None = None) -> None:
    """Whether a head of these options can be trained for a task.

    Args:
        task, options: of the head.
        labels: if they are known.

    Raises:
        ValueError: it cannot.
    """
    if task == "classification":
        for key in ("constraints", "scheme"):
            if getattr(options, key):
                raise ValueError(f"{key} '{getattr(options, key)}' is for tagging; this is classification")
    if task == "tagging":
        for key in ("biattention", "multi_label", "pairs"):
            if getattr(options, key):
                raise ValueError(f"{key} is for classification; this is tagging")
    if options.biattention and (options.pairs or options.elmo_at_output):
        key = "pairs" if options.pairs else "elmo_at_output"
        raise ValueError(f"{key} does not go with biattention, which {_INSTEAD[key]}")
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


_INSTEAD = {"pairs": "reads one text", "elmo_at_output": "has the key 'elmo' for it"}


@dataclass(frozen=True)
class TrainingSettings:
    """How a head is trained.

    Args:
        epochs: passes over the training data at most.
        patience: epochs without a better validation score after which training stops; the best epoch's weights are
            kept.
        batch_size: texts in a batch.
        learning_rate: at its highest.
        clip_norm: bound on the norm of the whole gradient, or None.
        optimizer: `adam` (and with `weight_decay` `adamw`), `adagrad`, `adadelta` (Kim 2014) or `sgd`.
        momentum: of SGD.
        weight_decay: share of the weights that is taken off at each step, times the learning rate (Loshchilov and
            Hutter 2019); not of vectors of words and characters, of the CRF and of biases.
        schedule: how the rate falls after the warm-up, as for `telmo pretrain`; `inverse_time` is
            r / (1 + decay * epochs), step by step (Ma and Hovy 2016, section 3.2).
        decay: of `inverse_time`.
        warm_up: share of the steps in which the rate rises from a twentieth to its highest.
        average: of the moving average of the weights that is kept in their place (Polyak and Juditsky 1992): the share
            of the average that stays at a step, such as 0.999; 0 for none.
        class_weights: what an example of a label counts in the loss of a classifier: `none` for 1, `balanced` for
            examples / (labels * examples of the label), or a number for each label. With many labels to a text it is
            what a label counts where it is present; balanced: texts without it / texts with it.
        calibrate: scale a classifier's logits by a temperature, found on the validation data (Guo et al. 2017, "On
            calibration of modern neural networks", section 4.2).
        fine_tune: train the biLM too; it is then computed on the fly.
        unfreezing: of a biLM that is trained: `gradual`, one layer more after each epoch, from the top, or `at_once`
            (Howard and Ruder 2018, "Universal language model fine-tuning", section 3.3).
        rate_factor: by what the learning rate of a layer of the biLM is smaller than that of the one above it
            (likewise, section 3.2); 1 for one rate.
    """

    epochs: Annotated[int, Field(ge=1)] = 10
    patience: Annotated[int, Field(ge=1)] = 3
    batch_size: Annotated[int, Field(ge=1)] = 32
    learning_rate: Positive = 1e-3
    clip_norm: Positive | None = 5.0
    optimizer: Literal["adam", "adagrad", "adadelta", "sgd"] = "adam"
    momentum: Share = 0.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["constant", "cosine", "linear", "exponential", "inverse_sqrt", "inverse_time"] = "constant"
    decay: Annotated[float, Field(ge=0)] = 0.05
    warm_up: Share = 0.0
    average: Share = 0.0
    class_weights: Literal["none", "balanced"] | dict[str, Positive] = "none"
    calibrate: bool = True
    fine_tune: bool = False
    unfreezing: Literal["gradual", "at_once"] = "gradual"
    rate_factor: Annotated[float, Field(ge=1)] = 2.6

    __pydantic_config__: ClassVar = _FORBID

    def __post_init__(self):
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"momentum is for sgd, found optimizer '{self.optimizer}'")
