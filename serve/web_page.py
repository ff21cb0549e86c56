"""The page at `/`: it asks the JSON routes, as everyone else does.

It loads nothing from another host and holds no script or style of its own, so that its Content Security Policy (W3C,
level 3) can forbid all that is not a file of it.
"""

import hashlib
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from serve.security_headers import FIXED

TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
"""Of the files that are served; others in the folder are not."""

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # No text can become HTML, not even by mistake.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)

HEADERS = FIXED | {
    "content-security-policy": POLICY,
    "x-frame-options": "DENY",
    # Kept, but asked for again each time: the files of two releases do not mix.
    "cache-control": "no-cache",
}


def router() -> APIRouter:
    """The routes of the page: `/`, and its files under `/page/`. Anyone may read them; what they ask is protected."""
    pages = APIRouter(include_in_schema=False)
    for file in (files("serve") / "page").iterdir():
        suffix = file.name.rpartition(".")[2]
        if suffix in TYPES:
            path = "/" if file.name == "index.html" else f"/page/{file.name}"
            pages.add_api_route(path, _route(file.read_bytes(), TYPES[suffix]), methods=["GET", "HEAD"])
    return pages


def _route(content: bytes, media_type: str):
    headers = HEADERS | {"ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'}

    async def answer(request: Request) -> Response:
        if _holds(request.headers.get("If-None-Match", ""), headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return answer


def _holds(tags: str, tag: str) -> bool:
    """Whether `If-None-Match` names a version (RFC 9110, 13.1.2, where a weak tag is as good); a proxy that compresses
    makes them weak."""
    return tags.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in tags.split(","))
