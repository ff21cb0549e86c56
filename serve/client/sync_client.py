"""The client that waits."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import httpx2 as httpx

from models.predictions import Prediction
from serve.client.errors import ClientError, Refused, TooLarge
from serve.client.messages import (
    MODELS,
    Call,
    Model,
    check_answer,
    cut,
    embeddings_in,
    models_in,
    predictions_in,
    question,
    question_lines,
    take_lines,
)
from serve.client.retries import Pursuit
from serve.client.settings import Pool, Settings, check_texts, given, halves

if TYPE_CHECKING:
    import numpy as np

    from models.predictor import Text


class Client(Settings):
    """Asks a server and waits for the answers. Threads may share it; close it, or use it in a `with`."""

    def _open(self) -> None:
        self._http = httpx.Client(**self._options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def models(self) -> list[Model]:
        """The models that the key may ask.

        Raises:
            ClientError: there is no answer.
        """
        return models_in(self._send(MODELS))

    def predict(
        self, texts: "Sequence[Text]", *, model: str | None = None, version: str | None = None, logits: bool = False
    ) -> list[Prediction]:
        """Answer for each text, in order.

        Args:
            texts: raw texts, or lists of words; for a model of pairs two of these each.
            model, version: that shall answer; by default the client's, and the version that answers for its name.
            logits: whether the answers hold the score of every label.

        Raises:
            ClientError: there is no answer.
        """
        asked = {"logits": logits or None, "version": version}
        return self._ask(model, "predict", texts, asked, self._predict_texts, predictions_in)

    def embed(
        self,
        texts: "Sequence[Text]",
        *,
        model: str | None = None,
        version: str | None = None,
        layers: str = "average",
        pool: Pool = "none",
    ) -> "list[np.ndarray]":
        """The vectors of each text, `[kept layers, rows, dim]`, float32, in order.

        Args:
            texts, model, version: as for `predict`.
            layers: `all`, numbers such as `0,2`, `average`, `mix` with the weights that the model has learned, or
                `mix:0.2,0.5,0.3`.
            pool: `none` for a row a word; `mean` or `max` for one a text.

        Raises:
            ClientError: there is no answer.
        """
        asked = {"layers": layers, "pool": pool, "version": version}
        return self._ask(model, "embed", texts, asked, self._embed_texts, embeddings_in)

    def predict_lines(
        self,
        texts: "Iterable[Text]",
        *,
        model: str | None = None,
        version: str | None = None,
        logits: bool = False,
        give_errors: bool = False,
    ) -> Iterator[Prediction | Refused]:
        """Answer for each text of an iterable of any length, in order, as it is read. A text that has no answer takes
        none from the others.

        Args:
            texts, model, version, logits: as for `predict`.
            give_errors: whether an error takes the place of the answer of its text; by default it is raised.

        Raises:
            NotUsable, ServerFailed: a text has no answer; the message names its position, from 0.
            ClientError: there are no more answers.
        """
        check_texts(texts)
        name, position = model or self._model(), 0
        for part in self._line_parts(texts):
            answers, end = self._answer_part(name, part, position, logits, version)
            # Here whoever reads takes the time that it likes.
            yield from given(answers, give_errors)
            if end:
                raise end
            position += len(part)

    def _answer_part(
        self, name: str, part: "list[Text]", position: int, logits: bool, version: str | None
    ) -> tuple[list[Prediction | Refused], ClientError | None]:
        """The answers for texts, and why there are no more if they are not all."""
        pursuit = self._pursuit()
        found: list[Prediction | Refused] = []
        while len(found) < len(part):
            before = len(found)
            try:
                body = self._once(question_lines(name, part[before:], logits, version), pursuit)
                take_lines(body, found, len(part), position)
            except ClientError as error:
                try:
                    time.sleep(pursuit.wait_after(error, len(found) > before))
                except ClientError as end:
                    return found, end
        return found, None

    def _model(self) -> str:
        return self.model or self._sole(self.models())

    def _ask(
        self,
        model: str | None,
        action: str,
        texts: "Sequence[Text]",
        asked: Mapping[str, Any],
        most: int,
        read: Callable[[bytes, int], list],
    ) -> list:
        check_texts(texts)
        parts = deque(cut(texts, most))
        name = (model or self._model()) if parts else ""
        found: list = []
        while parts:
            part = parts.popleft()
            try:
                found += read(self._send(question(name, action, part, asked)), len(part))
            except TooLarge:
                if len(part) == 1:
                    raise
                parts.extendleft(reversed(halves(part)))
        return found

    def _send(self, call: Call) -> bytes:
        """The body of the answer, after as many tries as it takes."""
        pursuit = self._pursuit()
        while True:
            try:
                return self._once(call, pursuit)
            except ClientError as error:
                time.sleep(pursuit.wait_after(error))

    def _once(self, call: Call, pursuit: Pursuit) -> bytes:
        with self._told(), self._http.stream(**self._request(call, pursuit)) as response:
            body = b"".join(pursuit.within(response.iter_bytes()))
        check_answer(response.status_code, response.headers, body)
        return body
