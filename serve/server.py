"""From models on disk to a listening server."""

import socket
from collections.abc import Sequence

from embeddings.errors import ModelError, OutputError


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


def run_server(models: Sequence[str], listener: socket.socket) -> None:
    """Load models and answer until stopped.

    Args:
        models: folders, or places in MLflow.
        listener: from `listen`.

    Raises:
        ModelError: there is no such model, or two models have the same name.
    """
    from serve.registry import find_model

    found = [find_model(model) for model in models]
    names = [model.name for model in found]
    for name in names:
        if names.count(name) > 1:
            raise ModelError(f"{name}: two of the models have this name; expected a name of its own for each")
    import uvicorn

    from serve.app import ServedModel, build_app

    app = build_app([ServedModel.load(model) for model in found])
    host, port = listener.getsockname()[:2]
    print(f"telmo: serving {', '.join(names)} on http://{host}:{port} (API: http://{host}:{port}/docs)", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
