"""Takes connections from a socket that several processes listen on, about as many in each.

Left to itself, an idle process takes all that are there: of 64 clients one had 63.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

from serve.worker_table import WorkerTable

log = logging.getLogger("telmo.serve")

LEFT = 0.003
"""Seconds for which a connection is left to a worker that has fewer, which may be too busy to take it."""

REST = 1.0
"""Seconds until a next try where there is no room for a connection."""

_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Acceptor:
    """Accepts for one worker, on the running event loop.

    Args:
        listener: that all workers listen on; it is closed by `close`.
        protocol: makes what talks with a client.
        table, row: where the workers tell how many connections they have, and which of them this is.
    """

    def __init__(
        self, listener: socket.socket, protocol: Callable[[], asyncio.BaseProtocol], table: WorkerTable, row: int
    ):
        self._listener, self._protocol, self._table, self._row = listener, protocol, table, row
        self._loop = asyncio.get_running_loop()
        self._held, self._open = 0, True
        self._later: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task] = set()
        listener.setblocking(False)
        self._tell(0)
        self._loop.add_reader(listener, self._ready)

    def lost(self) -> None:
        """One of the connections has ended."""
        self._tell(-1)

    async def close(self) -> None:
        """Take those whom the system has let in already, and then nobody any more: they may have asked, and when a
        listener is closed, the system resets who still waits there."""
        self._open = False
        self._loop.remove_reader(self._listener)
        while self._take():
            pass
        if self._later:
            self._later.cancel()
        self._listener.close()
        self._table.leave(self._row)
        await asyncio.gather(*self._tasks)

    def _tell(self, more: int) -> None:
        self._held += more
        if self._open:
            self._table.has(self._row, self._held)

    def _ready(self) -> None:
        """Somebody waits."""
        if self._table.is_fuller(self._row):
            self._rest(LEFT)
        else:
            self._take()

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        if self._open:
            self._later = self._loop.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._loop.add_reader(self._listener, self._ready)
        self._take()

    def _take(self) -> bool:
        """Accept one; False if none is there, or none can be accepted now."""
        try:
            connection = self._listener.accept()[0]
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _FULL:
                # It has gone while it waited.
                return True
            log.error("no connection can be accepted: %s", error.strerror)
            self._table.leave(self._row)
            self._rest(REST)
            return False
        self._tell(1)
        task = self._loop.create_task(self._connect(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:
            # It is gone already.
            connection.close()
            self._tell(-1)
