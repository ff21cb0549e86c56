"""Why a request is refused, one tree; each has the HTTP status that says so (RFC 9110, section 15).

    RequestError            400
    ├── NotAuthenticated    401  no valid key
    ├── NotAllowed          403  a key, but not for this
    ├── NotFound            404  no such model or version
    ├── TooLarge            413  more than the server reads
    ├── NotSupported        415  a content type or coding that the server does not read
    ├── NotUsable           422  understood, but no answer can be given for it
    ├── TooMany             429  the queue is full; come back after `retry_after` seconds
    │   └── LimitReached    429  likewise; the key has asked too often
    ├── Failed              500  an unforeseen error, which the log tells
    ├── NotReady            503  likewise; the model is being loaded, or the server stops
    └── TooLate             504  the request's own deadline has passed

An `InputError` of the house (`embeddings.errors`) is told like `NotUsable`. Each message is one sentence for a person
and names no path of the server.
"""


class RequestError(Exception):
    """A request that gets no answer.

    Args:
        message: what was found, where, and what was expected.
        retry_after: seconds after which it may be worth asking again.
    """

    status = 400

    def __init__(self, message: str, retry_after: int | None = None):
        super().__init__(message)
        self.retry_after = retry_after


class NotAuthenticated(RequestError):
    """No key, or one that is not known."""

    status = 401


class NotAllowed(RequestError):
    """A key that does not open this."""

    status = 403


class NotFound(RequestError):
    """No such model or version."""

    status = 404


class TooLarge(RequestError):
    """More bytes, texts or words than the server takes in one request."""

    status = 413


class NotSupported(RequestError):
    """A content type or a content coding that the server does not read."""

    status = 415


class NotUsable(RequestError):
    """Well-formed, but no answer can be given for it."""

    status = 422


class TooMany(RequestError):
    """The queue is full."""

    status = 429


class LimitReached(TooMany):
    """A key has asked too often."""


class Failed(RequestError):
    """An unforeseen error, which has been logged."""

    status = 500

    def __init__(self) -> None:
        super().__init__("internal error; the server's log says more")


class NotReady(RequestError):
    """The model is not loaded yet, or the server is stopping."""

    status = 503


class TooLate(RequestError):
    """The deadline of the request has passed."""

    status = 504
