"""The routes for people: texts in; labels, tags, spans, translations or vectors out."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from fastapi import APIRouter
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from embeddings.selection import Selection
from models.predictions import Prediction
from serve.answers import Answer, Embedding, Service
from serve.direct_route import DirectRoute
from serve.disconnect import unless_gone
from serve.errors import NotUsable
from serve.json_lines import LINES_IN, LINES_OUT
from serve.options import MAX_TIMEOUT_MS
from serve.schemas import (
    EmbedRequest,
    EmbedResponse,
    ModelInfo,
    ModelList,
    PredictRequest,
    PredictResponse,
    problem_example,
)

TIMEOUT = b"x-request-timeout-ms"

AT_ONCE = 64
"""Texts whose answers are written before other requests have their turn."""

NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: problem_example("no model 'docs-librari'; expected one of docs-library, docs-code")
}
PROBLEMS: dict[int | str, dict[str, Any]] = NOT_FOUND | {
    413: problem_example("1200 texts in this request; expected at most 1000"),
    422: problem_example("texts[1] has no words; expected at least one"),
    429: problem_example("2040 words wait for the model 'docs-library' already; expected at most 2048"),
    500: problem_example("internal error; the server's log says more"),
    503: problem_example("the model 'docs-library' is being unloaded"),
    504: problem_example("no answer within 50 ms"),
}
for _status in (429, 503):
    PROBLEMS[_status]["headers"] = {
        "Retry-After": {"description": "Seconds until it may be worth to ask again.", "schema": {"type": "integer"}}
    }
TIMEOUT_HEADER = {
    "parameters": [
        {
            "name": "X-Request-Timeout-Ms",
            "in": "header",
            "description": "Milliseconds after which the answer is of no use; the body's timeout_ms goes before it.",
            "schema": {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_TIMEOUT_MS},
        }
    ]
}


def router(service: Service) -> APIRouter:
    """The routes under `/v1`."""
    routes = APIRouter(prefix="/v1", tags=["predictions"], route_class=DirectRoute)

    @routes.get("/models", response_model=ModelList)
    async def list_models(request: Request) -> Response:
        """The models that are served, with every version that is in memory; not those that only shadow one."""
        return _json(to_json({"models": service.models()}))

    @routes.get("/models/{name}", response_model=ModelInfo, responses=NOT_FOUND)
    async def describe_model(request: Request, name: str) -> Response:
        """The version of a model that answers now."""
        if name.endswith((":predict", ":embed")):
            # Else it would be a model that there is not.
            raise HTTPException(405, headers={"Allow": "POST"})
        return _json(to_json(service.model(name)))

    @routes.post(
        "/models/{name}:predict",
        response_model=PredictResponse,
        responses=PROBLEMS | {200: {"content": LINES_OUT}},
        openapi_extra=TIMEOUT_HEADER | {"requestBody": {"content": LINES_IN}},
    )
    async def predict(request: Request, name: str, body: PredictRequest) -> Response:
        """Answer for texts with a label and probabilities, with words, tags and spans, or with a translation."""
        timeout = _timeout(request, body.timeout_ms)
        answer = await unless_gone(
            request,
            service.predict(name, body.texts, version=body.version, logits=body.logits, timeout=timeout),
        )
        return _json(await _answered(answer))

    @routes.post("/models/{name}:embed", response_model=EmbedResponse, responses=PROBLEMS, openapi_extra=TIMEOUT_HEADER)
    async def embed(request: Request, name: str, body: EmbedRequest) -> Response:
        """The vectors of a model's biLM: for each text a vector a word and layer, or one for all its words."""
        timeout = _timeout(request, body.timeout_ms)
        selection = Selection(body.layers, body.pool)
        answer = await unless_gone(
            request, service.embed(name, body.texts, selection, version=body.version, timeout=timeout)
        )
        return _json(await _embedded(answer))

    return routes


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _timeout(request: Request, milliseconds: float | None) -> float | None:
    """Seconds that a request has."""
    if milliseconds is None:
        # Of the few fields of a request: Starlette would first make a mapping of them.
        told = next((value.decode("latin-1") for name, value in request.scope["headers"] if name == TIMEOUT), None)
        if told is None:
            return None
        try:
            milliseconds = float(told)
        except ValueError:
            milliseconds = -1.0
        if not 0 < milliseconds <= MAX_TIMEOUT_MS:
            expected = f"expected milliseconds, above 0, at most {MAX_TIMEOUT_MS}"
            raise NotUsable(f"X-Request-Timeout-Ms is {told[:40]!r}; {expected}")
    return milliseconds / 1000


async def _answered(answer: Answer) -> bytes:
    head = {"model": answer.model, "version": answer.version, "task": answer.task}
    parts = []
    for first in range(0, len(answer.predictions), AT_ONCE):
        if first:
            await asyncio.sleep(0)
        parts.append(_predictions(answer.predictions[first : first + AT_ONCE]))
    return _object(head, "predictions", parts, answer.milliseconds)


def _predictions(predictions: Sequence[Prediction]) -> bytes:
    """The fields of predictions, without those that were not asked for; between the brackets of a list."""
    told = [{name: value for name, value in vars(one).items() if value is not None} for one in predictions]
    return to_json(told, inf_nan_mode="null")[1:-1]


async def _embedded(answer: Embedding) -> bytes:
    head = {"model": answer.model, "version": answer.version, "layers": answer.layers}
    parts: list[bytes] = []
    for tokens, vectors in zip(answer.tokens, answer.vectors, strict=True):
        if parts:
            await asyncio.sleep(0)
        # It writes NumPy's arrays as they are, each number with the digits that a float32 needs.
        numbers = orjson.dumps(np.ascontiguousarray(vectors), option=orjson.OPT_SERIALIZE_NUMPY)
        parts.append(b'{"tokens":%b,"vectors":%b}' % (to_json(tokens), numbers))
    return _object(head, "embeddings", parts, answer.milliseconds)


def _object(head: dict[str, Any], name: str, parts: Sequence[bytes], milliseconds: float) -> bytes:
    """A JSON object with a list that is written already."""
    return b'%b,"%b":[%b],"milliseconds":%.3f}' % (to_json(head)[:-1], name.encode(), b",".join(parts), milliseconds)
