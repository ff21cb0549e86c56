"""The sizes and switches of a biLM, as `options.json` of the published models spells them."""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field

from embeddings.characters import CHARACTERS
from embeddings.errors import SourceError

MAX_CHARACTERS_PER_WORD = 50

Cell = Literal["projected_lstm", "lstm", "lstm_without_forget_gate", "gru", "rnn"]
Inputs = Literal["characters", "words", "dictionaries"]
Size = Annotated[int, Field(ge=1)]
Precision = Literal["float32", "bfloat16", "int8"]
"""Of the weights that are read for every word, in batch inference. The sums are of float32."""


@dataclass(frozen=True)
class BiLMOptions:
    """What it takes to build a biLM (Peters et al. 2018, "Deep contextualized word representations", section 3).

    Args:
        projection: width p of a token vector and of each direction's hidden state. Where it equals `cells`, the hidden
            state is not projected, and not clipped.
        cells: width c of an LSTM's memory.
        layers: LSTM layers in each direction.
        filters: `(width, count)` of each character convolution.
        character_dim: width of a character's vector.
        highways: highway layers between the convolutions and the projection.
        activation: after the convolutions' maximum, `"relu"` or `"tanh"`.
        cell_clip: bound on the absolute values of the memory, or None.
        projection_clip: bound on the absolute values of the hidden state, or None.
        skip_connections: whether an LSTM layer above the first adds its input to its output.
        max_characters: characters of a word, its two boundary characters included; what is longer is cut.
        inputs: what of a word is read: the bytes of its `characters`; its number among the `words` of a vocabulary; or
            its characters, and its number if there are words, from `dictionaries` (ELMoForManyLangs).
        characters: distinct characters; those of bytes are given.
        words: distinct words, where they are read.
        word_dim: width of a word's vector beside those of its characters.
        cell: what a layer steps through the text; all but the projected LSTM have as many `cells` as units, and no
            clips.
        bidirectional: whether the text is read from its end, too.
    """

    projection: Size = 512
    cells: Size = 4096
    layers: Size = 2
    filters: tuple[tuple[int, int], ...] = field(
        default=((1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 512), (7, 1024))
    )
    character_dim: Size = 16
    highways: Annotated[int, Field(ge=0)] = 2
    activation: Literal["relu", "tanh"] = "relu"
    cell_clip: float | None = 3.0
    projection_clip: float | None = 3.0
    skip_connections: bool = True
    max_characters: int = MAX_CHARACTERS_PER_WORD
    inputs: Inputs = "characters"
    characters: Size = CHARACTERS - 1
    words: Annotated[int, Field(ge=0)] = 0
    word_dim: Annotated[int, Field(ge=0)] = 0
    cell: Cell = "projected_lstm"
    bidirectional: bool = True

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    def __post_init__(self):
        if self.projection > self.cells:
            raise ValueError(f"projection {self.projection} is larger than cells {self.cells}")
        if self.cell != "projected_lstm" and self.projection != self.cells:
            raise ValueError(f"cell '{self.cell}' has no projection: cells {self.cells} must be {self.projection}, too")
        if not self.spelled:
            if self.words < 3 or self.word_dim != self.projection:
                raise ValueError("inputs 'words' need at least 3 words, of the width of the projection")
            return
        if self.max_characters < 3:
            raise ValueError(f"max_characters {self.max_characters}; expected at least 3")
        if not self.filters or any(not 1 <= width <= self.max_characters or count < 1 for width, count in self.filters):
            raise ValueError(
                f"filters must be pairs of a width up to {self.max_characters} and a count, at least one pair"
            )
        if bool(self.words) != bool(self.word_dim):
            raise ValueError(f"words {self.words} and word_dim {self.word_dim}; expected both or neither")
        if self.inputs == "characters" and (self.words or self.word_dim or self.characters != CHARACTERS - 1):
            raise ValueError(f"inputs 'characters' are {CHARACTERS - 1} characters and no words")

    @property
    def dim(self) -> int:
        """Width of a layer's vector: the directions side by side."""
        return self.directions * self.projection

    @property
    def directions(self) -> int:
        return 1 + self.bidirectional

    @property
    def blocks(self) -> int:
        """Gates and candidates of a cell."""
        return {"rnn": 1, "gru": 3, "lstm_without_forget_gate": 3}.get(self.cell, 4)

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """Widths of what a layer carries from step to step: the hidden state, and if it has one the memory."""
        return (self.projection,) if self.cell in ("rnn", "gru") else (self.projection, self.cells)

    @property
    def spelled(self) -> bool:
        """Whether words are read through their characters."""
        return self.inputs != "words"

    @property
    def widest_filter(self) -> int:
        return max(width for width, _ in self.filters)

    @property
    def features(self) -> int:
        """What the convolutions of a word give."""
        return sum(count for _, count in self.filters)

    @property
    def projects_tokens(self) -> bool:
        """Whether token vectors pass a projection; where the widths agree already, bilm-tf left it out."""
        return self.spelled and (self.inputs == "dictionaries" or self.features != self.projection)

    @property
    def projects_state(self) -> bool:
        """Whether the LSTM's hidden state passes a projection."""
        return self.projection != self.cells

    def to_json(self) -> dict[str, Any]:
        """The published form: what `options.json` holds."""
        options: dict[str, Any] = {
            "bidirectional": self.bidirectional,
            "lstm": {
                "cell_clip": self.cell_clip,
                "dim": self.cells,
                "n_layers": self.layers,
                "proj_clip": self.projection_clip,
                "projection_dim": self.projection,
                "use_skip_connections": self.skip_connections,
            },
        }
        if self.cell != "projected_lstm":
            options["lstm"]["cell"] = self.cell
        if self.spelled:
            options["char_cnn"] = {
                "activation": self.activation,
                "embedding": {"dim": self.character_dim},
                "filters": [list(pair) for pair in self.filters],
                "max_characters_per_token": self.max_characters,
                "n_characters": self.characters + 1,
                "n_highway": self.highways,
            }
        else:
            options["n_tokens_vocab"] = self.words
        if self.inputs == "dictionaries":
            options["dictionaries"] = {"words": self.words, "word_dim": self.word_dim}
        return options

    @classmethod
    def from_json(cls, options: Any, where: str = "options.json") -> "BiLMOptions":
        """Read the published form.

        Raises:
            SourceError: a key is missing or holds another type than the format says.
        """
        if not isinstance(options, dict) or "lstm" not in options:
            raise SourceError(f"{where}: no key 'lstm'; expected the options of a biLM")
        try:
            lstm, cnn = options["lstm"], options.get("char_cnn")
            projection = _whole(lstm["projection_dim"])
            inputs: dict[str, Any]
            if cnn is None:
                inputs = {"inputs": "words", "words": _whole(options["n_tokens_vocab"]), "word_dim": projection}
                inputs["filters"] = ()
            else:
                inputs = {
                    "filters": tuple((_whole(width), _whole(count)) for width, count in cnn["filters"]),
                    "character_dim": _whole(cnn["embedding"]["dim"]),
                    "highways": _whole(cnn.get("n_highway") or 0),
                    "activation": cnn["activation"],
                    "max_characters": _whole(cnn.get("max_characters_per_token", MAX_CHARACTERS_PER_WORD)),
                }
            if cnn and "dictionaries" in options:
                inputs |= {"inputs": "dictionaries", "characters": _whole(cnn["n_characters"]) - 1}
                inputs |= {key: _whole(options["dictionaries"][key]) for key in ("words", "word_dim")}
            read = cls(
                projection=projection,
                cells=_whole(lstm["dim"]),
                layers=_whole(lstm.get("n_layers", 1)),
                cell_clip=_clip(lstm.get("cell_clip")),
                projection_clip=_clip(lstm.get("proj_clip")),
                skip_connections=bool(lstm.get("use_skip_connections", False)),
                cell=_one_of(Cell, lstm.get("cell", "projected_lstm")),
                bidirectional=bool(options.get("bidirectional", True)),
                **inputs,
            )
        except KeyError as error:
            raise SourceError(f"{where}: key {error} is missing") from None
        except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise SourceError(f"{where}: not the options of a biLM ({error})") from None
        if read.activation not in get_args(cls.__annotations__["activation"]):
            raise SourceError(f"{where}: activation '{read.activation}'; expected 'relu' or 'tanh'")
        if min(read.projection, read.cells, read.layers, read.character_dim) < 1 or read.highways < 0:
            raise SourceError(f"{where}: a size is negative or 0")
        return read


def _one_of(kinds: Any, value: Any) -> Any:
    if value not in get_args(kinds):
        raise ValueError(f"cell {value!r}")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise ValueError(f"{value!r} is no whole number")
    return int(value)


def _clip(value: Any) -> float | None:
    """bilm-tf writes a missing clip as null or as 0."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0):
        raise ValueError(f"clip {value!r}; expected a positive number or null")
    return float(value) if value else None
