"""Why a question of the Python client got no answer, one tree.

ClientError
├── NotReached           nothing listens there, or the connection broke
├── DeadlinePassed       the time for the question is over, here or there (504)
├── NotUnderstood        an answer that no Telmo server gives; is it another server, or a proxy?
└── Refused              the server says why; `status` is that of HTTP
    ├── NotAuthenticated 401  no valid key
    ├── NotAllowed       403  a key, but not for this
    ├── NotFound         404  no such model or version
    ├── TooLarge         413  more than the server takes at once
    ├── NotUsable        422  understood, but no answer can be given for it
    ├── TooMany          429  the server is full, or the key's limit is reached
    ├── NotReady         503  the model is being loaded, or the server stops
    └── ServerFailed     500 and above  the server's own mistake
"""

from embeddings.errors import TelmoError


class ClientError(TelmoError):
    """A question that got no answer."""


class NotReached(ClientError):
    """Nothing listens there, or the connection broke."""


class DeadlinePassed(ClientError):
    """The time for the question is over."""


class NotUnderstood(ClientError):
    """An answer that no Telmo server gives."""


class Refused(ClientError):
    """The server says why there is no answer.

    Args:
        message: of the server.
        status: of HTTP.
        request_id: by which the server's log knows the request.
        retry_after: seconds after which it may be worth asking again.
    """

    def __init__(self, message: str, status: int, request_id: str | None = None, retry_after: float | None = None):
        super().__init__(message)
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after


class NotAuthenticated(Refused):
    """No valid key."""


class NotAllowed(Refused):
    """A key that does not open this."""


class NotFound(Refused):
    """No such model or version."""


class TooLarge(Refused):
    """More than the server takes at once."""


class NotUsable(Refused):
    """No answer can be given for it."""


class TooMany(Refused):
    """The server is full, or the key's limit is reached."""


class NotReady(Refused):
    """The model is being loaded, or the server stops."""


class ServerFailed(Refused):
    """The server's own mistake."""


OF_STATUS: dict[int, type[Refused]] = {
    401: NotAuthenticated,
    403: NotAllowed,
    404: NotFound,
    413: TooLarge,
    422: NotUsable,
    429: TooMany,
    503: NotReady,
}
