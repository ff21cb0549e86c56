"""From models on disk to a listening server: a parent that holds the socket, and workers that answer."""

import socket
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from serve.options import ServeOptions
from serve.registry import FoundModel


@dataclass(frozen=True)
class Application:
    """Makes the application of a worker, in its process.

    Args:
        found: the models by the place that they were asked for by; those that shadow others, too.
        options: of the server.
    """

    found: Mapping[str, FoundModel]
    options: ServeOptions

    def __call__(self) -> Any:
        from serve.worker import worker_app

        return worker_app(self.found, self.options)


def run_server(found: Mapping[str, FoundModel], listener: socket.socket, options: ServeOptions) -> None:
    """Load models and answer until stopped; the requests that are under way then are answered.

    Args:
        found: the models, by the place that they were asked for by.
        listener: from `listen`.
        options: of the server.
    """
    from serve.shared_metrics import shared_metrics
    from serve.supervisor import supervise

    host, port = listener.getsockname()[:2]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    behind = set(options.shadow.values())
    names = ", ".join(model.name for place, model in found.items() if place not in behind)
    ready = f"telmo: serving {names} on http://{address} (API: http://{address}/docs)"
    several = options.metrics and options.workers > 1
    with shared_metrics() if several else nullcontext():
        sys.exit(supervise(Application(found, options), listener, options, ready))
