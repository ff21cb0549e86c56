"""A process that answers."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

import uvicorn
from fastapi import FastAPI

from embeddings.errors import TelmoError
from embeddings.quiet import quiet_stderr
from serve.listener import BACKLOG
from serve.options import ServeOptions
from serve.registry import FoundModel

log = logging.getLogger("telmo.serve")

LINGER = 0.3
"""Seconds in which a server that stops still answers who asks on an open connection, which it then closes."""

SWITCH = 0.0005
"""Seconds after which Python's threads take turns: between two steps of a computation the event loop writes answers,
and neither is to wait for Python's 5 ms."""


def run_worker(
    application: Callable[[], Any], listener: socket.socket, options: ServeOptions, parent: Connection
) -> None:
    """Load, say that all is ready, and answer until the process is told to stop. It ends the process.

    Args:
        application: makes the application.
        listener: to accept from.
        options: of the server.
        parent: is told `ready`; when it says `stop` or closes, the worker stops.
    """
    _log_to_stderr()
    # The terminal sends it to all processes; the parent says when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    told = threading.Event()
    threading.Thread(target=_stop_with, args=(parent, told), daemon=True).start()
    sys.setswitchinterval(SWITCH)
    try:
        app = application()
    except TelmoError as error:
        print(f"telmo: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(options.grace)),
        timeout_keep_alive=75,
        backlog=BACKLOG,
    )
    server = _Server(config, lambda: parent.send("ready"), app.state.stop, told)
    server.run(sockets=[listener])
    sys.exit(0)


def worker_app(found: Mapping[str, FoundModel], options: ServeOptions) -> FastAPI:
    """The application of a worker, with its models loaded and warm; `app.state.stop` is called when it is to stop.

    Args:
        found: the models by the place that they were asked for by.
        options: of the server.

    Raises:
        ModelError, SourceError: a model cannot be loaded.
    """
    # TensorFlow greets on standard error before it can be told not to.
    with quiet_stderr():
        import keras  # noqa: F401
    # Each head is a graph of its own, which TensorFlow takes for a mistake.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    from serve.app import build_app
    from serve.served_models import ServedModels

    models = ServedModels(found, options)
    # What stands now stays: no collection looks at it again. The models come later, since they may go.
    gc.collect()
    gc.freeze()
    models.load()

    app = build_app(models, options, lifespan=models.lifespan)
    app.state.stop = models.stop
    return app


class _Server(uvicorn.Server):
    """uvicorn's, which says when it answers, and which lets its clients finish before it stops.

    Args:
        config: of uvicorn.
        ready: is called when it answers.
        stop: is called when it begins to stop.
        told: whether all workers stop; else others go on with the socket.
    """

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], stop: Callable[[], None], told: threading.Event
    ):
        super().__init__(config)
        self._ready, self._stop, self._told = ready, stop, told

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stop()
        # From now on each answer says that it is the last on its connection (RFC 9112, section 9.6). A connection that
        # were closed while its next request is on its way would leave that without an answer.
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        for connection in list(self.server_state.connections):
            cycle = getattr(connection, "cycle", None)
            if cycle is not None and not cycle.response_complete:
                cycle.keep_alive = False
        if self._told.is_set():
            await self._stop_listening(sockets or [])
        await asyncio.sleep(LINGER)
        await super().shutdown(sockets)

    async def _stop_listening(self, sockets: list[socket.socket]) -> None:
        """Refuse new connections from now on, and take those that the system has taken for us already; if they were
        still waiting when the socket is closed, it would reset them."""
        taken = []
        for listener in sockets:
            with contextlib.suppress(BlockingIOError):
                while True:
                    taken.append(listener.accept()[0])
            # To close it takes effect when the event loop comes to it; this does at once.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
        loop = asyncio.get_running_loop()
        for connection in taken:
            connection.setblocking(False)
            await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        made = self.config.http_protocol_class
        return made(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)  # type: ignore


def _stop_with(parent: Connection, told: threading.Event) -> None:
    """Stop when the parent says so, or is gone."""
    with contextlib.suppress(EOFError, OSError):
        parent.recv()
    told.set()
    os.kill(os.getpid(), signal.SIGTERM)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    log.setLevel(logging.INFO)
