"""Why a request is refused, in the words of its protocol."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Scope

from embeddings.errors import InputError
from serve.errors import NotAuthenticated, NotUsable, RequestError

FORESEEN = (RequestError, InputError, ClientDisconnect, HTTPException)
"""Errors that a request may end with; any other is a fault of the server."""

Form = Callable[[Scope, int, str], Any]
"""Makes of a request, a status and a message what JSON shall hold."""


def plain(scope: Scope, status: int, message: str) -> dict[str, Any]:
    """As the routes for people tell it; the request's id is that of the log, if there is one."""
    request_id = scope.get("state", {}).get("request_id")
    return {"detail": message} | ({"request_id": request_id} if request_id else {})


class Refusals:
    """Answers requests that are refused.

    Args:
        forms: for the begin of a path how its protocol tells a problem; `plain` for all others.
    """

    def __init__(self, forms: Mapping[str, Form] | None = None):
        self._forms = dict(forms or {})

    def __call__(self, scope: Scope, error: RequestError | InputError | ClientDisconnect | HTTPException) -> Response:
        """The answer that tells an error."""
        if isinstance(error, ClientDisconnect):
            # Nobody reads it; 499 is what nginx writes into its log.
            return Response(status_code=499)
        if isinstance(error, HTTPException):
            message = f"{error.detail.lower()}: {scope['method']} {Request(scope).url.path}"
            return self._told(scope, error.status_code, message, error.headers)
        if isinstance(error, InputError):
            error = NotUsable(str(error))
        headers = {}
        if error.retry_after is not None:
            headers["retry-after"] = str(max(1, error.retry_after))
        if isinstance(error, NotAuthenticated):
            headers["www-authenticate"] = "Bearer"
        return self._told(scope, error.status, str(error), headers)

    def _told(self, scope: Scope, status: int, message: str, headers: Mapping[str, str] | None) -> Response:
        path = scope.get("path", "")
        form = next((form for begin, form in self._forms.items() if path.startswith(begin)), plain)
        body = to_json(form(scope, status, message))
        return Response(body, status, dict(headers or {}), media_type="application/json")
