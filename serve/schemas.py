"""Requests and answers of the REST application."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.options import Task
from models.predictions import Classification, Tagging, Translation

MAX_TEXTS = 1_000
MAX_CHARACTERS = 200_000
MAX_WORDS = 50_000
"""Of a request, in all its texts."""

Text = Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS)]
Words = Annotated[list[Annotated[str, Field(min_length=1, max_length=10_000)]], Field(min_length=1, max_length=100_000)]
Pair = Annotated[list[Text | Words], Field(min_length=2, max_length=2)]


class PredictRequest(BaseModel):
    """Texts to answer for."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"texts": ["Returns a DataFrame with one row for each group."]}]},
    )

    texts: list[Text | Words | Pair] = Field(
        min_length=1,
        max_length=MAX_TEXTS,
        description="Raw texts, or texts that are split into words already; for a model of pairs two of these each.",
    )
    model: str | None = Field(None, description="Name of the model; needed where more than one is served.")
    logits: bool = Field(False, description="Whether the answers hold the score of every label before the softmax.")


class PredictResponse(BaseModel):
    """An answer for each text, in order, and the model that gave it; the version is that of the registry."""

    model: str
    version: str | None
    task: Task
    predictions: list[Classification] | list[Tagging] | list[Translation]


class ModelInfo(BaseModel):
    """A model that is served."""

    name: str
    version: str | None
    task: Task
    labels: list[str]
    metrics: dict[str, float]


class Health(BaseModel):
    """Whether the server answers, and for which models."""

    status: Literal["ok"]
    models: list[str]


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str
