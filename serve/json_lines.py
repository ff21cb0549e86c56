"""JSON lines in, JSON lines out, while they still come in: for corpora of any size.

A request of the type `application/x-ndjson` holds a text a line: a JSON string, a list of words, a pair of texts for a
model of pairs, or `{"id": ..., "text": ...}` with one of these. The answer holds a line for each, in order:
`{"line": 1, "id": ..., "version": ..., "prediction": {...}}`, or `{"line": 1, "error": "..."}` in its place. An empty
line has no answer, but counts.

Only so many lines are under way at once, and no more is read from a caller that does not read its answers: it must do
both at a time, as `curl -T -` does.
"""

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import Field, StrictInt, StrictStr, ValidationError
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from embeddings.errors import InputError
from models.predictions import to_json
from serve.answers import Answer, Service
from serve.decoded import problem, read_json
from serve.errors import NotSupported, RequestError, TooLarge, TooLate, TooMany
from serve.open_inference import Timeout
from serve.schemas import Closed, Pair, Text, Words

MEDIA_TYPE = "application/x-ndjson"

MAX_LINE = 1024 * 1024
"""Bytes of a line."""

IN_FLIGHT = 64
"""Lines of a request that are under way at once; they are of `MAX_LINE` bytes at most together, or it is one."""

STALLED = 60.0
"""Seconds after which a caller that does not read its answers is hung up on."""

_SHORTEST_WAIT, _LONGEST_WAIT = 0.02, 1.0
"""Seconds between two tries where the queue is full."""

_LOOKS = 1.0
"""Seconds between two looks whether the server stops."""

_CUT = "the server stops; this line and those after it were not read"

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
            "description": 'A line for each: `{"line", "id", "version", "prediction"}`, or `{"line", "id", "error"}`.',
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


class _Line(Closed):
    id: StrictStr | Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)] | None = None
    text: Text | Words | Pair


@dataclass(frozen=True)
class Ask:
    """What every line of a request asks."""

    service: Service
    model: str
    version: str | None
    logits: bool
    timeout: float | None

    def stopping(self) -> bool:
        """Whether the server stops: otherwise what answers for a name is not being put away."""
        with contextlib.suppress(RequestError):
            return self.service.model(self.model).state == "draining"
        return False


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
        service.model(name, version)
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


async def answered(ask: Ask, lines: AsyncIterator[bytes | None]) -> AsyncIterator[bytes]:
    """The answers to lines, in order, one or more at a time, while the lines come in."""
    under_way: deque[tuple[int, asyncio.Task[bytes]]] = deque()
    reading: asyncio.Task | None = None
    number, held, ended, cut = 0, 0, False, False
    try:
        while under_way or not ended:
            if not ended and not (reading and reading.done()) and ask.stopping():
                if reading:
                    reading.cancel()
                reading, ended, cut = None, True, True
                continue
            if not (reading or ended) and (not under_way or (len(under_way) < IN_FLIGHT and held < MAX_LINE)):
                reading = asyncio.ensure_future(anext(lines, _END))
            awaited = [task for task in (reading, under_way[0][1] if under_way else None) if task]
            await asyncio.wait(awaited, timeout=_LOOKS, return_when=asyncio.FIRST_COMPLETED)
            if reading and reading.done():
                line, reading = reading.result(), None
                number, ended = number + 1, line is _END
                # Of spaces only: no text, and no mistake either.
                if not ended and (line is None or line.strip()):
                    held += len(line or b"")
                    under_way.append((len(line or b""), asyncio.create_task(answer(ask, number, line))))
            done = []
            while under_way and under_way[0][1].done():
                size, task = under_way.popleft()
                held -= size
                done.append(task.result())
            if done:
                yield b"".join(done)
        if cut:
            yield _written({"line": number + 1, "error": _CUT})
    finally:
        if reading:
            reading.cancel()
        for _, asked in under_way:
            asked.cancel()


async def answer(ask: Ask, number: int, line: bytes | None) -> bytes:
    """The line that answers a line.

    Args:
        number: of the line, from 1.
        line: None if it is too long.
    """
    told: dict[str, Any] = {"line": number}
    try:
        if line is None:
            raise TooLarge(f"longer than {MAX_LINE} bytes")
        content = read_json(line, "the line")
        asked = _Line.model_validate(content if isinstance(content, dict) else {"text": content})
        told |= {} if asked.id is None else {"id": asked.id}
        found = await _ask_patiently(ask, asked.text)
        told |= {"version": found.version, "prediction": to_json(found.predictions[0])}
    except ValidationError as error:
        told["error"] = problem(error.errors())
    except (RequestError, InputError) as error:
        # It is alone in what is asked of the service.
        told["error"] = str(error).replace("texts[0]", "text", 1).replace(" at line 1 column", " at column", 1)
    except Exception as error:
        log.error("line %d of JSON lines failed", number, exc_info=error)
        told["error"] = "internal error; the server's log says more"
    return _written(told)


def _written(told: dict[str, Any]) -> bytes:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


async def _ask_patiently(ask: Ask, text: Any) -> Answer:
    """Ask for a text, again and again where the queue is full."""
    wait, clock = _SHORTEST_WAIT, asyncio.get_running_loop().time
    begin = clock()
    while True:
        left = None if ask.timeout is None else ask.timeout - (clock() - begin)
        try:
            return await ask.service.predict(ask.model, [text], version=ask.version, logits=ask.logits, timeout=left)
        except TooMany:
            if left is not None and left < wait:
                raise TooLate("the queue was full until the deadline") from None
        await asyncio.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT)
