"""An application that listens, for clients that are not to know that it is under test."""

import contextlib
import socket
import threading
import time

import uvicorn
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from embeddings.errors import InputError
from serve.errors import RequestError
from serve.protocols import FORMS, routers


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
    app = FastAPI()
    for router in routers(service):
        app.include_router(router)

    def told(request, status, message):
        form = next((form for begin, form in FORMS.items() if request.url.path.startswith(begin)), None)
        return JSONResponse(form(request.scope, status, message) if form else {"detail": message}, status)

    @app.exception_handler(RequestError)
    async def refuse(request, error):
        return told(request, error.status, str(error))

    @app.exception_handler(InputError)
    async def refuse_input(request, error):
        return told(request, 422, str(error))

    @app.exception_handler(RequestValidationError)
    async def refuse_parameter(request, error):
        return told(request, 422, str(error.errors()[0]["msg"]))

    return app
