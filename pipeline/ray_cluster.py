"""Ray, which is an extra: the cluster, and functions over items on it."""

import logging
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from embeddings.cores import processors
from embeddings.errors import ConfigError
from embeddings.quiet import quiet_stderr

LOCAL = "local"
"""The address of a cluster of this machine alone, which lives as long as the command."""

OBJECTS = 100 * 2**20
"""Bytes of shared memory of such a cluster: what workers hand over are a few numbers."""


@dataclass(frozen=True)
class Cluster:
    """Where workers are.

    Args:
        address: `local`; `auto` or `host:6379` for a cluster that runs, of which this machine is one.
        workers: processes; None for as many as there are processors for.
        worker_cpus: processors of each.
    """

    address: str = LOCAL
    workers: int | None = None
    worker_cpus: int = 1


def ray() -> Any:
    """The library.

    Raises:
        ConfigError: it is not installed.
    """
    # It counts its users and writes notes of its own to standard error.
    for name, value in (
        ("RAY_USAGE_STATS_ENABLED", "0"),
        ("RAY_BACKEND_LOG_LEVEL", "fatal"),
        ("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0"),
    ):
        os.environ.setdefault(name, value)
    try:
        with quiet_stderr():
            import ray
            import ray.data
    except ImportError:
        raise ConfigError("Ray is not installed; expected it for this engine: pip install 'telmo[ray]'") from None
    return ray


@contextmanager
def connected(cluster: Cluster) -> Iterator[int]:
    """A cluster for the time of a block; one that this process has been connected with stays so.

    Yields:
        The number of workers.

    Raises:
        ConfigError: there is no such cluster, or it has too few processors.
    """
    library = ray()
    began = not library.is_initialized()
    if began:
        _connect(library, cluster)
    try:
        have = int(library.cluster_resources().get("CPU", 0))
        workers = cluster.workers or have // cluster.worker_cpus
        if not workers or workers * cluster.worker_cpus > have:
            asked = f"{max(1, workers)} workers of {cluster.worker_cpus}"
            raise ConfigError(f"the Ray cluster has {have} processors; expected enough for {asked}")
        yield workers
    finally:
        if began:
            with quiet_stderr():
                library.shutdown()


def _connect(library: Any, cluster: Cluster) -> None:
    options: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    if cluster.address == LOCAL:
        asked = (cluster.workers or 0) * cluster.worker_cpus
        options |= {"num_cpus": max(asked, processors()), "include_dashboard": False, "object_store_memory": OBJECTS}
    if "://" in cluster.address:
        expected = "expected auto on a machine of the cluster, or ray job submit from another"
        raise ConfigError(f"{cluster.address}: Ray Data cannot be used through Ray Client; {expected}")
    host, separator, port = cluster.address.rpartition(":")
    # It prints each loss of a worker to standard output.
    library._private.worker._worker_logs_enabled = False
    try:
        if separator and port.isdigit():
            # Ray itself asks for minutes.
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        with quiet_stderr():
            library.init(address=cluster.address, **options)
    except (OSError, RuntimeError, ValueError) as error:
        found = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(f"{cluster.address}: no Ray cluster answers there ({found})") from None


def mapped(
    rows: list[dict[str, Any]], worker: type, arguments: tuple, workers: int, cpus: int
) -> Iterator[dict[str, Any]]:
    """What workers make of rows, in the order in which it comes. A row whose worker is lost goes to another.

    Args:
        rows: what there is to do; each is a task.
        worker: class of which each worker makes an object and calls it with rows.
        arguments: of the class.
        workers: how many.
        cpus: processors of each.

    Raises:
        ray.exceptions.RayError: the cluster is lost.
    """
    from ray import data

    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    if hasattr(context, "max_consecutive_actor_init_deaths"):
        # A worker may be lost as it starts, too.
        context.max_consecutive_actor_init_deaths = 100
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # A worker has one task at a time, so that none waits behind a long one; those that are lost are made anew
        # without end, which is Ray's default here.
        pool = data.ActorPoolStrategy(size=min(workers, len(rows)), max_tasks_in_flight_per_actor=1)
        mapping = data.from_items(rows, override_num_blocks=len(rows)).map(
            worker, fn_constructor_args=arguments, compute=pool, num_cpus=cpus
        )
        yield from mapping.iter_rows()
