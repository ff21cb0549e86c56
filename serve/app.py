"""The REST application."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline

from embeddings.errors import InputError
from models.predictor import Predictor
from serve.registry import FoundModel
from serve.schemas import MAX_WORDS, Health, ModelInfo, PredictRequest, PredictResponse, Problem

MAX_BODY = 8 * 1024 * 1024
"""Bytes of a request's body."""

log = logging.getLogger("telmo.serve")


@dataclass(frozen=True)
class ServedModel:
    """A model that answers, under its name and its version in the registry."""

    name: str
    version: str | None
    predictor: Predictor

    @classmethod
    def load(cls, found: FoundModel) -> "ServedModel":
        """Load a model and let it answer once, so that the first request does not wait for its graph."""
        predictor = Predictor.load(found.folder)
        predictor.predict([predictor.description.example])
        return cls(found.name, found.version, predictor)


def build_app(models: Sequence[ServedModel]) -> FastAPI:
    """The application that answers for models.

    Its own pages need no other host: the assets of `/docs` come with it.
    """
    served = {model.name: model for model in models}
    app = FastAPIOffline(
        title="Telmo",
        summary="Predictions of text models over ELMo.",
        responses={code: {"model": Problem} for code in (400, 404, 413, 422, 500)},
    )
    app.add_middleware(LimitBody)

    # Async: they answer even while every thread predicts.
    @app.get("/health")
    async def health() -> Health:
        """Whether the server answers; the models are loaded and warm."""
        return Health(status="ok", models=list(served))

    @app.get("/models")
    async def list_models() -> list[ModelInfo]:
        """The models that are served."""
        descriptions = [(model, model.predictor.description) for model in served.values()]
        return [
            ModelInfo(name=m.name, version=m.version, task=d.task, labels=d.labels, metrics=d.metrics)
            for m, d in descriptions
        ]

    # Not async: the work runs in a thread, and the server goes on answering.
    @app.post("/predict", response_model=PredictResponse)
    def predict(request: PredictRequest) -> JSONResponse:
        """Answer for texts with a label and probabilities, with words, tags and spans, or with a translation."""
        model = _chosen(served, request.model)
        words = sum(map(_words, request.texts))
        if words > MAX_WORDS:
            raise HTTPException(422, f"texts: {words} words in this request; expected at most {MAX_WORDS}")
        predictions = model.predictor.predict(request.texts, logits=request.logits)
        task = model.predictor.description.task
        answer = PredictResponse(model=model.name, version=model.version, task=task, predictions=predictions)  # type: ignore[arg-type]
        absent = {name for name, value in vars(predictions[0]).items() if value is None}
        return JSONResponse(answer.model_dump(mode="json", exclude={"predictions": {"__all__": absent}}))

    @app.exception_handler(InputError)
    def refuse_input(request: Request, error: InputError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 422)

    @app.exception_handler(RequestValidationError)
    def refuse_request(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": _problem(error)}, 422)

    @app.exception_handler(Exception)
    def apologise(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return JSONResponse({"detail": "internal error; the server's log says more"}, 500)

    return app


def _words(text: str | list) -> int:
    """The words of a raw text, or of a list of words or of texts."""
    return len(text.split()) if isinstance(text, str) else sum(max(_words(part), 1) for part in text)


def _chosen(served: dict[str, ServedModel], name: str | None) -> ServedModel:
    names = ", ".join(served)
    if name is None and len(served) == 1:
        return next(iter(served.values()))
    if name is None:
        raise HTTPException(422, f"which model? expected 'model', one of {names}")
    if name not in served:
        raise HTTPException(404, f"no model '{name}'; expected one of {names}")
    return served[name]


def _problem(error: RequestValidationError) -> str:
    """The first thing that is wrong, and where: `texts.3: ...`."""
    # A text may be a string or a list: of the two complaints, the one that goes deeper is the one that helps.
    first = max(error.errors(), key=lambda found: len(found["loc"]))
    if first["type"] == "json_invalid":
        return f"the body is not JSON: {first['ctx']['error']} at character {first['loc'][-1]}"
    # Pydantic names the members of a union by their type in the path.
    extra = first["type"] == "extra_forbidden"
    parts = [
        str(part) for part in first["loc"][1:] if extra or part in PredictRequest.model_fields or isinstance(part, int)
    ]
    return f"{'.'.join(parts) or 'body'}: {first['msg'][0].lower()}{first['msg'][1:]}"


class LimitBody:
    """Refuses a body of more than `MAX_BODY` bytes before it is read, or as soon as it has grown so large."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        refusal = JSONResponse({"detail": f"the body is larger than {MAX_BODY} bytes"}, 413)
        if int(dict(scope["headers"]).get(b"content-length", b"0") or 0) > MAX_BODY:
            return await refusal(scope, receive, send)
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return None
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            more = message.get("more_body", False)
            if size > MAX_BODY:
                return await refusal(scope, receive, send)
        body = {"type": "http.request", "body": b"".join(parts), "more_body": False}
        given = False

        async def receive_again():
            nonlocal given
            if given:
                return await receive()
            given = True
            return body

        return await self.app(scope, receive_again, send)
