"""The keys that open a running server; the file may change meanwhile."""

import logging
import os
import stat
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from embeddings.errors import ConfigError
from serve.keys import ApiKey, Secret, digest_of, read_keys

log = logging.getLogger("telmo.serve")

_CHECK_SECONDS = 1.0


class KeyRing:
    """The keys of a file. It is looked at once a second; a change counts from then on. A file that is broken or gone
    changes nothing: the keys that were read last go on, and the log says so.

    Args:
        path: of the key file.
        clock: seconds, never backwards.
        now: the time of day, for keys that expire.

    Raises:
        ConfigError: there is no such file, or it does not say what keys there are.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ):
        self._path = path
        self._clock = clock
        self._now = now
        self._stamp = _stamp(path)
        self._looked = clock()
        self._read(read_keys(path))
        if os.name != "nt" and path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            log.warning("%s may be written by others, who so may add keys; expected the mode 600", path)

    def find(self, token: str) -> ApiKey | None:
        """The key that a token opens, if it does now.

        Time tells nothing about the stored keys: where the look-up stops depends on the SHA-256 of the token, which
        nobody can steer towards a stored one.
        """
        self._look()
        digest = digest_of(token)
        if digest is None or digest not in self._by_digest:
            return None
        key, secret = self._by_digest[digest]
        now = self._now()
        return None if any(end is not None and end <= now for end in (key.expires, secret.expires)) else key

    def _read(self, keys: list[ApiKey]) -> None:
        self._by_digest: dict[str, tuple[ApiKey, Secret]] = {
            secret.sha256: (key, secret) for key in keys for secret in key.secrets
        }

    def _look(self) -> None:
        if self._clock() - self._looked < _CHECK_SECONDS:
            return
        self._looked = self._clock()
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._read(read_keys(self._path))
        except ConfigError as error:
            log.error("%s; the keys that were read before go on", error)
        else:
            log.info("%s: read again", self._path)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes with every new content of a file: a new file has another inode."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
