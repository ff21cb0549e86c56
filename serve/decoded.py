"""Routes whose requests are not sent as plain JSON: what was sent is made into JSON first, and FastAPI, which checks it
and describes it, sees no other."""

import zlib
from collections.abc import Callable, Coroutine
from typing import Any

import pydantic_core
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from serve.errors import NotSupported, RequestError, TooLarge
from serve.first_problem import first_problem

MAX_DECODED = 8 * 1024 * 1024
"""Bytes of a body when it is no longer compressed."""

_WINDOW_BITS = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


class DecodedRequest(Request):
    """A request of a `DecodedRoute`, with the JSON that its body stands for."""

    def __init__(self, request: Request, content: Any):
        headers = [(name, value) for name, value in request.scope["headers"] if name != b"content-type"]
        scope = dict(request.scope) | {"headers": [*headers, (b"content-type", b"application/json")]}
        super().__init__(scope, request.receive)
        self._content = content

    async def body(self) -> bytes:
        return b"read already"

    async def json(self) -> Any:
        return self._content


class DecodedRoute(APIRoute):
    """A route whose bodies `decode` makes into JSON."""

    async def decode(self, request: Request) -> Any:
        """What FastAPI is to check: dicts, lists, strings and numbers.

        Raises:
            RequestError: the body cannot be read.
        """
        raise NotImplementedError

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def decode_and_handle(request: Request) -> Response:
            content = await self.decode(request)
            try:
                return await handle(DecodedRequest(request, content))
            except RequestValidationError as error:
                raise RequestError(first_problem(error.errors(), depth=1)) from None

        return decode_and_handle


def read_json(body: bytes, what: str = "the body") -> Any:
    """The JSON of a body; without the NaN and the halves of characters that Python's own reader lets pass.

    Raises:
        RequestError: it is none.
    """
    try:
        return pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise RequestError(f"{what} is not JSON: {error}") from None


def decompressed(body: bytes, encoding: str | None) -> bytes:
    """A body without its content coding (RFC 9110, section 8.4.1).

    Args:
        encoding: the header `Content-Encoding`.

    Raises:
        NotSupported: another coding than `gzip` or `deflate`.
        RequestError: the body is not coded so.
        TooLarge: it grows to more than `MAX_DECODED` bytes.
    """
    coding = (encoding or "identity").strip().lower()
    if coding == "identity":
        return body
    if coding not in _WINDOW_BITS:
        raise NotSupported(f"the Content-Encoding is {coding[:40]!a}; expected gzip or deflate")
    decoder = zlib.decompressobj(_WINDOW_BITS[coding])
    try:
        content = decoder.decompress(body, MAX_DECODED + 1)
    except zlib.error:
        raise RequestError(f"the body is not coded as its Content-Encoding '{coding}' says") from None
    if len(content) > MAX_DECODED:
        raise TooLarge(f"the body is larger than {MAX_DECODED} bytes when decoded")
    if not decoder.eof or decoder.unused_data:
        raise RequestError(f"the body has no end, or more behind it, as '{coding}'; expected one whole stream")
    return content
