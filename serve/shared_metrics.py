"""What the metrics of several workers share; light to import, since it must come before `prometheus_client`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

FOLDER = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def shared_metrics() -> Iterator[None]:
    """For the time of a block, a folder in which processes that are started leave their metrics.

    The block is in the process that starts them. A process that counts must not have imported `prometheus_client`
    before, for it looks for the folder once.
    """
    before = os.environ.get(FOLDER)
    with TemporaryDirectory(prefix="telmo-metrics-") as folder:
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ[FOLDER]
            else:
                os.environ[FOLDER] = before


def forget_worker(pid: int | None) -> None:
    """Take what a process that ended has left: its part of the gauges. What it counted stays counted."""
    if os.environ.get(FOLDER):
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid)
