"""What browsers are told of every answer: to run nothing of it, and to show it in no other page. The page at `/` has
rules of its own."""

import base64
import hashlib
import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.access import path_of

DOCS = frozenset({"/docs", "/redoc", "/docs/oauth2-redirect"})
"""Pages of FastAPI, which hold a script each."""

_ANSWER = "default-src 'none'; frame-ancestors 'none'"
# Swagger UI and ReDoc write styles into their page, and ReDoc searches in a worker.
_DOCS = (
    "default-src 'none'; script-src 'self'{scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

FIXED = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""Fields of every answer."""


class SecurityHeaders:
    """ASGI middleware: adds the fields that an answer has not set itself.

    Answers differ by key and so are kept by no cache; files, which have an `ETag`, are.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if path_of(scope) in DOCS:
            return await self._app(scope, receive, _WithScripts(send))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add(message, _ANSWER)
            await send(message)

        return await self._app(scope, receive, send_with_headers)


class _WithScripts:
    """Holds a page back until all of it is there, and allows the scripts in it by their hashes (CSP Level 3, section
    2.3.1)."""

    def __init__(self, send: Send):
        self._send = send
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        if message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if message.get("more_body"):
                return
            scripts = re.findall(rb"<script>(.*?)</script>", self._body, re.DOTALL)
            digests = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts]
            _add(self._start, _DOCS.format(scripts="".join(f" 'sha256-{digest}'" for digest in digests)))
            await self._send(self._start)
            message = {"type": "http.response.body", "body": self._body}
        await self._send(message)


_LINES = [(name.encode(), value.encode()) for name, value in FIXED.items()]


def _add(message: Message, policy: str) -> None:
    headers = list(message.get("headers", ()))
    there = {name.lower() for name, _ in headers}
    more = [*_LINES, (b"content-security-policy", policy.encode())]
    if b"etag" not in there:
        more.append((b"cache-control", b"no-store"))
    message["headers"] = headers + [line for line in more if line[0] not in there]
