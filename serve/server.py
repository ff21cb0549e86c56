"""From models on disk to a listening server."""

import socket
from collections.abc import Sequence

from embeddings.errors import OutputError
from serve.registry import FoundModel


def listen(host: str, port: int) -> socket.socket:
    """Take the port, before anything slow is done.

    Raises:
        OutputError: the port is in use, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        reason = error.strerror.lower() if error.strerror else str(error)
        raise OutputError(f"{host}:{port}: cannot be listened on ({reason}); choose another with --port") from None
    return listener


def run_server(found: Sequence[FoundModel], listener: socket.socket) -> None:
    """Load models and answer until stopped; a request that is under way then has ten seconds.

    Args:
        found: the models, from `find_models`.
        listener: from `listen`.
    """
    import uvicorn

    from serve.app import ServedModel, build_app

    app = build_app([ServedModel.load(model) for model in found])
    host, port = listener.getsockname()[:2]
    names = ", ".join(model.name for model in found)
    print(f"telmo: serving {names} on http://{host}:{port} (API: http://{host}:{port}/docs)", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=10)).run(sockets=[listener])
