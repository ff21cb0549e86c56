"""What MLflow shows of where data come from, cut to what it has room for."""

import os
from collections.abc import Sequence
from pathlib import Path

LONGEST_NAME, LONGEST_SOURCE = 500, 65_535
"""Characters that MLflow keeps (`MAX_DATASET_NAME_SIZE` and `MAX_DATASET_SOURCE_SIZE`, of JSON)."""


def name_of_data(names: str | Sequence[str]) -> str:
    """Of a file its own name, without its folders; of what is no file, such as `docs:library/train`, all of it; of
    several the first, and how many they are."""
    several = _all(names)
    # `os.path` says of a name that is too long for a file that there is none; `pathlib` raises.
    first = several[0] if ":" in several[0] and not os.path.exists(several[0]) else Path(several[0]).name
    more = f" … ({len(several)} files)" if len(several) > 1 else ""
    return first[: LONGEST_NAME - len(more)] + more


def source_of_data(names: str | Sequence[str]) -> str:
    """Of a file its absolute path."""
    text = ", ".join(str(Path(name).absolute()) if os.path.exists(name) else name for name in _all(names))
    # A character may take six in JSON, as \\u00e4 does.
    longest = LONGEST_SOURCE // (2 if text.isascii() else 6) - 100
    return text if len(text) <= longest else text[:longest] + "…"


def _all(names: str | Sequence[str]) -> list[str]:
    return list(dict.fromkeys([names] if isinstance(names, str) else names))
