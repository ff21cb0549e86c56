"""What the workers of one server know of each other: who computes, and who has how many connections."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context

from embeddings.cores import divide_cores

STAYS = 0.05
"""Seconds for which a worker that has computed is taken to go on: it answers, and is asked again."""


class WorkerTable:
    """A row for each worker, in memory that all of them see; a number is written at once. It goes to processes that are
    spawned.

    The workers that compute have a part of the processors each, and one that is alone has all: where more threads
    compute than there are cores, they wait for each other at every product.

    Args:
        workers: how many there are.
    """

    def __init__(self, workers: int):
        context = get_context("spawn")
        # By the clock that all processes of a machine have in common.
        self._computes_until = context.RawArray("d", workers)
        self._connections = context.RawArray("d", [math.inf] * workers)

    def join(self, row: int) -> None:
        """Have this process be one of the workers."""
        global _own  # noqa: PLW0603
        _own = self, row
        divide_cores(lambda: self.users(row))

    def leave(self, row: int) -> None:
        """A worker takes no connections, and computes nothing that it has not begun."""
        self._computes_until[row], self._connections[row] = 0.0, math.inf

    def users(self, row: int) -> int:
        """How many workers compute now, if one does."""
        now = time.monotonic()
        return 1 + sum(until > now for k, until in enumerate(self._computes_until) if k != row)

    def computes(self, row: int, until: float) -> None:
        """Say until when a worker computes."""
        self._computes_until[row] = until

    def has(self, row: int, connections: int) -> None:
        """Say how many connections a worker has, which takes more."""
        self._connections[row] = connections

    def is_fuller(self, row: int) -> bool:
        """Whether a worker has more connections than another one."""
        return self._connections[row] > min(self._connections)


_own: tuple[WorkerTable, int] | None = None


@contextmanager
def computing() -> Iterator[None]:
    """Say to the other workers, if there are any, that this one computes."""
    if _own is None:
        yield
        return
    table, row = _own
    table.computes(row, math.inf)
    try:
        yield
    finally:
        table.computes(row, time.monotonic() + STAYS)
