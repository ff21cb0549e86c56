"""What both clients are given, and how they speak HTTP."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

# httpx has had no release since 2024; this goes on with it.
import httpx2 as httpx

from models.predictions import Prediction
from serve.client.errors import ClientError, DeadlinePassed, NotReached, NotUnderstood, Refused
from serve.client.messages import Call, Model, cut
from serve.client.retries import Pursuit, Retries

if TYPE_CHECKING:
    from models.predictor import Text

URL = "http://127.0.0.1:8000"
KEY = "TELMO_API_KEY"
"""The environment variable of the key, where none is given."""

Pool = Literal["none", "mean", "max"]

_CONNECT_SECONDS = 5.0
_EMBED_TEXTS = 32
_LINES, _LINE_CHARACTERS = 64, 80_000
"""Of a request of JSON lines: so much the server takes in before it must be read from (64 lines, 1 MiB; a character
takes 12 bytes at most), and a client of HTTP/1.1 reads when all is sent."""


class Settings:
    """What both clients are given.

    Args:
        url: of the server; it ends in a path where a proxy has put it at one.
        key: an API key; by default that of the environment variable `TELMO_API_KEY`, if it is set.
        model: that is asked where a call names none; by default the only one that the server has.
        timeout: seconds for a request with all its tries, told to the server, too; None for no end. A long list of
            texts is several requests.
        retries: how often to ask again.
        batch_texts: most texts of a request.
        concurrency: most requests that a call of an `AsyncClient` has under way at once; a `Client` has one.
        transport: of httpx2, in place of its own.

    Raises:
        ClientError: there can be no such address, or no such key.
    """

    def __init__(
        self,
        url: str = URL,
        *,
        key: str | None = None,
        model: str | None = None,
        timeout: float | None = 60.0,
        retries: Retries | None = None,
        batch_texts: int = 256,
        concurrency: int = 4,
        transport: Any = None,
    ):
        self.url = url
        self.model = model
        self._timeout = timeout
        self._retries = retries or Retries()
        self._concurrency = max(concurrency, 1)
        self._predict_texts = max(batch_texts, 1)
        self._embed_texts = min(self._predict_texts, _EMBED_TEXTS)
        self._line_texts = min(self._predict_texts, _LINES)
        try:
            address = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ClientError(f"{url}: {error}; expected the address of a server, such as {URL}") from None
        if address.scheme not in ("http", "https") or not address.host:
            raise ClientError(f"{url}: expected the address of a server, such as {URL}")
        key = (os.environ.get(KEY, "") if key is None else key).strip()
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise ClientError("the API key holds a character that no key has; expected what telmo keys add printed")
        self._options: dict[str, Any] = {
            "base_url": address,
            "headers": {"Authorization": f"Bearer {key}"} if key else {},
            "transport": transport,
        }
        self._open()

    def _open(self) -> None:
        """Make the client of httpx."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r}, model={self.model!r})"

    def _pursuit(self) -> Pursuit:
        return Pursuit(self._retries, self._timeout)

    def _sole(self, models: Sequence[Model]) -> str:
        names = {model.name for model in models}
        if len(names) != 1:
            raise ClientError(f"which model? expected model=, one of {', '.join(sorted(names)) or 'none, as none is'}")
        self.model = names.pop()
        return self.model

    def _line_parts(self, texts: "Iterable[Text]") -> "Iterator[list[Text]]":
        """The texts of each request of JSON lines."""
        return cut(texts, self._line_texts, _LINE_CHARACTERS)

    def _request(self, call: Call, pursuit: Pursuit) -> dict[str, Any]:
        """The arguments of a try for httpx."""
        left = pursuit.left
        connect = _CONNECT_SECONDS if left is None else min(_CONNECT_SECONDS, left)
        return {
            "method": call.method,
            "url": call.path,
            "params": dict(call.query),
            "content": call.body,
            "headers": call.headers | pursuit.headers(),
            "timeout": httpx.Timeout(left, connect=connect),
        }

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of httpx, as those of the client."""
        try:
            yield
        except (httpx.ConnectTimeout, httpx.PoolTimeout):
            raise NotReached(f"{self.url}: no connection in time") from None
        except httpx.TimeoutException:
            raise DeadlinePassed(f"{self.url}: no answer within {self._timeout:g} s") from None
        except (httpx.DecodingError, httpx.UnsupportedProtocol) as error:
            raise NotUnderstood(f"{self.url}: {error}") from None
        except httpx.TransportError as error:
            raise NotReached(f"{self.url}: {str(error) or type(error).__name__}") from None


def check_texts(texts: Any) -> None:
    """Whether texts are a list of them: a string would be taken for one of letters.

    Raises:
        ClientError: they are one text.
    """
    if isinstance(texts, str):
        raise ClientError("expected a list of texts, found one text")


def given(answers: Iterable[Prediction | Refused], give_errors: bool) -> Iterator[Prediction | Refused]:
    """Answers, and in the place of those that there are not, the errors; or these are raised."""
    for answer in answers:
        if isinstance(answer, Refused) and not give_errors:
            raise answer
        yield answer


def halves(part: list) -> list[list]:
    """Of a request that is too large."""
    middle = len(part) // 2
    return [part[:middle], part[middle:]]
