"""Requests and answers of the routes for people."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from embeddings.tokenizer import TokenizerName
from models.options import Task
from models.predictions import Classification, Tagging, Translation
from serve.options import MAX_TIMEOUT_MS

Text = Annotated[str, Field(min_length=1, examples=["Returns a DataFrame with one row for each group."])]
# A body may have a million items that are wrong; the first is enough.
Words = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1), Field(fail_fast=True)]
Pair = Annotated[list[Text | Words], Field(min_length=2, max_length=2), Field(fail_fast=True)]

TEXTS: list[Any] = ["Returns a DataFrame with one row for each group."]


class Closed(BaseModel):
    """Takes no keys but its own. It tells the first other one, where `extra="forbid"` tells every one of a million."""

    model_config = ConfigDict(extra="allow")

    @model_validator(mode="after")
    def _has_no_other_key(self) -> Self:
        for name, value in (self.model_extra or {}).items():
            raise ValidationError.from_exception_data(
                type(self).__name__, [{"type": "extra_forbidden", "loc": (name,), "input": value}]
            )
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = handler(core_schema)
        handler.resolve_ref_schema(found)["additionalProperties"] = False
        return found


class Asked(Closed):
    """What every request has."""

    version: Annotated[str, Field(max_length=100)] | None = Field(
        None, description="Version in the registry, among those in memory; by default the one that answers now."
    )
    timeout_ms: float | None = Field(
        None,
        gt=0,
        le=MAX_TIMEOUT_MS,
        strict=True,
        description="Milliseconds after which the answer is of no use; the header X-Request-Timeout-Ms says the same.",
    )


class PredictRequest(Asked):
    """Texts to answer for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"texts": TEXTS}]})

    texts: Annotated[list[Text | Words | Pair], Field(fail_fast=True)] = Field(
        min_length=1,
        description="Raw texts, or texts that are split into words already; for a model of pairs two of these each.",
    )
    logits: bool = Field(False, description="Whether the answers hold the score of every label before the softmax.")


class PredictResponse(BaseModel):
    """An answer for each text, in order, and the model that gave them all."""

    model: str
    version: str | None = Field(description="That of the registry; null for a folder.")
    task: Task
    predictions: list[Classification] | list[Tagging] | list[Translation]
    milliseconds: float = Field(description="From the request's arrival to the answer, the queue included.")


class EmbedRequest(Asked):
    """Texts to embed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"texts": TEXTS, "layers": "average", "pool": "mean"}]})

    texts: Annotated[list[Text | Words], Field(fail_fast=True)] = Field(
        min_length=1, description="Raw texts, or texts that are split into words already."
    )
    layers: Annotated[str, Field(max_length=1000)] = Field(
        "average",
        description="`all`; their numbers, such as `0,2`, 0 the token vectors; `average`; `mix`, with the weights that "
        "the model has learned (s of Peters et al. 2018, equation 1, without the factor before the sum); or "
        "`mix:0.2,0.5,0.3`.",
    )
    pool: Literal["none", "mean", "max"] = Field(
        "none", description="`none` for a vector a word; `mean` or `max` over the words for one a text."
    )


class TextVectors(BaseModel):
    """The vectors of a text."""

    tokens: list[tuple[str, int, int]] = Field(description="Each word and its place in the text, in characters.")
    vectors: list[list[list[float]]] = Field(description="[layers][words, or 1 if they are pooled][numbers]")


class EmbedResponse(BaseModel):
    """The vectors of each text, in order, and the model that gave them all."""

    model: str
    version: str | None
    layers: list[str] = Field(description="What the first axis of the vectors holds.")
    embeddings: list[TextVectors]
    milliseconds: float


class ModelInfo(BaseModel):
    """A version of a model that is served."""

    name: str
    version: str | None = Field(description="That of the registry; null for a folder.")
    state: Literal["loading", "ready", "draining", "failed"] = Field(description="Only `ready` answers new requests.")
    task: Task
    labels: list[str]
    metrics: dict[str, float] = Field(description="What evaluation gave when the model was made.")
    example: str | list[str] = Field(description="A text to try it with, or a pair of them.")
    pairs: bool = Field(description="Whether it reads pairs of texts.")
    tokenizer: TokenizerName = Field(description="What parts its texts into words, which are what limits count.")
    layer_weights: list[float] | None = Field(
        description="What its mix gives each layer, softmaxed (Peters et al. 2018, equation 1); null without a mix."
    )
    layers: int | None = Field(description="Of the vectors that `:embed` gives; null without a biLM.")
    dim: int | None = Field(description="Numbers of such a vector.")


class ModelList(BaseModel):
    """Every version of every model, the one that answers for its name first."""

    models: list[ModelInfo]


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str = Field(description="What was found, where, and what was expected.")
    request_id: str | None = Field(None, description="By which the server's log tells of the request.")


def problem_example(message: str) -> dict[str, Any]:
    """An answer of OpenAPI that tells a problem."""
    return {
        "model": Problem,
        "description": message[0].upper() + message[1:],
        "content": {"application/json": {"example": {"detail": message}}},
    }
