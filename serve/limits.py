"""How often a key may ask: a token bucket for its requests, and one for their words."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from serve.errors import LimitReached, TooLarge
from serve.keys import ApiKey

WINDOW = 60
"""Seconds in which a full bucket runs over into a full one."""


class TokenBucket:
    """Holds as many tokens as may be used in a minute, and fills up again evenly.

    Args:
        limit: tokens of a minute.
        clock: seconds, never backwards.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic):
        self.limit = limit
        self._clock = clock
        self._tokens = float(limit)
        self._filled = clock()

    def take(self, tokens: int) -> float:
        """Take tokens, if they are there.

        Returns:
            0 if they were; else the seconds after which they may be, and none are taken; infinity if never.
        """
        if tokens > self.limit:
            return math.inf
        found = self._fill()
        # A caller that waited as long as it was told to is not sent away for a rounding.
        if found >= tokens - 1e-6:
            self._tokens -= tokens
            return 0.0
        return (tokens - found) * WINDOW / self.limit

    def give_back(self, tokens: int) -> None:
        """What was taken and not used."""
        self._tokens = min(self._fill() + tokens, self.limit)

    @property
    def left(self) -> int:
        """Whole tokens that could be taken now."""
        return math.floor(self._fill())

    @property
    def full_in(self) -> int:
        """Whole seconds until nothing of what was taken is missing any more."""
        return math.ceil((self.limit - self._fill()) * WINDOW / self.limit)

    def _fill(self) -> float:
        now = self._clock()
        self._tokens = min(self._tokens + (now - self._filled) * self.limit / WINDOW, self.limit)
        self._filled = now
        return self._tokens


@dataclass(frozen=True)
class _Buckets:
    requests: TokenBucket | None
    words: TokenBucket | None


class Limits:
    """The buckets of every key of this process; of several processes each has its own.

    Args:
        clock: seconds, never backwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._buckets: dict[tuple[str, int | None, int | None], _Buckets] = {}

    def take_request(self, key: ApiKey) -> None:
        """Count a request.

        Raises:
            LimitReached: the key has used up its requests of a minute.
        """
        bucket = self._of(key).requests
        wait = bucket.take(1) if bucket else 0
        if wait:
            raise _reached("requests", key, bucket.limit, wait)  # type: ignore[union-attr]

    def take_words(self, key: ApiKey, words: int) -> None:
        """Count the words of a request, before they are worked on.

        Raises:
            LimitReached: the key has used up its words of a minute.
            TooLarge: these are more than it may ever ask at once.
        """
        bucket = self._of(key).words
        wait = bucket.take(words) if bucket else 0
        if wait == math.inf:
            raise TooLarge(
                f"{words} words in one request; the key '{key.name}' may ask for {key.words_per_minute} a minute"
            )
        if wait:
            raise _reached("words", key, bucket.limit, wait)  # type: ignore[union-attr]

    def give_back_words(self, key: ApiKey, words: int) -> None:
        """Words of a request that was refused before they were worked on."""
        bucket = self._of(key).words
        if bucket:
            bucket.give_back(words)

    def headers(self, key: ApiKey) -> list[tuple[bytes, bytes]]:
        """What a caller is told of its limits (draft-ietf-httpapi-ratelimit-headers-10): `q` tokens in `w` seconds are
        the policy; `r` are left, and all are there again in `t` seconds."""
        found = list(self._named(key))
        if not found:
            return []
        policies = ", ".join(f'"{name}";q={bucket.limit};w={WINDOW}' for name, bucket in found)
        states = ", ".join(f'"{name}";r={bucket.left};t={bucket.full_in}' for name, bucket in found)
        return [(b"ratelimit-policy", policies.encode()), (b"ratelimit", states.encode())]

    def _named(self, key: ApiKey) -> Iterator[tuple[str, TokenBucket]]:
        buckets = self._of(key)
        for name, bucket in (("requests", buckets.requests), ("words", buckets.words)):
            if bucket:
                yield name, bucket

    def _of(self, key: ApiKey) -> _Buckets:
        # A key whose limits were changed begins with full buckets.
        identity = (key.name, key.requests_per_minute, key.words_per_minute)
        if identity not in self._buckets:
            self._buckets = {known: buckets for known, buckets in self._buckets.items() if known[0] != key.name}
            self._buckets[identity] = _Buckets(*map(self._new, identity[1:]))
        return self._buckets[identity]

    def _new(self, limit: int | None) -> TokenBucket | None:
        return TokenBucket(limit, self._clock) if limit else None


def _reached(what: str, key: ApiKey, limit: int, wait: float) -> LimitReached:
    seconds = max(math.ceil(wait), 1)
    return LimitReached(f"the key '{key.name}' may ask for {limit} {what} a minute; ask again in {seconds} s", seconds)
