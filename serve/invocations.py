"""MLflow's scoring protocol, as `mlflow models serve` speaks it, and the part of its gateway's that
`mlflow.deployments.get_deploy_client("http://...")` needs.

A model of `mlflow models serve` is alone on its server. Here the header `X-Model` or the query's `model` names one of
several, and neither is needed for a sole one; or the address does, as `/endpoints/{name}/invocations`.

Source: MLflow 3, `mlflow.pyfunc.scoring_server` and `mlflow.deployments`.
"""

import importlib.metadata
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel
from starlette.types import Scope

from models.predictions import to_json
from serve.answers import ServedInfo, Service
from serve.decoded import DecodedRoute, read_json
from serve.disconnect import unless_gone
from serve.errors import RequestError
from serve.open_inference import Timeout, is_ready
from serve.scoring_input import ScoringRequest, media_type, read_csv, texts_of

Name = Annotated[str, Path(description="Name of a model.")]


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
_UNREADY: dict[int | str, dict[str, Any]] = {
    503: {"description": "Not every model answers.", "content": {"text/plain": {}}}
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
    504: "DEADLINE_EXCEEDED",
}


def form(scope: Scope, status: int, message: str) -> dict[str, str]:
    """How a problem is told, with MLflow's own codes."""
    return {"error_code": _CODES.get(status, "BAD_REQUEST"), "message": message}


def router(service: Service) -> APIRouter:
    """The routes of the scoring server and of the gateway."""
    routes = APIRouter(tags=["MLflow"])
    _add_server_routes(routes, service)
    _add_scoring_routes(routes, service)
    _add_gateway_routes(routes, service)
    return routes


def _add_server_routes(routes: APIRouter, service: Service) -> None:
    async def ping() -> Response:
        """Whether every model is loaded and warm."""
        return PlainTextResponse("\n", 200 if is_ready(service.models()) else 503)

    for path in ("/ping", "/health"):
        routes.add_api_route(path, ping, operation_id=path[1:], response_class=PlainTextResponse, responses=_UNREADY)

    @routes.get("/version", response_class=PlainTextResponse)
    async def version() -> str:
        """The version of MLflow whose protocol this is."""
        return importlib.metadata.version("mlflow")


def _add_scoring_routes(routes: APIRouter, service: Service) -> None:
    async def score(
        request: Request, name: str, version: str | None, asked: ScoringRequest, timeout: float | None
    ) -> Response:
        texts = texts_of(asked, service.model(name, version).pairs)
        logits = asked.params is not None and asked.params.logits
        seconds = timeout / 1e3 if timeout else None
        work = service.predict(name, texts, version=version, logits=logits, timeout=seconds)
        answer = await unless_gone(request, work)
        return JSONResponse({"predictions": [to_json(prediction) for prediction in answer.predictions]})

    async def invocations(
        request: Request,
        asked: ScoringRequest,
        model: Annotated[str | None, Query(description="Of several models.")] = None,
        version: Annotated[str | None, Query(description="Of the model, in the registry.")] = None,
        x_model: Annotated[str | None, Header(description="Of several models.")] = None,
        timeout: Timeout = None,
    ) -> Response:
        """Answer for texts."""
        return await score(request, model or x_model or sole(service), version, asked, timeout)

    async def endpoint_invocations(
        request: Request, name: Name, asked: ScoringRequest, timeout: Timeout = None
    ) -> Response:
        """Answer for texts."""
        return await score(request, name, None, asked, timeout)

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


def _add_gateway_routes(routes: APIRouter, service: Service) -> None:
    @routes.get("/api/2.0/endpoints/", responses={401: {"model": ScoringProblem}})
    async def list_endpoints() -> Endpoints:
        """The models that are served."""
        return Endpoints(endpoints=[_endpoint(service.model(name)) for name in names_of(service)])

    @routes.get("/api/2.0/endpoints/{name}", responses={k: v for k, v in _PROBLEMS.items() if k in (401, 403, 404)})
    async def get_endpoint(name: Name) -> Endpoint:
        """A model that is served."""
        return _endpoint(service.model(name))


def _endpoint(info: ServedInfo) -> Endpoint:
    return Endpoint(
        name=info.name,
        endpoint_type=f"telmo/{info.task}",
        model=EndpointModel(name=info.name, provider="telmo"),
        endpoint_url=f"/endpoints/{info.name}/invocations",
    )


def names_of(service: Service) -> list[str]:
    """The names that are answered for."""
    return list(dict.fromkeys(info.name for info in service.models()))


def sole(service: Service) -> str:
    """The name of the one model that there is.

    Raises:
        RequestError: there are several, or none.
    """
    names = names_of(service)
    if len(names) != 1:
        raise RequestError(f"which model? expected the header X-Model, one of {', '.join(names)}")
    return names[0]
