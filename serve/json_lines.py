"""JSON lines in, JSON lines out, while they still come in: for corpora of any size.

A request of the type `application/x-ndjson` holds a text a line: a JSON string, a list of words, a pair of texts for a
model of pairs, or `{"id": ..., "text": ...}` with one of these. The answer holds a line for each, in order:
`{"line": 1, "id": ..., "version": ..., "prediction": {...}}`, or `{"line": 1, "status": 422, "error": "..."}` in its
place, with the status that a request of this text alone would have had. An empty line has no answer, but counts.

Where nothing more can be answered, since the server stops, the version is gone, the key is valid no longer or has used
up its limits, the line that says so is the last. 429 and 503 pass: from that line on one may ask again, after
`retry_after` seconds if the line has them. Every `IN_FLIGHT` lines count as a request of the key.

Only so many lines are under way at once, and no more is read from a caller that does not read its answers: it must do
both at a time, as `curl -T -` does.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from serve.answers import Service
from serve.errors import NotReady, NotSupported
from serve.line_answer import A_REQUEST, MAX_LINE, Answered, Ask, answer, refused
from serve.open_inference import Timeout

MEDIA_TYPE = "application/x-ndjson"

IN_FLIGHT = A_REQUEST
"""Lines of a request that are under way at once; they are of `MAX_LINE` bytes at most together, or it is one."""

STALLED = 60.0
"""Seconds after which a caller that does not read its answers is hung up on."""

_LOOKS = 1.0
"""Seconds between two looks whether the server stops."""

_STOPPING = NotReady("the server stops; this line and those after it were not read", retry_after=1)

LINES_IN: dict[str, Any] = {
    MEDIA_TYPE: {
        "schema": {
            "type": "string",
            "description": 'A line for each text: `"..."`, or `{"id": ..., "text": ...}`. The query may hold `logits` '
            "and `version`.",
        },
        "example": '"Returns a DataFrame with one row for each group."\n{"id": 2, "text": "Applies the sigmoid."}\n',
    }
}
LINES_OUT: dict[str, Any] = {
    MEDIA_TYPE: {
        "schema": {
            "type": "string",
            "description": 'A line for each: `{"line", "id", "version", "prediction"}`, or `{"line", "id", "status", '
            '"error"}`, with the status of HTTP that a request of this text alone would have had, and `retry_after` '
            "if it may pass. After 401, 403, 404, 429 and 503 no line follows.",
        }
    }
}
"""For the OpenAPI document, which has one operation for a path and a method."""

_END = object()

log = logging.getLogger("telmo.serve")


def is_json_lines(scope: Scope) -> bool:
    """Whether a request is one of this protocol, whose body must not be read before it is answered."""
    if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith(":predict"):
        return False
    kinds = [value for name, value in scope["headers"] if name == b"content-type"]
    return bool(kinds) and kinds[0].split(b";")[0].strip().lower() == MEDIA_TYPE.encode()


class JsonLinesRoute(APIRoute):
    """A route that leaves requests of other types to the one of the same path that comes after it."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches(scope) if is_json_lines(scope) else (Match.NONE, {})


def router(service: Service) -> APIRouter:
    """The route, to be included before the one for plain JSON."""
    routes = APIRouter(route_class=JsonLinesRoute)

    # The one for plain JSON describes both.
    @routes.post("/v1/models/{name}:predict", include_in_schema=False)
    async def predict_lines(
        name: str,
        request: Request,
        logits: Annotated[bool, Query()] = False,
        version: Annotated[str | None, Query()] = None,
        timeout: Timeout = None,
    ) -> Response:
        if coding := request.headers.get("content-encoding"):
            raise NotSupported(f"the Content-Encoding of JSON lines is {coding[:40]!a}; expected none")
        # Now it can still be told by the status.
        if service.model(name, version).state == "draining":
            raise NotReady(f"the model '{name}' is being unloaded", retry_after=1)
        return JsonLines(Ask(service, name, version, logits, timeout / 1e3 if timeout else None))

    return routes


class JsonLines(Response):
    """Answers the lines of a request while it reads them."""

    def __init__(self, ask: Ask):
        super().__init__(media_type=MEDIA_TYPE)
        # Not Starlette's `StreamingResponse`: to see whether the caller is still there, it reads the body away.
        del self.headers["content-length"]
        self._ask = ask

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        # Without an end to the answer the server hangs up.
        with contextlib.suppress(ClientDisconnect):
            async for answers in answered(self._ask, read_lines(receive)):
                await _send(send, answers)
            await _send(send, b"", more=False)


async def _send(send: Send, body: bytes, more: bool = True) -> None:
    try:
        async with asyncio.timeout(STALLED):
            await send({"type": "http.response.body", "body": body, "more_body": more})
    except TimeoutError:
        log.warning("a caller has not read its JSON lines for %d s", STALLED)
        raise ClientDisconnect from None


async def read_lines(receive: Receive) -> AsyncIterator[bytes | None]:
    """The lines of a body; None for one that is longer than `MAX_LINE`, of which no more is kept.

    Raises:
        ClientDisconnect: the body has no end.
    """
    line, too_long, more = bytearray(), False, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        pieces = message.get("body", b"").split(b"\n")
        for k, piece in enumerate(pieces):
            if not too_long:
                line += piece
                too_long = len(line) > MAX_LINE
            if too_long:
                line.clear()
            if k < len(pieces) - 1 or (not more and (line or too_long)):
                yield None if too_long else bytes(line)
                line.clear()
                too_long = False


UnderWay = deque[tuple[int, asyncio.Task[Answered]]]
"""The bytes of each line, and its answer."""


async def answered(ask: Ask, lines: AsyncIterator[bytes | None]) -> AsyncIterator[bytes]:
    """The answers to lines, in order, one or more at a time, while the lines come in."""
    under_way: UnderWay = deque()
    reading: asyncio.Task | None = None
    number, texts, ended, cut = 0, 0, False, False
    try:
        while under_way or not ended:
            if not ended and not (reading and reading.done()) and ask.stopping():
                if reading:
                    reading.cancel()
                reading, ended, cut = None, True, True
                continue
            if not (reading or ended) and _has_room(under_way):
                reading = asyncio.ensure_future(anext(lines, _END))
            awaited = [task for task in (reading, under_way[0][1] if under_way else None) if task]
            await asyncio.wait(awaited, timeout=_LOOKS, return_when=asyncio.FIRST_COMPLETED)
            if reading and reading.done():
                line, reading = reading.result(), None
                number, ended = number + 1, line is _END
                # Of spaces only: no text, and no mistake either.
                if not ended and (line is None or line.strip()):
                    more = texts > 0 and texts % A_REQUEST == 0
                    under_way.append((len(line or b""), asyncio.create_task(answer(ask, number, line, more))))
                    texts += 1
            if done := _done(under_way):
                yield b"".join(one.written for one in done)
                if done[-1].last:
                    return
        if cut:
            yield refused({"line": number + 1}, _STOPPING).written
    finally:
        if reading:
            reading.cancel()
        for _, asked in under_way:
            asked.cancel()


def _has_room(under_way: UnderWay) -> bool:
    few = len(under_way) < IN_FLIGHT and sum(size for size, _ in under_way) < MAX_LINE
    return not under_way or few


def _done(under_way: UnderWay) -> list[Answered]:
    """The answers that are there up to the first that is not, or to the last that there will be; they are taken out."""
    done: list[Answered] = []
    while under_way and under_way[0][1].done() and not (done and done[-1].last):
        done.append(under_way.popleft()[1].result())
    return done
