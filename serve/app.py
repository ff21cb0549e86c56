"""The REST application."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.types import ASGIApp, Scope

from serve import v1
from serve.answers import Service
from serve.body_limit import LimitBody
from serve.direct_route import DirectRoute, Shortcuts
from serve.errors import Failed, NotUsable
from serve.first_problem import first_problem
from serve.options import ServeOptions
from serve.refusals import FORESEEN, Form, Refusals
from serve.request_facts import RequestFacts
from serve.request_log import RequestLog

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager]


def build_app(
    service: Service,
    options: ServeOptions | None = None,
    *,
    routers: Sequence[APIRouter] = (),
    middlewares: Sequence[Middleware] = (),
    forms: Mapping[str, Form] | None = None,
    streamed: Callable[[Scope], bool] = lambda scope: False,
    finished: Sequence[Callable[[RequestFacts], None]] = (),
    lifespan: Lifespan | None = None,
) -> FastAPI:
    """The application that answers for models. Its own pages need no other host: the assets of `/docs` come with it.

    Args:
        service: that answers.
        options: of the server.
        routers: of more protocols; they go before the routes for people.
        middlewares: the first sees a request first.
        forms: how protocols tell a problem, by the begin of their paths.
        streamed: whether the body of a request is read piece by piece by its route.
        finished: called with the facts of each request.
        lifespan: what begins and ends with the application.
    """
    options = options or ServeOptions()
    refusals = Refusals(forms)
    people = v1.router(service)
    direct = [route for route in people.routes if isinstance(route, DirectRoute)]
    app = FastAPIOffline(
        title="Telmo",
        summary="Predictions of text models over ELMo.",
        version=version("telmo"),
        lifespan=lifespan,
        # `serve.tracing` tells OpenTelemetry of requests.
        telemetry={"tracing": False, "metrics": False},
    )
    behind = [
        Middleware(RequestLog, apologise=lambda scope: refusals(scope, Failed()), finished=finished),
        *middlewares,
        Middleware(LimitBody, most=options.max_body, refuse=refusals, streamed=streamed),
        Middleware(Shortcuts, routes=direct, leave=streamed, refuse=refusals),
    ]
    put_behind(behind, app)
    for router in (*routers, people):
        app.include_router(router)
    _add_refusals(app, refusals)
    return app


def put_behind(middlewares: Sequence[Middleware], app: FastAPI) -> None:
    """Let requests come to an application through middlewares, and only what these leave to what it puts before its
    router."""
    build = app.build_middleware_stack

    def build_behind() -> ASGIApp:
        stack = build()
        for middleware in reversed(middlewares):
            stack = middleware.cls(stack, *middleware.args, **middleware.kwargs)
        return stack

    app.build_middleware_stack = build_behind  # type: ignore[method-assign]


def _add_refusals(app: FastAPI, refusals: Refusals) -> None:
    """Have every error told in the words of the protocol that was spoken."""

    async def refuse(request: Request, error: Any) -> Response:
        return refusals(request.scope, error)

    for foreseen in FORESEEN:
        app.add_exception_handler(foreseen, refuse)

    @app.exception_handler(Exception)
    async def apologise(request: Request, error: Exception) -> Response:
        return refusals(request.scope, Failed())

    @app.exception_handler(RequestValidationError)
    async def refuse_parameter(request: Request, error: RequestValidationError) -> Response:
        return refusals(request.scope, NotUsable(first_problem(error.errors())))
