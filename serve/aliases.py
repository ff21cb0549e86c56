"""Which version of a registered model an alias stands on, and which it stood on before."""

from typing import Any

from embeddings.errors import ModelError
from serve.versions import versions_named

CHAMPION, CHALLENGER = "champion", "challenger"

REMEMBERED = 100
"""Versions that an alias stood on before, at most."""


def move_alias(client: Any, name: str, alias: str, version: str) -> None:
    """Have an alias stand on a version, in one call, so that whoever asks finds one or the other.

    What it stood on is written down before: an end in between leaves a note of the version that goes on, which
    `roll_back` passes over.
    """
    if standing_on(client, name, alias) == version:
        return
    remember(client, name, alias)
    client.set_registered_model_alias(name, alias, version)


def remember(client: Any, name: str, alias: str) -> None:
    """Write down what an alias stands on, before it stands there no more."""
    current, former = standing_on(client, name, alias), former_versions(client, name, alias)
    if current and former[-1:] != [current]:
        _write(client, name, alias, [*former, current])


def roll_back(client: Any, name: str, alias: str) -> tuple[str | None, str]:
    """Have an alias stand where it stood before.

    Returns:
        The version that it stood on, or None if that was deleted, and the one that it stands on now.

    Raises:
        ModelError: there is no version before.
    """
    current = standing_on(client, name, alias)
    there = {str(version.version) for version in versions_named(client, name)}
    former = former_versions(client, name, alias)
    while former and (former[-1] == current or former[-1] not in there):
        former.pop()
    if not former:
        found = f"stood on no other version before {current}" if current else "stands on no version, and stood on none"
        raise ModelError(f"models:/{name}@{alias}: {found} that is there; nothing to roll back to")
    version = former.pop()
    client.set_registered_model_alias(name, alias, version)
    _write(client, name, alias, former)
    return current, version


def standing_on(client: Any, name: str, alias: str) -> str | None:
    """The version that has an alias, or None."""
    found = client.get_registered_model(name).aliases.get(alias)
    return None if found is None else str(found)


def former_versions(client: Any, name: str, alias: str) -> list[str]:
    """The versions that an alias stood on before, the last one last."""
    return client.get_registered_model(name).tags.get(_tag(alias), "").split()


def _write(client: Any, name: str, alias: str, former: list[str]) -> None:
    client.set_registered_model_tag(name, _tag(alias), " ".join(former[-REMEMBERED:]))


def _tag(alias: str) -> str:
    return f"telmo.former.{alias}"
