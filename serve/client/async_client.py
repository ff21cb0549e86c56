"""The client for asyncio."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

import httpx2 as httpx

from models.predictions import Prediction
from serve.client.errors import ClientError, DeadlinePassed, Refused, TooLarge
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


class AsyncClient(Settings):
    """As `Client`, for asyncio; use it in an `async with`."""

    def _open(self) -> None:
        self._http = httpx.AsyncClient(**self._options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def models(self) -> list[Model]:
        """As `Client.models`."""
        return models_in(await self._send(MODELS))

    async def predict(
        self, texts: "Sequence[Text]", *, model: str | None = None, version: str | None = None, logits: bool = False
    ) -> list[Prediction]:
        """As `Client.predict`."""
        asked = {"logits": logits or None, "version": version}
        return await self._ask(model, "predict", texts, asked, self._predict_texts, predictions_in)

    async def embed(
        self,
        texts: "Sequence[Text]",
        *,
        model: str | None = None,
        version: str | None = None,
        layers: str = "average",
        pool: Pool = "none",
    ) -> "list[np.ndarray]":
        """As `Client.embed`."""
        asked = {"layers": layers, "pool": pool, "version": version}
        return await self._ask(model, "embed", texts, asked, self._embed_texts, embeddings_in)

    async def predict_lines(
        self,
        texts: "Iterable[Text]",
        *,
        model: str | None = None,
        version: str | None = None,
        logits: bool = False,
        give_errors: bool = False,
    ) -> AsyncIterator[Prediction | Refused]:
        """As `Client.predict_lines`, with several requests under way."""
        check_texts(texts)
        name, position = model or await self._model(), 0
        parts = self._line_parts(texts)
        under_way: deque[asyncio.Task[tuple[list[Prediction | Refused], ClientError | None]]] = deque()
        try:
            while True:
                for part in islice(parts, self._concurrency - len(under_way)):
                    under_way.append(asyncio.create_task(self._answer_part(name, part, position, logits, version)))
                    position += len(part)
                if not under_way:
                    return
                answers, end = await under_way.popleft()
                for answer in given(answers, give_errors):
                    yield answer
                if end:
                    raise end
        finally:
            await _end(under_way)

    async def _answer_part(
        self, name: str, part: "list[Text]", position: int, logits: bool, version: str | None
    ) -> tuple[list[Prediction | Refused], ClientError | None]:
        """As of `Client`."""
        pursuit = self._pursuit()
        found: list[Prediction | Refused] = []
        while len(found) < len(part):
            before = len(found)
            try:
                body = await self._once(question_lines(name, part[before:], logits, version), pursuit)
                take_lines(body, found, len(part), position)
            except ClientError as error:
                try:
                    await asyncio.sleep(pursuit.wait_after(error, len(found) > before))
                except ClientError as end:
                    return found, end
        return found, None

    async def _model(self) -> str:
        return self.model or self._sole(await self.models())

    async def _ask(
        self,
        model: str | None,
        action: str,
        texts: "Sequence[Text]",
        asked: Mapping[str, Any],
        most: int,
        read: Callable[[bytes, int], list],
    ) -> list:
        check_texts(texts)
        parts = list(cut(texts, most))
        name = (model or await self._model()) if parts else ""
        turns = asyncio.Semaphore(self._concurrency)

        async def answers(part: list) -> list:
            try:
                async with turns:
                    return read(await self._send(question(name, action, part, asked)), len(part))
            except TooLarge:
                if len(part) == 1:
                    raise
            return [answer for half in halves(part) for answer in await answers(half)]

        tasks = [asyncio.create_task(answers(part)) for part in parts]
        try:
            return [answer for found in await asyncio.gather(*tasks) for answer in found]
        finally:
            await _end(tasks)

    async def _send(self, call: Call) -> bytes:
        """The body of the answer, after as many tries as it takes."""
        pursuit = self._pursuit()
        while True:
            try:
                return await self._once(call, pursuit)
            except ClientError as error:
                await asyncio.sleep(pursuit.wait_after(error))

    async def _once(self, call: Call, pursuit: Pursuit) -> bytes:
        try:
            with self._told():
                async with asyncio.timeout(pursuit.left):
                    response = await self._http.request(**self._request(call, pursuit))
        except TimeoutError:
            raise DeadlinePassed(f"{self.url}: no answer within {self._timeout:g} s") from None
        check_answer(response.status_code, response.headers, response.content)
        return response.content


async def _end(tasks: Iterable[asyncio.Task]) -> None:
    """Cancel what is still under way, and leave nothing behind."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
