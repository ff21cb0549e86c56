"""When the Python client asks again, and when it gives up."""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from serve.client.errors import ClientError, DeadlinePassed, NotReached, NotReady, TooMany
from serve.options import MAX_TIMEOUT_MS

"""Milliseconds."""


@dataclass(frozen=True)
class Retries:
    """How often to ask again where that can help: the server was not reached, is full (429) or not ready (503).

    To ask twice does no harm, as no question changes anything. The waits grow, and a random part of each keeps callers
    that were refused together from coming back together (exponential backoff with full jitter).

    Args:
        tries: of a question in all; 1 for no second one.
        first_wait: seconds, at most, before the second try; each later one is twice as long.
        longest_wait: seconds that a wait does not grow past; a server that asks for more time than this is not asked
            again.
    """

    tries: int = 6
    first_wait: float = 0.2
    longest_wait: float = 60.0


class Pursuit:
    """The tries of one question, within its time.

    Args:
        retries: how often.
        timeout: seconds for all of them; None for no end.
        clock: seconds, never backwards.
        jitter: draws the part of a wait that is random, from 0 to its argument.
    """

    def __init__(
        self,
        retries: Retries,
        timeout: float | None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float], float] = lambda most: random.uniform(0, most),
    ):
        self._retries = retries
        self._clock = clock
        self._jitter = jitter
        self._timeout = timeout
        self._end = None if timeout is None else clock() + timeout
        self._tried = 0

    @property
    def left(self) -> float | None:
        """Seconds.

        Raises:
            DeadlinePassed: there are none.
        """
        self.check()
        return None if self._end is None else max(self._end - self._clock(), 0.001)

    def check(self) -> None:
        """Whether there is time.

        Raises:
            DeadlinePassed: there is none.
        """
        if self._end is not None and self._clock() >= self._end:
            raise DeadlinePassed(f"no answer within {self._timeout:g} s")

    def within(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The pieces of an answer: one that comes a byte now and then is held to the time, too.

        Raises:
            DeadlinePassed: it is over.
        """
        for piece in pieces:
            self.check()
            yield piece

    def headers(self) -> dict[str, str]:
        """Tells the server after how long it need not answer any more; it knows of an hour at most."""
        left = self.left
        return {} if left is None else {"X-Request-Timeout-Ms": str(min(max(int(left * 1_000), 1), MAX_TIMEOUT_MS))}

    def wait_after(self, error: ClientError, progress: bool = False) -> float:
        """Seconds to wait before the next try.

        Args:
            error: of the last one.
            progress: whether that has answered a part of the question, so that it counts as a first one.

        Raises:
            ClientError: the error itself, as there will be none.
        """
        self._tried = 1 if progress else self._tried + 1
        if not isinstance(error, NotReached | TooMany | NotReady) or self._tried >= self._retries.tries:
            raise error
        asked = getattr(error, "retry_after", None) or 0.0
        most = min(self._retries.first_wait * 2 ** (self._tried - 1), self._retries.longest_wait)
        wait = asked + self._jitter(most)
        # A try that must come too late tells less than why there is none.
        if asked > self._retries.longest_wait or (self._end is not None and self._clock() + wait >= self._end):
            raise error
        return wait


def retry_after(headers: Mapping[str, str], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> float | None:
    """The seconds that `Retry-After` asks for, as a number or as a date (RFC 9110, section 10.2.3); None where it says
    nothing that can be read. A date counts from the server's own `Date`, if it tells it."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:12])
    until = _date(value)
    if until is None:
        return None
    return max((until - (_date(headers.get("date", "")) or now())).total_seconds(), 0.0)


def _date(value: str) -> datetime | None:
    try:
        read = parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
