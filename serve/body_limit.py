"""No body is read that is larger than the server takes."""

from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.errors import RequestError, TooLarge
from serve.refusals import Refusals


class LimitBody:
    """ASGI middleware: refuses a body of too many bytes before it is read, or as soon as it has grown so large.

    Args:
        app: that answers.
        most: bytes of a body.
        refuse: tells a request that it is refused.
        streamed: whether the body of a request is read piece by piece by whoever answers, who then looks to its size.
    """

    def __init__(
        self,
        app: ASGIApp,
        most: int,
        refuse: Refusals,
        streamed: Callable[[Scope], bool] = lambda scope: False,
    ):
        self._app, self._most, self._refuse, self._streamed = app, most, refuse, streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD") or self._streamed(scope):
            return await self._app(scope, receive, send)
        told = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if told and not told.isdigit():
            return await self._refuse(scope, RequestError("the header Content-Length is no number"))(
                scope, receive, send
            )
        if told and (len(told) > 20 or int(told) > self._most):
            return await self._too_large(scope)(scope, receive, send)
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            # Nearly all come in one piece.
            body = message
        else:
            parts, size = [], 0
            while True:
                if message["type"] != "http.request":
                    return None
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > self._most:
                    return await self._too_large(scope)(scope, receive, send)
                if not message.get("more_body"):
                    break
                message = await receive()
            body = {"type": "http.request", "body": b"".join(parts), "more_body": False}
        if len(body.get("body", b"")) > self._most:
            return await self._too_large(scope)(scope, receive, send)
        await self._app(scope, _first(body, receive), send)

    def _too_large(self, scope: Scope) -> Response:
        return self._refuse(scope, TooLarge(f"the body is larger than {self._most} bytes"))


def _first(body: Message, receive: Receive) -> Receive:
    """Gives what has been read, and then what comes."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return body

    return receive_again
