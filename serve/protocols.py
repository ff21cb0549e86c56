"""The protocols that are spoken beside the routes for people."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter
from starlette.types import Scope

from serve import invocations, json_lines, open_inference
from serve.answers import Service

FORMS: Mapping[str, Callable[[Scope, int, str], Any]] = {
    "/v2": open_inference.form,
    "/invocations": invocations.form,
    "/endpoints/": invocations.form,
    "/gateway/": invocations.form,
    "/api/2.0/": invocations.form,
}
"""How each tells a problem, by the begin of its paths."""

streamed = json_lines.is_json_lines
"""Whether a route reads the body of a request piece by piece."""


def routers(service: Service, max_texts: int = 1_000) -> list[APIRouter]:
    """The routes, which go before those for people.

    Args:
        max_texts: of a request.
    """
    return [json_lines.router(service), open_inference.router(service, max_texts), invocations.router(service)]
