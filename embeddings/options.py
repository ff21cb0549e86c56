"""The sizes and switches of a biLM, as `options.json` of the published models spells them."""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from embeddings.errors import SourceError

MAX_CHARACTERS_PER_WORD = 50


@dataclass(frozen=True)
class BiLMOptions:
    """What it takes to build a biLM (Peters et al. 2018, "Deep contextualized word representations", section 3).

    Args:
        projection: width p of a token vector and of each direction's hidden state.
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
    """

    projection: Annotated[int, Field(ge=1)] = 512
    cells: Annotated[int, Field(ge=1)] = 4096
    layers: Annotated[int, Field(ge=1)] = 2
    filters: tuple[tuple[int, int], ...] = field(
        default=((1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 512), (7, 1024))
    )
    character_dim: Annotated[int, Field(ge=1)] = 16
    highways: Annotated[int, Field(ge=0)] = 2
    activation: Literal["relu", "tanh"] = "relu"
    cell_clip: float | None = 3.0
    projection_clip: float | None = 3.0
    skip_connections: bool = True
    max_characters: int = MAX_CHARACTERS_PER_WORD

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    def __post_init__(self):
        if not self.filters or any(not 1 <= width <= self.max_characters or count < 1 for width, count in self.filters):
            raise ValueError(
                f"filters must be pairs of a width up to {self.max_characters} and a count, at least one pair"
            )

    @property
    def dim(self) -> int:
        """Width of a layer's vector: both directions side by side."""
        return 2 * self.projection

    @property
    def widest_filter(self) -> int:
        return max(width for width, _ in self.filters)

    def to_json(self) -> dict[str, Any]:
        """The published form: what `options.json` holds."""
        return {
            "bidirectional": True,
            "lstm": {
                "cell_clip": self.cell_clip,
                "dim": self.cells,
                "n_layers": self.layers,
                "proj_clip": self.projection_clip,
                "projection_dim": self.projection,
                "use_skip_connections": self.skip_connections,
            },
            "char_cnn": {
                "activation": self.activation,
                "embedding": {"dim": self.character_dim},
                "filters": [list(pair) for pair in self.filters],
                "max_characters_per_token": self.max_characters,
                "n_characters": 262,
                "n_highway": self.highways,
            },
        }

    @classmethod
    def from_json(cls, options: dict[str, Any], where: str = "options.json") -> "BiLMOptions":
        """Read the published form.

        Raises:
            SourceError: a key is missing or holds another type than the format says.
        """
        if isinstance(options, dict) and "char_cnn" not in options:
            raise SourceError(f"{where}: no key 'char_cnn'; only biLMs over characters can be read")
        try:
            lstm, cnn = options["lstm"], options["char_cnn"]
            read = cls(
                projection=int(lstm["projection_dim"]),
                cells=int(lstm["dim"]),
                layers=int(lstm["n_layers"]),
                filters=tuple((int(width), int(count)) for width, count in cnn["filters"]),
                character_dim=int(cnn["embedding"]["dim"]),
                highways=int(cnn.get("n_highway") or 0),
                activation=cnn["activation"],
                cell_clip=_clip(lstm.get("cell_clip")),
                projection_clip=_clip(lstm.get("proj_clip")),
                skip_connections=bool(lstm.get("use_skip_connections", False)),
                max_characters=int(cnn.get("max_characters_per_token", MAX_CHARACTERS_PER_WORD)),
            )
        except KeyError as error:
            raise SourceError(f"{where}: key {error} is missing") from None
        except (TypeError, ValueError) as error:
            raise SourceError(f"{where}: not the options of a biLM ({error})") from None
        if read.activation not in ("relu", "tanh"):
            raise SourceError(f"{where}: activation '{read.activation}'; expected 'relu' or 'tanh'")
        return read


def _clip(value: float | None) -> float | None:
    """bilm-tf writes a missing clip as null or as 0."""
    return float(value) if value else None
