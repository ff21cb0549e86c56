"""What becomes known of a request while it is answered, for its log line, its metrics and its trace."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class RequestFacts:
    """Facts of one request; never its text, never its key.

    Args:
        route: the template, such as `/v1/models/{name}:predict`; `unknown` for a path that the server does not have.
        status: of HTTP; 499 if the caller went away before there was an answer, as nginx writes it.
        seconds: from the request's head to the last byte of the answer.
        caller: name of the key.
        model, version: who answered; None as long as nobody has.
        texts, words: of the request.
        waited: seconds in the queue.
        batch_requests, batch_words: of the batch that the request rode in; of the last, if it was parted.
        trace: id of its trace, in hexadecimal.
        span: of its trace.
    """

    request_id: str
    method: str
    route: str = "unknown"
    status: int = 499
    seconds: float = 0.0
    caller: str | None = None
    model: str | None = None
    version: str | None = None
    texts: int | None = None
    words: int | None = None
    waited: float | None = None
    batch_requests: int | None = None
    batch_words: int | None = None
    trace: str | None = None
    span: Any = None


CURRENT: ContextVar[RequestFacts | None] = ContextVar("telmo_request", default=None)
"""The request that the running task answers."""


def tell_model(model: str, version: str | None, texts: int) -> None:
    """Note who answers the request that the running task answers, and how many texts it has."""
    if facts := CURRENT.get():
        facts.model, facts.version, facts.texts = model, version, (facts.texts or 0) + texts
