"""What is wrong with what was sent or written, told by the first of pydantic's complaints."""

import re
from collections.abc import Sequence
from typing import Any

_TYPES = re.compile(r"(str|bool|int|float|constrained-.*|[a-z]+\[.*)$")


def first_problem(errors: Sequence[Any], whole: str = "body", depth: int = 0) -> str:
    """The first thing that is wrong, and where: `inputs.0.shape: ...`.

    Args:
        errors: of a pydantic model.
        whole: what it was read from, for a problem that has no place in it.
        depth: how much of each place is no part of what the caller has sent: FastAPI says `body` first.
    """
    # Of the complaints of a union's members, the one that goes deeper is the one that helps.
    first = max(errors, key=lambda found: len(found["loc"]))
    if first["type"] == "json_invalid":
        return f"the body is not JSON: {first['msg'].removeprefix('Invalid JSON: ')}"
    # Pydantic names the members of a union by their type in the path.
    unknown = first["type"] == "extra_forbidden"
    parts = [part for part in map(str, first["loc"][depth:]) if unknown or not _TYPES.match(part)]
    # What the caller has named it, perhaps with half a character.
    where = ".".join(parts).encode("ascii", "backslashreplace").decode()[:200]
    message = first["msg"].removeprefix("Value error, ")
    return f"{where or whole}: {message[0].lower()}{message[1:]}"
