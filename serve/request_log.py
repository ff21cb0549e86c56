"""A line in the log for every request, and an id that the caller, the log and the trace know it by."""

import logging
import random
import re
from collections.abc import Callable, Sequence
from time import perf_counter

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.request_facts import CURRENT, RequestFacts

log = logging.getLogger("telmo.serve.requests")

HEADER = b"x-request-id"

_GOOD_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")

_ids = random.Random()
"""Seeded by the system, whose own numbers take longer to get than a line of the log. Nobody gains by guessing an id."""

_PROBES = ("/v2/health/", "/ping", "/metrics")
"""Asked by machines every few seconds; they are told at the level `debug`."""


class RequestLog:
    """ASGI middleware, the outermost of the application.

    It gives each request an id (`X-Request-ID`, if the caller sent one that is well-formed), as
    `request.state.request_id` and in the answer's header, and tells of it when the answer is sent. What nobody foresaw
    becomes a status of 500; the log alone holds its traceback.

    Args:
        app: the rest of the application.
        apologise: gives the answer to a request that failed.
        finished: called with the facts of each request; must not raise.
    """

    def __init__(
        self,
        app: ASGIApp,
        apologise: Callable[[Scope], Response],
        finished: Sequence[Callable[[RequestFacts], None]] = (),
    ):
        self.app = app
        self.apologise = apologise
        self.finished = (log_request, *finished)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin = perf_counter()
        facts = RequestFacts(_request_id(scope), scope["method"])
        state = scope.setdefault("state", {})
        state["request_id"] = facts.request_id
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                facts.status = message["status"]
                message["headers"] = [*message.get("headers", ()), (HEADER, facts.request_id.encode())]
            await send(message)

        token = CURRENT.set(facts)
        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            log.debug("the caller went away before its request was read")
        except Exception as error:
            log.error("%s %s failed", scope["method"], _route(scope), exc_info=error)
            # Where the answer has begun, the server sees that its end is missing and closes the connection.
            if not started:
                await self.apologise(scope)(scope, receive, send_with_id)
        finally:
            facts.route = _route(scope)
            facts.caller = state.get("caller")
            facts.seconds = perf_counter() - begin
            for tell in self.finished:
                tell(facts)
            CURRENT.reset(token)


def log_request(facts: RequestFacts) -> None:
    """Write the line of a request."""
    probe = facts.route.startswith(_PROBES) and facts.status < 400
    level = logging.DEBUG if probe else logging.WARNING if facts.status >= 500 else logging.INFO
    if not log.isEnabledFor(level):
        return
    told = {
        "request_id": facts.request_id,
        "method": facts.method,
        "route": facts.route,
        "status": facts.status,
        "milliseconds": round(facts.seconds * 1000, 2),
        "model": facts.model,
        "version": facts.version,
        "texts": facts.texts,
        "words": facts.words,
        "waited_milliseconds": None if facts.waited is None else round(facts.waited * 1000, 2),
        "batch_requests": facts.batch_requests,
        "batch_words": facts.batch_words,
        "caller": facts.caller,
        "trace": facts.trace,
    }
    # Made here, since a logger would first look through the stack for who calls it.
    record = logging.LogRecord(log.name, level, "", 0, "request", (), None)
    record.facts = {key: value for key, value in told.items() if value is not None}
    log.handle(record)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == HEADER and _GOOD_ID.fullmatch(value):
            return value.decode("ascii")
    return f"{_ids.getrandbits(128):032x}"


def _route(scope: Scope) -> str:
    """The template of the route; what a caller wrote in its place is not for logs and metrics."""
    return getattr(scope.get("route"), "path", None) or "unknown"
