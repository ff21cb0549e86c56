"""Who may ask: each request is answered with the rights of its API key.

A key is sent as `Authorization: Bearer KEY` (RFC 6750, section 2.1) or `X-API-Key: KEY`, and never in an address, which
proxies write to their logs. What the key may ask of the models is held by `serve.guard`.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.errors import NotAllowed, NotAuthenticated, RequestError, TooMany
from serve.guard import CALLER, Caller
from serve.key_ring import KeyRing
from serve.keys import ApiKey
from serve.limits import Limits, TokenBucket

log = logging.getLogger("telmo.serve")

HEALTH = frozenset({"/v2/health/live", "/v2/health/ready", "/ping", "/health"})

OPEN_PATHS = HEALTH | {"/", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json", "/favicon.ico"}
"""A browser sends no key for a page. The description of the API holds nothing of the models."""
OPEN_FOLDERS = ("/page/", "/static-offline-docs/")
"""Of files that are served as they are."""

_FAILURES_PER_MINUTE = 30
_ADDRESSES = 10_000


Refuse = Callable[[Scope, RequestError], Response]


class Access:
    """ASGI middleware: finds the key of a request, counts it against the key's limits, and refuses it without one.

    It sets `scope["state"]["caller"]` to the name of the key, and `serve.guard.CALLER`.

    Args:
        app: that answers.
        ring: the keys.
        limits: of the keys, which the `Guarded` service shares.
        refuse: makes the answer to a request that is refused.
    """

    def __init__(self, app: ASGIApp, ring: KeyRing, limits: Limits, refuse: Refuse):
        self._app = app
        self._ring = ring
        self._limits = limits
        self._refuse = refuse
        self._failures = Failures()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        # Of requests on one connection each begins with what the one before has set.
        CALLER.set(None)
        if is_open(scope):
            CALLER.set("open")
            return await self._app(scope, receive, send)
        key = None
        try:
            key = self._authenticate(scope)
            scope.setdefault("state", {})["caller"] = key.name
            self._limits.take_request(key)
            # A route's pattern takes a last line break, too.
            if path_of(scope).strip() == "/metrics" and "metrics" not in key.actions:
                raise NotAllowed(f"the key '{key.name}' may not read the metrics")
        except RequestError as error:
            answer: ASGIApp = self._refuse(scope, error)
        else:
            answer = self._app
        return await answer(scope, receive, self._telling_limits(key, send) if key else send)

    def _authenticate(self, scope: Scope) -> ApiKey:
        """The key of a request, which is its `CALLER` from now on.

        Raises:
            NotAuthenticated: it has none that is valid.
            TooMany: likewise, and as often before from this address.
        """
        tokens = tokens_of(scope)
        token = next(iter(tokens)) if len(tokens) == 1 else ""
        if key := self._ring.find(token):
            CALLER.set(Caller(self._ring, token, self._limits))
            return key
        address = scope["client"][0] if scope.get("client") else "an unknown address"
        wait = self._failures.count(address)
        # Nobody guesses a key; what this spares is the log. An address may be that of a proxy: who has a key gets in.
        if wait:
            raise TooMany(f"too many requests without a valid key; ask again in {wait} s", wait)
        log.warning("refused %s: no valid key", address)
        if len(tokens) > 1:
            raise NotAuthenticated("two different API keys in one request; expected one")
        raise NotAuthenticated("expected a valid API key, as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'")

    def _telling_limits(self, key: ApiKey, send: Send) -> Send:
        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *self._limits.headers(key)]}
            await send(message)

        return send_with_limits


class Failures:
    """Counts the requests without a valid key of each address, of the last ones that made any."""

    def __init__(self, per_minute: int = _FAILURES_PER_MINUTE, addresses: int = _ADDRESSES):
        self._per_minute = per_minute
        self._addresses = addresses
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def count(self, address: str) -> int:
        """Count one.

        Returns:
            0, or the seconds to wait if there were too many.
        """
        bucket = self._buckets.setdefault(address, TokenBucket(self._per_minute))
        self._buckets.move_to_end(address)
        while len(self._buckets) > self._addresses:
            self._buckets.popitem(last=False)
        return -int(-bucket.take(1) // 1)


def tokens_of(scope: Scope) -> set[str]:
    """Every key that a request names; a field may come twice, or both fields may."""
    found = set()
    for name, value in scope["headers"]:
        text = value.decode("latin-1").strip()
        if name == b"x-api-key":
            found.add(text)
        elif name == b"authorization":
            # Of another scheme: meant for a proxy.
            scheme, _, token = text.partition(" ")
            if scheme.lower() == "bearer":
                found.add(token.strip())
    return found


def path_of(scope: Scope) -> str:
    """The path that the router sees: decoded, and without the place that a proxy has put the application at."""
    path, root = scope["path"], scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def is_open(scope: Scope) -> bool:
    """Whether a request needs no key. The router reads the same path, and takes it by the letter, too."""
    path = path_of(scope)
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)


_PROBLEM = {"application/json": {"schema": {"type": "object"}}}


def describe_keys(schema: dict[str, Any]) -> dict[str, Any]:
    """An OpenAPI document that says which operations need a key, and how it is sent."""
    schemes = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    schema.setdefault("components", {})["securitySchemes"] = schemes
    schema["security"] = [{name: []} for name in schemes]
    refusals = {"401": "no valid API key", "403": "the key is not for this", "429": "the key's limit is reached"}
    for path, operations in schema.get("paths", {}).items():
        for operation in operations.values():
            if path in OPEN_PATHS:
                operation["security"] = []
                continue
            for status, description in refusals.items():
                operation["responses"].setdefault(status, {"description": description, "content": _PROBLEM})
    return schema
