"""The Python client of `telmo serve`, sync and async; it loads neither TensorFlow nor the server.

    from serve.client import Client

    with Client("http://localhost:8000", model="docs-library") as client:
        client.predict(["Returns a DataFrame with one row for each group."])[0].label

Errors are those of `serve.client.errors`.
"""

from serve.client.async_client import AsyncClient
from serve.client.errors import ClientError
from serve.client.messages import Model
from serve.client.retries import Retries
from serve.client.sync_client import Client

__all__ = ["AsyncClient", "Client", "ClientError", "Model", "Retries"]
