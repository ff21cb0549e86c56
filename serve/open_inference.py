"""The Open Inference Protocol, version 2, over REST, as KServe, Triton and MLServer speak it.

A model takes `text`, strings. A classifier gives `label` and `probabilities`, whose columns are the labels in the order
of the model's metadata. What differs in length from text to text has no place in a tensor, so a tagger gives `tags`,
`tokens` and `spans`, strings that hold a JSON list for each text. `logits` and the vectors in `embedding` are given if
they are asked for.

Source: KServe, Open Inference Protocol, version 2, with the extensions `binary_tensor_data` and `classification`, the
listing of `model_repository`, and compressed bodies, as Triton documents them.
"""

import asyncio
import gzip
import importlib.metadata
import json
import re
import zlib
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request, Response
from starlette.types import Scope

from serve.answers import ServedInfo, Service, State
from serve.decoded import DecodedRoute, decompressed, read_json
from serve.disconnect import unless_gone
from serve.inference_inputs import INPUT, texts_of
from serve.inference_outputs import computed, described, wanted
from serve.inference_schemas import (
    IndexEntry,
    IndexRequest,
    InferenceProblem,
    InferRequest,
    InferResponse,
    Live,
    ModelMetadata,
    ModelReady,
    Ready,
    ServerMetadata,
    TensorMetadata,
)
from serve.options import MAX_TIMEOUT_MS
from serve.tensors import HEADER_LENGTH, Tensor, split

EXTENSIONS = ["binary_tensor_data", "classification"]

ModelName = Annotated[str, Path(description="Name of a model.")]
Version = Annotated[str, Path(description="A version of it in the registry.")]
HeaderLength = Annotated[
    int | None, Header(alias=HEADER_LENGTH, ge=0, description="Bytes of the JSON, if those of tensors follow.")
]
Timeout = Annotated[
    float | None,
    Header(
        alias="X-Request-Timeout-Ms",
        gt=0,
        le=MAX_TIMEOUT_MS,
        description="Milliseconds after which the answer is of no use.",
    ),
]

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_STATES: dict[State, Any] = {"ready": "READY", "loading": "LOADING", "draining": "UNLOADING", "failed": "UNAVAILABLE"}
_PROBLEMS: dict[int | str, dict[str, Any]] = {code: {"model": InferenceProblem} for code in (400, 401, 403, 404)}
_INFER_PROBLEMS: dict[int | str, dict[str, Any]] = _PROBLEMS | {
    code: {"model": InferenceProblem} for code in (413, 415, 422, 429, 503, 504)
}
_COMPRESSIONS = {"gzip": lambda body: gzip.compress(body, 1), "deflate": lambda body: zlib.compress(body, 1)}
_SMALL = 1024
"""Bytes of an answer that gain nothing by compression."""


class TensorRoute(DecodedRoute):
    """A route whose bodies may be compressed, and may hold the bytes of tensors behind the JSON."""

    async def decode(self, request: Request) -> Any:
        body = await request.body()
        if coding := request.headers.get("content-encoding"):
            body = await asyncio.to_thread(decompressed, body, coding)
        head, request.state.behind = split(body, request.headers.get(HEADER_LENGTH))
        return read_json(head)


class IndexRoute(DecodedRoute):
    """A route whose body may be empty, and is JSON whatever its type is said to be."""

    async def decode(self, request: Request) -> Any:
        return read_json(await request.body() or b"{}")


def form(scope: Scope, status: int, message: str) -> dict[str, str]:
    """How a problem is told."""
    return {"error": message}


def router(service: Service, max_texts: int = 1_000) -> APIRouter:
    """The routes under `/v2`.

    Args:
        max_texts: of a request.
    """
    routes = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])
    _add_server_routes(routes, service)
    _add_model_routes(routes, service)
    _add_infer_routes(routes, service, max_texts)
    return routes


def is_ready(models: Sequence[ServedInfo]) -> bool:
    """Whether there are models, and each name has a version that answers."""
    # The one that answers for its name comes first.
    first = {info.name: info for info in reversed(models)}
    return bool(first) and all(info.state == "ready" for info in first.values())


def _add_server_routes(routes: APIRouter, service: Service) -> None:
    @routes.get("")
    async def server_metadata() -> ServerMetadata:
        """The server, and the extensions of the protocol that it speaks."""
        return ServerMetadata(name="telmo", version=importlib.metadata.version("telmo"), extensions=EXTENSIONS)

    @routes.get("/health/live")
    async def server_live() -> Live:
        """Whether the server runs; if it does not, it is to be started anew."""
        return Live(live=True)

    @routes.get("/health/ready", responses={503: {"model": Ready}})
    async def server_ready(response: Response) -> Ready:
        """Whether every model is loaded and warm."""
        ready = is_ready(service.models())
        response.status_code = 200 if ready else 503
        return Ready(ready=ready)

    async def repository_index(request: IndexRequest) -> list[IndexEntry]:
        """Every version that is served."""
        return [
            IndexEntry(name=info.name, version=info.version or "", state=_STATES[info.state])
            for info in service.models()
            if info.state == "ready" or not request.ready
        ]

    routes.add_api_route(
        "/repository/index",
        repository_index,
        methods=["POST"],
        responses=_PROBLEMS,
        route_class_override=IndexRoute,
    )


def _add_model_routes(routes: APIRouter, service: Service) -> None:
    def metadata(info: ServedInfo) -> ModelMetadata:
        return ModelMetadata(
            name=info.name,
            versions=[one.version for one in service.models() if one.name == info.name and one.version],
            platform=f"telmo_{info.task}",
            inputs=[TensorMetadata(name=INPUT, datatype="BYTES", shape=[-1, 2] if info.pairs else [-1])],
            outputs=described(info),
            parameters={
                "task": info.task,
                "labels": info.labels,
                "metrics": info.metrics,
                "example": info.example,
            },
        )

    def readiness(info: ServedInfo, response: Response) -> ModelReady:
        response.status_code = 200 if info.state == "ready" else 503
        return ModelReady(name=info.name, ready=info.state == "ready")

    without: dict[str, Any] = {"response_model_exclude_none": True, "responses": _PROBLEMS}
    unready = _PROBLEMS | {503: {"model": ModelReady}}

    @routes.get("/models/{model}", **without)
    async def model_metadata(model: ModelName) -> ModelMetadata:
        """What a model takes and gives."""
        return metadata(service.model(model))

    @routes.get("/models/{model}/versions/{version}", **without)
    async def version_metadata(model: ModelName, version: Version) -> ModelMetadata:
        """What a version of a model takes and gives."""
        return metadata(service.model(model, version))

    @routes.get("/models/{model}/ready", responses=unready)
    async def model_ready(model: ModelName, response: Response) -> ModelReady:
        """Whether a model answers."""
        return readiness(service.model(model), response)

    @routes.get("/models/{model}/versions/{version}/ready", responses=unready)
    async def version_ready(model: ModelName, version: Version, response: Response) -> ModelReady:
        """Whether a version of a model answers."""
        return readiness(service.model(model, version), response)


def _add_infer_routes(routes: APIRouter, service: Service, max_texts: int) -> None:
    async def infer(name: str, version: str | None, asked: InferRequest, request: Request, timeout: float | None):
        info = service.model(name, version)
        outputs = wanted(info, asked.outputs, asked.parameters.logits)
        texts = texts_of(asked, request.state.behind, info.pairs, max_texts)
        # Microseconds here, milliseconds in the header.
        seconds = asked.parameters.timeout / 1e6 or (timeout / 1e3 if timeout else None)
        work = computed(service, info, texts, outputs, version, seconds)
        by, tensors = await unless_gone(request, work)
        everything = asked.parameters.binary_data_output
        as_bytes = {
            output.name
            for output in outputs
            if (everything if output.parameters.binary_data is None else output.parameters.binary_data)
        }
        head = {"model_name": name, "model_version": by, "id": asked.id}
        return await _response(head, tensors, as_bytes, request.headers.get("accept-encoding", ""))

    async def model_infer(
        model: ModelName, asked: InferRequest, request: Request, length: HeaderLength = None, timeout: Timeout = None
    ) -> Response:
        """Answer for texts."""
        return await infer(model, None, asked, request, timeout)

    async def version_infer(
        model: ModelName,
        version: Version,
        asked: InferRequest,
        request: Request,
        length: HeaderLength = None,
        timeout: Timeout = None,
    ) -> Response:
        """Answer for texts with a version of a model."""
        return await infer(model, version, asked, request, timeout)

    for path, endpoint in (("", model_infer), ("/versions/{version}", version_infer)):
        routes.add_api_route(
            f"/models/{{model}}{path}/infer",
            endpoint,
            methods=["POST"],
            response_model=InferResponse,
            responses=_INFER_PROBLEMS | {200: {"content": {"application/octet-stream": _BINARY}}},
            openapi_extra={"requestBody": {"content": {"application/octet-stream": _BINARY}}},
            route_class_override=TensorRoute,
        )


async def _response(head: dict[str, Any], tensors: Sequence[Tensor], as_bytes: set[str], accepted: str) -> Response:
    """An answer with some of its tensors behind the JSON, compressed if the caller likes that."""
    outputs, behind = [], []
    for tensor in tensors:
        output: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        if tensor.name in as_bytes:
            behind.append(tensor.to_bytes())
            output["parameters"] = {"binary_data_size": len(behind[-1])}
        else:
            output["data"] = tensor.to_list()
        outputs.append(output)
    told = {name: value for name, value in head.items() if value is not None} | {"outputs": outputs}
    body = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
    headers = {HEADER_LENGTH: str(len(body))} if as_bytes else {}
    body = b"".join([body, *behind])
    coding = _coding(accepted) if len(body) >= _SMALL else None
    if coding:
        body = await asyncio.to_thread(_COMPRESSIONS[coding], body)
        headers["Content-Encoding"] = coding
    return Response(body, headers=headers, media_type="application/octet-stream" if as_bytes else "application/json")


def _coding(accepted: str) -> str | None:
    """The first of our content codings that a caller accepts (RFC 9110, section 12.5.3)."""
    named = {}
    for part in accepted.lower().split(","):
        name, _, weight = part.partition(";")
        named[name.strip()] = weight.replace(" ", "")
    return next((c for c in _COMPRESSIONS if c in named and not re.fullmatch(r"q=0(\.0*)?", named[c])), None)
