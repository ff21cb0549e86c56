"""What stands between the network and the routes, as the options of the server say."""

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.access import HEALTH, Access, Refuse, describe_keys, path_of
from serve.answers import Service
from serve.guard import Guarded
from serve.key_ring import KeyRing
from serve.limits import Limits
from serve.options import ServeOptions
from serve.security_headers import SecurityHeaders

_ASKED_HEADERS = ["Authorization", "Content-Type", "X-API-Key", "X-Model", "X-Request-Id", "X-Request-Timeout-Ms"]
_TOLD_HEADERS = ["RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id"]


def protect(service: Service, options: ServeOptions, refuse: Refuse) -> tuple[Service, list[Middleware]]:
    """A service that answers each caller what its key allows, and the middlewares that know the caller, the first to
    see a request first.

    Args:
        service: that answers.
        options: of the server; without `keys` everybody may ask everything.
        refuse: makes the answer to a request that is refused.

    Raises:
        ConfigError: the key file cannot be read.
    """
    middlewares = [Middleware(SecurityHeaders)]
    if options.allowed_hosts:
        middlewares.append(Middleware(AllowedHosts, hosts=options.allowed_hosts))
    if options.cors_origins:
        # Before the check of the key, which a browser's question whether it may ask does not carry.
        cors = Middleware(
            CORSMiddleware,
            allow_origins=options.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=_ASKED_HEADERS,
            expose_headers=_TOLD_HEADERS,
        )
        middlewares.append(cors)
    if options.keys is None:
        return service, middlewares
    limits = Limits()
    middlewares.append(Middleware(Access, ring=KeyRing(options.keys), limits=limits, refuse=refuse))
    return Guarded(service, limits), middlewares


def describe_protection(app: FastAPI, options: ServeOptions) -> None:
    """Have the application's OpenAPI document say which operations need a key."""
    if options.keys is not None:
        plain = app.openapi
        app.openapi = lambda: describe_keys(plain())  # type: ignore[method-assign]


class AllowedHosts(TrustedHostMiddleware):
    """Refuses requests that name another host, so that no page of another site can reach a server inside a network by a
    name of its own (DNS rebinding). Those who only ask whether all is well go by the address, and tell nothing."""

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...]):
        super().__init__(app, allowed_hosts=hosts, www_redirect=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and path_of(scope) in HEALTH:
            return await self.app(scope, receive, send)
        return await super().__call__(scope, receive, send)
