"""What a translating model is made of and how it is trained."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from models.options import Cell, CharacterInput, HeadOptions, Input, TrainingSettings, Units, WordInput


@dataclass(frozen=True)
class Seq2seqOptions:
    """An encoder, a decoder that attends to it, and how translations are searched for.

    Args:
        inputs: what a word of the source is given as, side by side; where the tokenizer makes each character a word,
            `words` are characters.
        encoder: between the inputs and the decoder.
        units, depth, bidirectional: of the encoder.
        layer_norm: normalise the biLM's layers before they are mixed.
        dropout: share of the units of inputs, encoder and decoder that training leaves out.
        target_dim: of the vector of a word of the translation.
        decoder: its recurrent cell.
        decoder_units, decoder_depth: of the decoder.
        attention: score of a source word: `general` (Luong et al. 2015) or `additive` (Bahdanau et al. 2015).
        beam: hypotheses that are held at once; 1 takes the most probable token at each step.
        length_penalty: alpha of Wu et al. 2016; 0 prefers short translations, more than 0 makes lengths fairer.
        n_best: hypotheses that an answer names.
        max_length: words of a translation at most, its end included.
    """

    inputs: tuple[Input, ...] = (WordInput(),)
    encoder: Cell = "lstm"
    units: Units = 128
    depth: Units = 1
    bidirectional: bool = True
    layer_norm: bool = False
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    target_dim: Units = 64
    decoder: Literal["lstm", "lstm_without_forget_gate", "gru", "rnn"] = "lstm"
    decoder_units: Units = 128
    decoder_depth: Units = 1
    attention: Literal["general", "additive"] = "general"
    beam: Units = 5
    length_penalty: Annotated[float, Field(ge=0)] = 0.6
    n_best: Units = 1
    max_length: Units = 200

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    def __post_init__(self):
        if self.n_best > self.beam:
            raise ValueError(f"n_best {self.n_best} is more than the beam of {self.beam} holds")
        self.below  # noqa: B018 - raises what is wrong with the inputs

    @cached_property
    def below(self) -> HeadOptions:
        """The inputs and the encoder, as those of a head."""
        return HeadOptions(
            encoder=self.encoder,
            units=self.units,
            depth=self.depth,
            bidirectional=self.bidirectional,
            layer_norm=self.layer_norm,
            dropout=self.dropout,
            inputs=self.inputs,
        )

    @property
    def features(self) -> list[WordInput | CharacterInput]:
        """The inputs beside ELMo."""
        return self.below.features

    @property
    def uses_bilm(self) -> bool:
        return self.below.uses_bilm


@dataclass(frozen=True)
class Seq2seqTraining(TrainingSettings):
    """How a translating model is trained, beside what holds for every head.

    Args:
        label_smoothing: share of the probability that the loss spreads over all words.
        min_count: how often a word occurs in the training targets to be written.
    """

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    min_count: Units = 1
