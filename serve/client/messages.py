"""What the Python client sends and is sent, whichever way it travels."""

import json
from collections.abc import Iterable, Iterator, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from models.predictions import Prediction, from_json
from serve.client.errors import (
    OF_STATUS,
    ClientError,
    DeadlinePassed,
    NotReached,
    NotUnderstood,
    NotUsable,
    Refused,
    ServerFailed,
)
from serve.client.retries import retry_after

# They load TensorFlow and NumPy; to ask for a prediction takes neither.
if TYPE_CHECKING:
    import numpy as np

    from models.predictor import Text

OF_A_TEXT = (400, 413, 422, 500)
"""What a line says where its text has no answer and others may have; all else ends the answer."""

JSON, JSON_LINES = "application/json", "application/x-ndjson"


@dataclass(frozen=True)
class Model:
    """A version of a model that the server has; the fields are those of `serve.answers.ServedInfo`."""

    name: str
    version: str | None
    state: str
    task: str
    labels: list[str] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    example: str | list[str] = ""
    pairs: bool = False
    tokenizer: str = "spacy"
    layer_weights: list[float] | None = None
    layers: int | None = None
    dim: int | None = None


class Call(NamedTuple):
    """A request but for its deadline."""

    method: str
    path: str
    body: bytes | None = None
    content_type: str = JSON
    query: Mapping[str, str] = {}

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.body is None else {"Content-Type": self.content_type}


MODELS = Call("GET", "v1/models")


def question(model: str, action: str, texts: "Sequence[Text]", asked: Mapping[str, Any]) -> Call:
    """A question of some texts; what is None is left to the server."""
    body = {"texts": [_plain(text) for text in texts]} | {
        key: value for key, value in asked.items() if value is not None
    }
    return Call("POST", f"v1/models/{quote(model, safe='')}:{action}", json.dumps(body).encode())


def question_lines(model: str, texts: "Sequence[Text]", logits: bool, version: str | None) -> Call:
    """A question of a text a line."""
    body = "".join(json.dumps(_plain(text)) + "\n" for text in texts).encode()
    query = ({"logits": "true"} if logits else {}) | ({"version": version} if version is not None else {})
    return Call("POST", f"v1/models/{quote(model, safe='')}:predict", body, JSON_LINES, query)


def cut(texts: "Iterable[Text]", most: int, most_characters: int = 200_000) -> "Iterator[list[Text]]":
    """Texts in lists of at most so many texts and characters, or of one text that is longer; read no further than the
    list that is given."""
    part: list[Text] = []
    size = 0
    for text in texts:
        length = _length(text)
        if part and (len(part) == most or size + length > most_characters):
            yield part
            part, size = [], 0
        part.append(text)
        size += length
    if part:
        yield part


def check_answer(status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Whether an answer is one.

    Raises:
        Refused: the server says why not; or DeadlinePassed.
        NotUnderstood: it is a redirection.
    """
    if 200 <= status < 300:
        return
    if status < 400:
        raise NotUnderstood(f"status {status}; expected the address of a Telmo server, without redirection")
    try:
        told = json.loads(body)
        message = str(told["detail"])
    except (ValueError, TypeError, KeyError, RecursionError):
        told, message = {}, f"status {status}"
    request_id = headers.get("x-request-id") or told.get("request_id")
    raise _refusal(message, status, request_id, retry_after(headers))


def _refusal(message: str, status: int, request_id: str | None = None, wait: float | None = None) -> ClientError:
    if status == 504:
        return DeadlinePassed(message)
    kind = OF_STATUS.get(status, ServerFailed if status >= 500 else Refused)
    return kind(message, status, request_id, wait)


def predictions_in(body: bytes, count: int) -> list[Prediction]:
    """The predictions of an answer for so many texts.

    Raises:
        NotUnderstood: it holds something else.
    """
    try:
        found = [from_json(fields) for fields in json.loads(body)["predictions"]]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _not_understood(error) from None
    return _counted(found, count)


def embeddings_in(body: bytes, count: int) -> "list[np.ndarray]":
    """The vectors of an answer for so many texts.

    Raises:
        NotUnderstood: it holds something else.
    """
    import numpy as np

    try:
        found = [np.array(one["vectors"], np.float32) for one in json.loads(body)["embeddings"]]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _not_understood(error) from None
    return _counted(found, count)


def models_in(body: bytes) -> list[Model]:
    """The models of an answer; fields of a later version are left out.

    Raises:
        NotUnderstood: it holds something else.
    """
    known = {one.name for one in fields(Model)}
    try:
        return [
            Model(**{name: value for name, value in one.items() if name in known}) for one in json.loads(body)["models"]
        ]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _not_understood(error) from None


def take_lines(body: bytes, found: MutableSequence[Prediction | Refused], count: int, position: int) -> None:
    """Add the answers of JSON lines to those that are there; of a text that has none, why.

    Args:
        body: what has been answered for the texts that had no answer yet.
        found: of the first texts of a request.
        count: of its texts.
        position: of its first text among all, for messages.

    Raises:
        NotReached: these are not all.
        ClientError: there will be no more, for the reason that the server gives; it may pass (429, 503).
        NotUnderstood: it holds something else.
    """
    # The last line may be cut off.
    for number, line in enumerate(body.split(b"\n")[:-1], start=1):
        if len(found) == count:
            break
        found.append(_line_in(line, number, position + len(found)))
    if len(found) < count:
        raise NotReached("the answer ended early")


def _line_in(line: bytes, number: int, position: int) -> Prediction | Refused:
    try:
        told = json.loads(line)
        if told["line"] != number:
            raise NotUnderstood(f"found an answer for line {told['line']!r}; expected one for line {number}")
        if "error" not in told:
            return from_json(told["prediction"])
        status, wait = int(told.get("status", 422)), told.get("retry_after")
        if status == 500:
            return ServerFailed(f"text {position}: {told['error']}", status)
        if status in OF_A_TEXT:
            return NotUsable(f"text {position}: {told['error']}", status)
        error = _refusal(str(told["error"]), status, wait=None if wait is None else float(wait))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as wrong:
        raise _not_understood(wrong) from None
    raise error


def _plain(text: Any) -> Any:
    """A text as JSON can hold it: of words in an array, or in a tuple, a list."""
    return text if isinstance(text, str) else [_plain(part) for part in text]


def _length(text: Any) -> int:
    return len(text) if isinstance(text, str) else sum(map(_length, text))


def _counted(found: list, count: int) -> list:
    if len(found) != count:
        raise NotUnderstood(f"{len(found)} answers; expected {count}, one for each text")
    return found


def _not_understood(error: Exception) -> NotUnderstood:
    return NotUnderstood(f"an answer that no Telmo server gives ({type(error).__name__}: {str(error)[:100]})")
