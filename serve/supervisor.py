"""The parent of the workers: it holds the listening socket, starts workers, and starts others for those that die.

uvicorn has one, too, but its workers stop as uvicorn stops, and one that cannot load its models would be started for
ever.
"""

import contextlib
import logging
import multiprocessing
import signal
import socket
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

from embeddings.errors import OutputError
from serve.options import ServeOptions
from serve.shared_metrics import forget_worker
from serve.worker_table import WorkerTable

log = logging.getLogger("telmo.serve")

SLOWEST = 30.0
"""Seconds at most between two tries to start a worker."""

SPARE = 5.0
"""Seconds beyond the grace after which a worker that has not ended is killed."""


class Worker:
    """A process that answers, and the pipe over which it says that it does."""

    def __init__(
        self,
        application: Callable[[], Any],
        listener: socket.socket,
        options: ServeOptions,
        table: WorkerTable,
        row: int,
    ):
        from serve.worker import run_worker

        # Spawned: a fork would copy the threads' locks in whatever state they are.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=run_worker, args=(application, listener, options, theirs, table, row))
        self.process.start()
        # So that the pipe ends with the worker.
        theirs.close()
        self.ready = False
        self.began = time.monotonic()

    def hear(self) -> None:
        """Take note of what it says, if it says something."""
        with contextlib.suppress(EOFError, OSError):
            while self.pipe.poll():
                self.ready = self.pipe.recv() == "ready"


def supervise(
    application: Callable[[], Any], listener: socket.socket, options: ServeOptions, ready_message: str
) -> int:
    """Keep the workers alive until a signal ends the server.

    Args:
        application: makes the application of a worker; picklable.
        listener: a socket that listens, which every worker accepts from.
        options: of the server.
        ready_message: is printed when all workers answer.

    Returns:
        The exit code: 0, or that of a worker that could not begin before all had.

    Raises:
        OutputError: it was killed meanwhile.
    """
    with _signals() as stop:
        table = WorkerTable(options.workers)
        workers = [Worker(application, listener, options, table, k) for k in range(options.workers)]
        announced, delay = False, 0.5
        while not stop.poll():
            wait([stop, *(end for worker in workers for end in (worker.process.sentinel, worker.pipe))], timeout=1)
            for k, worker in enumerate(workers):
                worker.hear()
                if worker.process.is_alive():
                    continue
                table.leave(k)
                code = worker.process.exitcode
                how = f"was killed by signal {-code}" if code and code < 0 else f"ended with code {code}"
                # One that has answered can do so again.
                if not announced and not worker.ready:
                    _end(workers, listener, options)
                    if code and code > 0:
                        # It has said why.
                        return code
                    raise OutputError(f"the worker {how} before it answered; has the machine enough memory?")
                delay = 0.5 if time.monotonic() - worker.began > 2 * SLOWEST else min(2 * delay, SLOWEST)
                log.error("worker %s %s; another one starts", worker.process.pid, how)
                if not worker.ready and stop.poll(delay):
                    break
                forget_worker(worker.process.pid)
                worker.pipe.close()
                workers[k] = Worker(application, listener, options, table, k)
            if not announced and all(worker.ready for worker in workers):
                announced = True
                print(ready_message, flush=True)
        _end(workers, listener, options)
        return 0


def _end(workers: list[Worker], listener: socket.socket, options: ServeOptions) -> None:
    """Let the workers finish, and kill those that do not."""
    # Nobody waits in a queue that is not served any more.
    listener.close()
    for worker in workers:
        if worker.process.is_alive():
            worker.process.terminate()
    deadline = time.monotonic() + options.grace + SPARE
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        if worker.process.is_alive():
            log.error("worker %s has not ended in time and is killed", worker.process.pid)
            worker.process.kill()
            worker.process.join()


@contextlib.contextmanager
def _signals() -> Iterator[Connection]:
    """What can be read when the server is to stop."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    before = {}

    def tell(*_: Any) -> None:
        with contextlib.suppress(OSError):
            sender.send_bytes(b"stop")

    for number in (signal.SIGTERM, signal.SIGINT):
        before[number] = signal.signal(number, tell)
    try:
        yield receiver
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        receiver.close()
        sender.close()
