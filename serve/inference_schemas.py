"""Requests and answers of the Open Inference Protocol, version 2."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_MANY = 2**31
# Parameters that are not known are let pass, as the protocol wants it.
_OPEN = ConfigDict(extra="ignore")

# A body may have a million items that are wrong; the first is enough.
Strings = Annotated[list[str], Field(fail_fast=True)]
Rows = Annotated[list[Strings], Field(fail_fast=True)]

Parameters = Annotated[dict[str, Any], Field(description="Of this tensor; those that are not known are ignored.")]


class InferParameters(BaseModel):
    """Parameters of a request; those that are not known are ignored."""

    model_config = _OPEN

    binary_data_output: bool = Field(default=False, description="Whether outputs are sent as bytes behind the JSON.")
    timeout: int = Field(
        default=0, strict=True, ge=0, le=2**53, description="Microseconds until the answer is of no use; 0: none."
    )
    logits: bool = Field(default=False, description="Whether `logits` is among the outputs if none are named.")


class InputParameters(BaseModel):
    """Parameters of an input; those that are not known are ignored."""

    model_config = _OPEN

    binary_data_size: int | None = Field(default=None, ge=0, le=_MANY, description="Bytes of it, behind the JSON.")
    shared_memory_region: Any = Field(default=None, description="Not supported.")


class InputTensor(BaseModel):
    """Texts: a `BYTES` tensor of the shape `[n]` or `[n, 1]`, and `[n, 2]` for a model of pairs."""

    name: str
    shape: Annotated[list[Annotated[int, Field(ge=0, le=_MANY)]], Field(max_length=8, fail_fast=True)]
    datatype: str
    parameters: InputParameters = InputParameters()
    data: Strings | Rows | None = Field(default=None, description="Flat, or nested as the shape says.")


class OutputParameters(BaseModel):
    """Parameters of an output that is asked for; those that are not known are ignored."""

    model_config = _OPEN

    binary_data: bool | None = Field(default=None, description="Whether it is sent as bytes behind the JSON.")
    classification: int | None = Field(
        default=None, ge=0, le=_MANY, description="The best so many labels, as `value:index:label`; 0: all values."
    )
    shared_memory_region: Any = Field(default=None, description="Not supported.")


class RequestedOutput(BaseModel):
    """An output that is asked for."""

    name: str
    parameters: OutputParameters = OutputParameters()


class InferRequest(BaseModel):
    """A request for predictions."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "1",
                    "inputs": [
                        {
                            "name": "text",
                            "shape": [2],
                            "datatype": "BYTES",
                            "data": ["Returns a DataFrame with one row for each group.", "Applies the sigmoid."],
                        }
                    ],
                }
            ]
        }
    )

    id: str | None = Field(default=None, max_length=1_000, description="Comes back with the answer.")
    parameters: InferParameters = InferParameters()
    inputs: Annotated[list[InputTensor], Field(fail_fast=True)] = Field(
        min_length=1, max_length=8, description="One: `text`."
    )
    outputs: Annotated[list[RequestedOutput], Field(max_length=32, fail_fast=True)] | None = Field(
        default=None, description="By default all of the model's, without `logits` and `embedding`."
    )


class OutputTensor(BaseModel):
    """A tensor of an answer; without `data`, its bytes stand behind the JSON."""

    name: str
    shape: list[int]
    datatype: Literal["BYTES", "FP32"]
    parameters: dict[str, Any] | None = None
    data: list[str] | list[float] | None = None


class InferResponse(BaseModel):
    """An answer."""

    model_name: str
    model_version: str | None = None
    id: str | None = None
    outputs: list[OutputTensor]


class ServerMetadata(BaseModel):
    """The server."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """A tensor that a model takes or gives; -1 is any size."""

    name: str
    datatype: Literal["BYTES", "FP32"]
    shape: list[int]
    parameters: dict[str, Any] | None = Field(default=None, description="What is in it; the labels of its columns.")


class ModelMetadata(BaseModel):
    """A model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    parameters: dict[str, Any] = Field(description="Its task, its labels, its metrics, and a text to try it with.")


class Live(BaseModel):
    """Whether the server runs."""

    live: bool


class Ready(BaseModel):
    """Whether every model answers."""

    ready: bool


class ModelReady(BaseModel):
    """Whether a model answers."""

    name: str
    ready: bool


class IndexRequest(BaseModel):
    """Which models to list."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ready": True}]})

    ready: bool = Field(default=False, description="Whether only models that answer are listed.")


class IndexEntry(BaseModel):
    """A version of a model that is served."""

    name: str
    version: str
    state: Literal["READY", "LOADING", "UNLOADING", "UNAVAILABLE"]
    reason: str = ""


class InferenceProblem(BaseModel):
    """Why a request was refused."""

    error: str
