"""The socket that the server listens on."""

import socket

from embeddings.errors import OutputError

BACKLOG = 2_048
"""Connections that wait to be accepted: while a worker loads its models, clients wait and are not refused."""


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
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        reason = error.strerror.lower() if error.strerror else str(error)
        raise OutputError(f"{host}:{port}: cannot be listened on ({reason}); choose another with --port") from None
    return listener
