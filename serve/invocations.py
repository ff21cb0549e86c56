"""MLflow's scoring protocol, as `mlflow models serve` speaks it, and the part of its gateway's that
`mlflow.deployments.get_deploy_client("http://...")` needs.

A model of `mlflow models serve` is alone on its server. Here the header `X-Model` or the query's `model` names one of
several, and neither is needed for a sole one; or the address does, as `/endpoints/{name}/invocations`.

Source: MLflow 3, `mlflow.pyfunc.scoring_server` and `mlflow.deployments`.
"""

import csv
import importlib.metadata
import io
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Scope

from models.predictions import to_json
from serve.answers import ServedInfo, Service
from serve.decoded import DecodedRoute, read_json
from serve.errors import NotSupported, NotUsable, RequestError
from serve.open_inference import Timeout, is_ready

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")


class SplitFrame(BaseModel):
    """A table, its rows apart from the names of its columns."""

    columns: list[str | int] | None = None
    index: list[Any] | None = Field(None, description="Not looked at.")
    data: list[list[Any]]


class ScoringParams(BaseModel):
    """Parameters; those that are not known are ignored."""

    model_config = ConfigDict(extra="ignore")

    logits: bool = Field(False, description="Whether the answers hold the score of every label before the softmax.")


class ScoringRequest(BaseModel):
    """Texts, in exactly one of four forms. A text has one column, of any name; a pair of texts has two."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [
                {"inputs": ["Returns a DataFrame with one row for each group."]},
                {"dataframe_split": {"columns": ["text"], "data": [["Applies the sigmoid."]]}},
            ]
        },
    )

    dataframe_split: SplitFrame | None = None
    dataframe_records: list[dict[str, Any]] | None = None
    instances: list[Any] | None = Field(None, description="Texts, or a dict of columns for each.")
    inputs: list[Any] | dict[str, list[Any]] | None = Field(None, description="Texts, or columns of them.")
    params: ScoringParams | None = None


class ScoringResponse(BaseModel):
    """An answer for each text, with the fields that `/v1/models/{name}:predict` gives."""

    predictions: list[dict[str, Any]]


class ScoringProblem(BaseModel):
    """Why a request was refused."""

    error_code: str
    message: str


class EndpointModel(BaseModel):
    """The model behind an endpoint."""

    name: str
    provider: str


class Endpoint(BaseModel):
    """A model, as MLflow's gateway lists one."""

    name: str
    endpoint_type: str
    model: EndpointModel
    endpoint_url: str
    limit: None = None


class Endpoints(BaseModel):
    """All models; there is never a second page."""

    endpoints: list[Endpoint]
    next_page_token: None = None


_PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"model": ScoringProblem} for code in (400, 401, 403, 404, 413, 415, 422, 429, 503, 504)
}
_CSV = {"text/csv": {"schema": {"type": "string"}, "example": "text\nApplies the sigmoid.\n"}}


class ScoringRoute(DecodedRoute):
    """Reads CSV, too."""

    async def decode(self, request: Request) -> Any:
        kind = media_type(request.headers.get("content-type", ""))
        body = await request.body()
        if kind == "text/csv":
            return {"dataframe_split": read_csv(body)}
        return read_json(body)


_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}


def form(scope: Scope, status: int, message: str) -> dict[str, str]:
    """How a problem is told, with MLflow's own codes."""
    return {"error_code": _CODES.get(status, "BAD_REQUEST"), "message": message}


def router(service: Service) -> APIRouter:
    """The routes of the scoring server and of the gateway."""
    routes = APIRouter(tags=["MLflow"])

    async def ping() -> Response:
        """Whether every model is loaded and warm."""
        return Response("\n", 200 if is_ready(service.models()) else 503, media_type="application/json")

    for path in ("/ping", "/health"):
        routes.add_api_route(path, ping, operation_id=path[1:], responses={200: {}, 503: {}})

    @routes.get("/version", response_class=PlainTextResponse)
    async def version() -> str:
        """The version of MLflow whose protocol this is."""
        return importlib.metadata.version("mlflow")

    async def score(name: str, version: str | None, asked: ScoringRequest, timeout: int | None) -> JSONResponse:
        texts = texts_of(asked, service.model(name, version).pairs)
        logits = asked.params is not None and asked.params.logits
        answer = await service.predict(
            name, texts, version=version, logits=logits, timeout=timeout / 1e3 if timeout else None
        )
        return JSONResponse({"predictions": [to_json(prediction) for prediction in answer.predictions]})

    async def invocations(
        asked: ScoringRequest,
        model: Annotated[str | None, Query(description="Of several models.")] = None,
        version: Annotated[str | None, Query(description="Of the model, in the registry.")] = None,
        x_model: Annotated[str | None, Header(description="Of several models.")] = None,
        timeout: Timeout = None,
    ) -> Response:
        """Answer for texts."""
        return await score(model or x_model or sole(service.models()), version, asked, timeout)

    async def endpoint_invocations(
        name: Annotated[str, Path(description="Name of a model.")], asked: ScoringRequest, timeout: Timeout = None
    ) -> Response:
        """Answer for texts."""
        return await score(name, None, asked, timeout)

    scored = (
        ("/invocations", invocations),
        ("/endpoints/{name}/invocations", endpoint_invocations),
        ("/gateway/{name}/invocations", endpoint_invocations),
    )
    for path, endpoint in scored:
        routes.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            operation_id=path[1:].replace("/{name}/", "_"),
            response_model=ScoringResponse,
            responses=_PROBLEMS,
            openapi_extra={"requestBody": {"content": _CSV}},
            route_class_override=ScoringRoute,
        )

    @routes.get("/api/2.0/endpoints/", responses={401: {"model": ScoringProblem}})
    async def list_endpoints() -> Endpoints:
        """The models that are served."""
        first = {info.name: info for info in reversed(service.models())}
        return Endpoints(endpoints=[_endpoint(info) for info in reversed(first.values())])

    @routes.get("/api/2.0/endpoints/{name}", responses={k: v for k, v in _PROBLEMS.items() if k in (401, 403, 404)})
    async def get_endpoint(name: Annotated[str, Path(description="Name of a model.")]) -> Endpoint:
        """A model that is served."""
        return _endpoint(service.model(name))

    return routes


def _endpoint(info: ServedInfo) -> Endpoint:
    return Endpoint(
        name=info.name,
        endpoint_type=f"telmo/{info.task}",
        model=EndpointModel(name=info.name, provider="telmo"),
        endpoint_url=f"/endpoints/{info.name}/invocations",
    )


def sole(models: Sequence[ServedInfo]) -> str:
    """The name of the one model that there is.

    Raises:
        RequestError: there are several, or none.
    """
    names = list(dict.fromkeys(info.name for info in models))
    if len(names) != 1:
        raise RequestError(f"which model? expected the header X-Model, one of {', '.join(names)}")
    return names[0]


def media_type(content_type: str) -> str:
    """The media type of a body that the scoring protocol has.

    Raises:
        NotSupported: it is another, or not in UTF-8.
    """
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if kind not in ("application/json", "text/csv"):
        raise NotSupported(f"the content type is {content_type[:80]!a}; expected application/json or text/csv")
    for parameter in parameters:
        if parameter.replace('"', "") not in ("charset=utf-8", ""):
            raise NotSupported(f"the content type has {parameter[:80]!a}; expected no other than charset=utf-8")
    return kind


def read_csv(body: bytes) -> dict[str, Any]:
    """A table whose first line names its columns (RFC 4180).

    Raises:
        RequestError: it is none.
    """
    try:
        columns, *rows = [row for row in csv.reader(io.StringIO(body.decode("utf-8-sig"), newline="")) if row]
    except UnicodeDecodeError as error:
        raise RequestError(f"the body is no UTF-8 at byte {error.start}") from None
    except ValueError:
        raise RequestError("the body is empty; expected CSV whose first line names the columns") from None
    except csv.Error as error:
        raise RequestError(f"the body is no CSV: {error}") from None
    for k, row in enumerate(rows):
        if len(row) != len(columns):
            raise RequestError(f"row {k} of the CSV has {len(row)} fields; its first line names {len(columns)}")
    return {"columns": columns, "data": rows}


def texts_of(asked: ScoringRequest, pairs: bool) -> list[Any]:
    """The texts of a request, or its pairs of texts.

    Raises:
        RequestError: it has none of the forms, or more than one.
        NotUsable: they are not what the model takes.
    """
    given = [form for form in FORMS if getattr(asked, form) is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none of them"
        raise RequestError(f"expected exactly one of {', '.join(FORMS)}; found {found}")
    rows = _rows(getattr(asked, given[0]))
    return [_text(row, pairs, f"{given[0]}[{k}]") for k, row in enumerate(rows)]


def _rows(value: Any) -> list[Any]:
    """Each text, or the values of its columns."""
    if isinstance(value, SplitFrame):
        return value.data
    if isinstance(value, dict):
        lengths = {len(column) for column in value.values()}
        if len(lengths) != 1:
            raise NotUsable("the columns of inputs differ in length, or there are none")
        return [list(row) for row in zip(*value.values(), strict=True)]
    return [list(row.values()) if isinstance(row, dict) else row for row in value]


def _text(row: Any, pairs: bool, where: str) -> Any:
    """A text, or a pair of them; MLflow's own server takes a text for a column of one, too."""
    values = row if isinstance(row, list) else [row]
    wrong = [type(value).__name__ for value in values if not isinstance(value, str)]
    if wrong or len(values) != (2 if pairs else 1):
        expected = "two texts, as this model reads pairs" if pairs else "a text, or one column with a text"
        found = f"a value of the type {wrong[0]}" if wrong else f"{len(values)} columns"
        raise NotUsable(f"{where} has {found}; expected {expected}")
    return values if pairs else values[0]
