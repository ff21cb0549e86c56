"""An application that listens, for clients that are not to know that it is under test."""

import contextlib
import socket
import threading
import time

import uvicorn

from serve.app import build_app
from serve.protocols import FORMS, routers, streamed


@contextlib.contextmanager
def listening(app):
    """Gives `host:port`, at which an application answers until the block ends."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def protocols_app(service):
    """The application, with all protocols."""
    return build_app(service, routers=routers(service), forms=FORMS, streamed=streamed)
