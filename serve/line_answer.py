"""The answer to a line of JSON lines."""

import asyncio
import contextlib
import json
import logging
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from pydantic import Field, StrictInt, StrictStr, ValidationError

from embeddings.errors import InputError
from models.predictions import to_json
from serve.answers import Answer, Service
from serve.decoded import read_json
from serve.errors import (
    Failed,
    LimitReached,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    NotReady,
    NotUsable,
    RequestError,
    TooLarge,
    TooLate,
    TooMany,
)
from serve.first_problem import first_problem
from serve.guard import count_request
from serve.schemas import Closed, Pair, Text, Words

MAX_LINE = 1024 * 1024
"""Bytes of a line."""

A_REQUEST = 64
"""Lines that count as a request of the key."""

_SHORTEST_WAIT, _LONGEST_WAIT = 0.02, 1.0
"""Seconds between two tries where the queue is full."""

_LAST = (NotAuthenticated, NotAllowed, NotFound, NotReady, LimitReached)
"""After which nothing more can be answered."""

log = logging.getLogger("telmo.serve")


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


class Answered(NamedTuple):
    """A line that answers a line, and whether it is the last."""

    written: bytes
    last: bool = False


async def answer(ask: Ask, number: int, line: bytes | None, one_more: bool = False) -> Answered:
    """The line that answers a line.

    Args:
        number: of the line, from 1.
        line: None if it is too long.
        one_more: whether it begins another request of the key.
    """
    told: dict[str, Any] = {"line": number}
    try:
        if one_more:
            count_request()
        if line is None:
            raise TooLarge(f"longer than {MAX_LINE} bytes")
        content = read_json(line, "the line")
        asked = _Line.model_validate(content if isinstance(content, dict) else {"text": content})
        told |= {} if asked.id is None else {"id": asked.id}
        found = await _ask_patiently(ask, asked.text)
        told |= {"version": found.version, "prediction": to_json(found.predictions[0])}
    except ValidationError as error:
        return refused(told, NotUsable(first_problem(error.errors())))
    except InputError as error:
        return refused(told, NotUsable(str(error)))
    except RequestError as error:
        return refused(told, error)
    except Exception as error:
        log.error("line %d of JSON lines failed", number, exc_info=error)
        return refused(told, Failed())
    return Answered(_written(told))


def refused(told: dict[str, Any], error: RequestError) -> Answered:
    """The line that tells an error, after what is told already."""
    # It is alone in what is asked of the service.
    message = str(error).replace("texts[0]", "text", 1).replace(" at line 1 column", " at column", 1)
    told |= {"status": error.status, "error": message}
    if error.retry_after is not None:
        told["retry_after"] = error.retry_after
    return Answered(_written(told), isinstance(error, _LAST))


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
        except LimitReached:
            raise
        except TooMany:
            if left is not None and left < wait:
                raise TooLate("the queue was full until the deadline") from None
        await asyncio.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT)
