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
from collections.abc import AsyncIterator, Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from embeddings.cores import cores
from embeddings.errors import TelmoError
from embeddings.quiet import quiet_stderr
from serve.acceptor import Acceptor
from serve.listener import BACKLOG
from serve.log_format import configure_logging
from serve.options import ServeOptions
from serve.registry import FoundModel
from serve.worker_table import WorkerTable

log = logging.getLogger("telmo.serve")

LINGER = 0.3
"""Seconds in which a server that stops still answers who asks, on a connection that it then closes."""

SWITCH = 0.0005
"""Seconds after which Python's threads take turns: between two steps of a computation the event loop writes answers,
and neither is to wait for Python's 5 ms."""


def run_worker(
    application: Callable[[], Any],
    listener: socket.socket,
    options: ServeOptions,
    parent: Connection,
    table: WorkerTable,
    row: int,
) -> None:
    """Load, say that all is ready, and answer until the process is told to stop. It ends the process.

    Args:
        application: makes the application.
        listener: to accept from.
        options: of the server.
        parent: is told `ready`; when it closes, the worker stops.
        table: of all workers.
        row: of this one in it.
    """
    configure_logging(options.log_format, options.log_level)
    # The terminal sends it to all processes; the parent says when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    threading.Thread(target=_stop_with, args=(parent,), daemon=True).start()
    sys.setswitchinterval(SWITCH)
    table.join(row)
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
        # A connection that changed its protocol would be counted for ever.
        ws="none",
        timeout_graceful_shutdown=max(1, round(options.grace)),
        timeout_keep_alive=75,
        backlog=BACKLOG,
    )
    server = _Server(config, lambda: parent.send("ready"), app.state.stop, table, row)
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
    if options.workers > 1:
        # Its threads keep a processor busy while they wait for work. A user's own setting wins.
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, cores() // options.workers)))
    # TensorFlow greets on standard error before it can be told not to.
    with quiet_stderr():
        import keras  # noqa: F401
    # Each head is a graph of its own, which TensorFlow takes for a mistake.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    from serve import web_page
    from serve.app import build_app
    from serve.observability import Observability
    from serve.protection import describe_protection, protect
    from serve.protocols import FORMS, routers, streamed
    from serve.refusals import Refusals
    from serve.served_models import ServedModels

    told = Observability(options)
    models = ServedModels(found, options, told.observer)
    models.load()
    # What stands now stays: a collection that looks at all of it holds up every request for 150 ms, and under load
    # there is one every second. `Place` lets it look when a model goes.
    gc.collect()
    gc.freeze()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with told.lifespan(app), models.lifespan(app):
            yield

    service, middlewares = protect(models, options, Refusals(FORMS))
    app = build_app(
        service,
        options,
        routers=[*routers(service, options.max_texts), *told.routers, web_page.router()],
        middlewares=[*told.middlewares, *middlewares],
        forms=FORMS,
        streamed=streamed,
        finished=told.finished,
        lifespan=lifespan,
    )
    describe_protection(app, options)
    app.state.service = models
    app.state.stop = models.stop
    return app


class _Connection(HttpToolsProtocol):
    """uvicorn's, which says when it has ended."""

    acceptor: Acceptor

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.acceptor.lost()


class _Server(uvicorn.Server):
    """uvicorn's, which says when it answers, leaves clients to other workers, and lets its own finish before it stops.

    Args:
        config: of uvicorn.
        ready: is called when it answers.
        stop: is called when it begins to stop.
        table, row: of the workers, and which of them this is.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        ready: Callable[[], None],
        stop: Callable[[], None],
        table: WorkerTable,
        row: int,
    ):
        super().__init__(config)
        self._ready, self._stop, self._table, self._row = ready, stop, table, row
        self._acceptors: list[Acceptor] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])
        self._acceptors = [Acceptor(one, self._protocol, self._table, self._row) for one in sockets or []]
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stop()
        for acceptor in self._acceptors:
            await acceptor.close()
        # From now on each answer says that it is the last on its connection (RFC 9112, section 9.6). A connection that
        # were closed while its next request is on its way would leave that without an answer.
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        for connection in list(self.server_state.connections):
            cycle = getattr(connection, "cycle", None)
            if cycle is not None and not cycle.response_complete:
                cycle.keep_alive = False
        await asyncio.sleep(LINGER)
        await super().shutdown()

    def _protocol(self) -> asyncio.Protocol:
        connection = _Connection(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        (connection.acceptor,) = self._acceptors
        return connection


def _stop_with(parent: Connection) -> None:
    """Stop when the parent is gone."""
    with contextlib.suppress(EOFError, OSError):
        parent.recv()
    os.kill(os.getpid(), signal.SIGTERM)
