"""API keys: a file that knows them by their SHA-256 only, and the changes that are made to it.

    {"keys": [{"name": "search-team", "secrets": [{"sha256": "9f86d0...", "expires": null}],
               "models": ["docs-*"], "actions": ["predict"], "requests_per_minute": 600, "words_per_minute": null,
               "created": "2026-01-31T12:00:00Z", "expires": null}]}

A plain SHA-256 is right here, and a slow hash such as Argon2 is not: those make guessing dear where people choose
passwords, of 20 to 40 bits. A key is 256 random bits; nobody guesses one, however fast the hash, and each request must
pay for it (NIST SP 800-63B, section 5.1.1.2, asks for salt and stretching of memorized secrets, and for a secret of 112
bits or more for neither, section 5.1.2.2).
"""

import contextlib
import hashlib
import json
import os
import re
import secrets as random_source
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from filelock import FileLock, Timeout
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from embeddings.atomic import atomic_file
from embeddings.errors import ConfigError, OutputError
from serve.first_problem import first_problem

Action = Literal["predict", "embed", "metrics"]
ACTIONS: tuple[Action, ...] = ("predict", "embed", "metrics")

_FORM = re.compile(r"telmo_[A-Za-z0-9_-]{43}")
_LIVE_SECRETS = 2


class Secret(BaseModel):
    """What is kept of a key that a caller holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    expires: AwareDatetime | None = None


class ApiKey(BaseModel):
    """A caller, and what it may do.

    Args:
        name: of the caller, for logs and metrics.
        secrets: that open it; two while one takes the place of the other.
        models: that it may ask: names, or beginnings of names with a `*` behind them.
        actions: that it may take.
        requests_per_minute, words_per_minute: no limit if None.
        created, expires: with their time zones.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    secrets: Annotated[list[Secret], Field(min_length=1, max_length=_LIVE_SECRETS)]
    models: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] = ["*"]
    actions: list[Action] = ["predict", "embed"]
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    words_per_minute: Annotated[int, Field(ge=1)] | None = None
    created: AwareDatetime
    expires: AwareDatetime | None = None

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        # It stands in logs, metrics and messages.
        if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
            raise ValueError(f"found {name!r}; expected at most 64 letters, digits and . _ -")
        return name

    @field_validator("models")
    @classmethod
    def _end_in_their_star(cls, models: list[str]) -> list[str]:
        wrong = next((scope for scope in models if "*" in scope[:-1]), None)
        if wrong:
            raise ValueError(f"found '{wrong}'; expected a name, or the beginning of names with a * behind it")
        return models

    def may_ask(self, model: str) -> bool:
        """Whether the model is in the key's scope."""
        return any(model == scope or (scope[-1] == "*" and model.startswith(scope[:-1])) for scope in self.models)


class KeyFile(BaseModel):
    """All keys of a server."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: list[ApiKey] = []

    @field_validator("keys")
    @classmethod
    def _differ(cls, keys: list[ApiKey]) -> list[ApiKey]:
        names = [key.name for key in keys]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"two keys have the name '{twice}'")
        digests = [secret.sha256 for key in keys for secret in key.secrets]
        if len(set(digests)) < len(digests):
            raise ValueError("two of the secrets are the same; expected each once, as it tells who asks")
        return keys


def digest_of(token: str) -> str | None:
    """The SHA-256 of what a caller sent, in hexadecimal; None if it cannot be a key at all."""
    return hashlib.sha256(token.encode("ascii")).hexdigest() if _FORM.fullmatch(token) else None


def read_keys(path: Path) -> list[ApiKey]:
    """Read a key file.

    Raises:
        ConfigError: it cannot be read, or does not say what keys there are.
    """
    try:
        return KeyFile.model_validate(json.loads(path.read_bytes())).keys
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from None
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_problem(error.errors(), 'the file')}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is no JSON ({error}); expected what telmo keys add writes") from None


def add_key(path: Path, name: str, **fields: object) -> str:
    """Add a key to a file, which is made if there is none.

    Args:
        path: of the file.
        name: of the new key.
        fields: of the `ApiKey`.

    Returns:
        The key itself, which is not kept anywhere.

    Raises:
        ConfigError: there is a key of this name, or a field is wrong.
        OutputError: the file cannot be written.
    """
    token, secret = _new_secret()
    with _Changed(path, new=True) as keys:
        if name in keys:
            raise ConfigError(f"{path}: there is a key '{name}' already; expected another name, or telmo keys rotate")
        try:
            keys[name] = ApiKey.model_validate({"name": name, "secrets": [secret], "created": _now()} | fields)
        except ValidationError as error:
            raise ConfigError(f"the new key: {first_problem(error.errors())}") from None
    return token


def rotate_key(path: Path, name: str, overlap: timedelta) -> str:
    """Give a key a new secret; the newest one of those that it had opens it for so long still, the others no longer.

    Returns:
        The key itself, which is not kept anywhere.

    Raises:
        ConfigError: there is no key of this name.
        OutputError: the file cannot be written.
    """
    token, secret = _new_secret()
    with _Changed(path) as keys:
        key = _named(path, keys, name)
        newest, end = key.secrets[-1], _now() + overlap
        kept = newest.model_copy(update={"expires": min(newest.expires or end, end)})
        live = [kept] if overlap else []
        keys[name] = key.model_copy(update={"secrets": [*live, secret]})
    return token


def revoke_key(path: Path, name: str) -> None:
    """Remove a key and all its secrets.

    Raises:
        ConfigError: there is no key of this name.
        OutputError: the file cannot be written.
    """
    with _Changed(path) as keys:
        del keys[_named(path, keys, name).name]


class _Changed:
    """The keys of a file by name, which are written back if the block ends well; one block at a time."""

    def __init__(self, path: Path, new: bool = False):
        # Of a link it is the file behind it that is replaced.
        self._path = path.resolve()
        self._new = new
        self._lock = FileLock(self._path.with_name(f".{self._path.name}.lock"), timeout=10, mode=0o600)

    def __enter__(self) -> dict[str, ApiKey]:
        try:
            if self._new:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise OutputError(f"{self._path}: is being written by another command; expected it to end") from None
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written ({(error.strerror or str(error)).lower()})") from None
        try:
            found = [] if self._new and not self._path.exists() else read_keys(self._path)
        except ConfigError:
            self._lock.release()
            raise
        self._keys = {key.name: key for key in found}
        return self._keys

    def __exit__(self, kind, *_) -> None:
        try:
            if kind is None:
                content = KeyFile(keys=list(self._keys.values())).model_dump_json(indent=2)
                with atomic_file(self._path) as temporary:
                    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                        if self._path.exists():
                            # A group that could read it, above all the server's, can do so still; others never.
                            before = self._path.stat()
                            os.fchmod(descriptor, before.st_mode & 0o770)
                            with contextlib.suppress(OSError):
                                os.fchown(descriptor, before.st_uid, before.st_gid)
                        file.write(content + "\n")
        finally:
            self._lock.release()


def _named(path: Path, keys: dict[str, ApiKey], name: str) -> ApiKey:
    if name not in keys:
        raise ConfigError(f"{path}: no key '{name}'; expected one of {', '.join(keys) or 'none, as it is empty'}")
    return keys[name]


def _new_secret() -> tuple[str, Secret]:
    token = f"telmo_{random_source.token_urlsafe(32)}"
    digest = digest_of(token)
    assert digest
    return token, Secret(sha256=digest)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
