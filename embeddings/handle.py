"""Models named by a TF-Hub handle, such as `https://tfhub.dev/google/elmo/3`.

A handle is the address of an archive; `tensorflow_hub` fetches and unpacks it once, into the folder that the
environment variable `TFHUB_CACHE_DIR` names, or one in the system's temporary folder. Version 0.16.1 asks for it with
`?tf-hub-format=compressed` and follows redirects: tfhub.dev has moved to Kaggle, which answers to the same question,
and whose own addresses do as well (README of tensorflow_hub).
"""

import http.client
import socket
import tarfile
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from embeddings.errors import SourceError

TIMEOUT = 60
"""Seconds without an answer from a server after which it is given up; tensorflow_hub would wait for ever."""


def is_handle(source: Any) -> bool:
    """Whether a source is a handle, not a place on this machine."""
    return isinstance(source, str) and source.startswith(("https://", "http://"))


def resolve_handle(handle: str) -> Path:
    """The folder of a handle's model, fetched if it is not in the cache.

    Raises:
        SourceError: there is no network, the server knows no such model, or what it sends is no archive.
    """
    with warnings.catch_warnings():
        # It imports pkg_resources, which warns of itself.
        warnings.simplefilter("ignore")
        import tensorflow_hub
        from tensorflow.errors import OpError
    try:
        with _timeout(TIMEOUT):
            return Path(tensorflow_hub.resolve(handle))
    except HTTPError as error:
        raise SourceError(f"{handle}: the server answers {error.code} ({error.reason}); expected a model") from None
    except (URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error or type(error).__name__
        raise SourceError(
            f"{handle}: cannot be fetched ({reason}); without a network, name the folder or the tar.gz of a copy, or "
            "set TFHUB_CACHE_DIR to a cache that holds it"
        ) from None
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error, OpError) as error:
        raise SourceError(f"{handle}: no model could be unpacked from what the server sends ({error})") from None


@contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
