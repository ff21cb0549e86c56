import asyncio
import json

import httpx2
import pytest

from serve.client import AsyncClient, Client, Retries
from serve.client import retries as retrying


class FakeServer:
    """Answers as a server does, with the length of a text for its label; `failures` come before any answer."""

    def __init__(self):
        self.requests = []
        self.failures = []
        self.models = ["docs"]
        self.most_texts = 1000
        self.cut_lines = []
        self.line_errors = {}
        self.pieces = False

    def __call__(self, request):
        self.requests.append(request)
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, Exception):
                raise failure
            # A new one each time: one that was read cannot be sent again.
            return httpx2.Response(failure.status_code, headers=failure.headers, content=failure.content)
        if request.url.path.endswith("/v1/models"):
            fields = {"version": "3", "state": "ready", "task": "classification", "labels": ["a"], "new": 1}
            return httpx2.Response(200, json={"models": [{"name": name} | fields for name in self.models]})
        if request.headers["Content-Type"] == "application/x-ndjson":
            return self._lines(request)
        texts = json.loads(request.content)["texts"]
        if len(texts) > self.most_texts:
            return httpx2.Response(413, json={"detail": "too many texts"})
        if request.url.path.endswith(":embed"):
            return httpx2.Response(200, json={"embeddings": [{"vectors": [[[len(text), 0.5]]]} for text in texts]})
        return httpx2.Response(200, json={"version": "3", "predictions": [self._predict(text) for text in texts]})

    def _predict(self, text):
        return {"label": str(len(text)), "probabilities": {str(len(text)): 1.0}}

    def _lines(self, request):
        answers = []
        for number, line in enumerate(request.content.decode().splitlines(), start=1):
            text = json.loads(line)
            error = self.line_errors.pop(text, None) if text else {"status": 422, "error": "text has no words"}
            answer = error or {"prediction": self._predict(text)}
            answers.append(json.dumps({"line": number, "version": "3"} | answer) + "\n")
            if error and error["status"] in (401, 429, 503):
                break
        if self.cut_lines:
            answers = answers[: self.cut_lines.pop(0)]
        # A piece a line.
        return httpx2.Response(
            200, content=(answer.encode() for answer in answers) if self.pieces else "".join(answers)
        )

    @property
    def bodies(self):
        return [json.loads(request.content) for request in self.requests if request.method == "POST"]


@pytest.fixture
def server():
    return FakeServer()


@pytest.fixture
def waits(monkeypatch):
    """The seconds that were waited, without waiting; the clock goes on by them."""
    waited = []

    async def wait(seconds):
        waited.append(seconds)

    monkeypatch.setattr("serve.client.sync_client.time.sleep", waited.append)
    monkeypatch.setattr("serve.client.async_client.asyncio.sleep", wait)
    monkeypatch.setattr(retrying.random, "uniform", lambda least, most: most)
    return waited


@pytest.fixture(params=["sync", "async"])
def ask(request, server, waits, monkeypatch):
    """Calls a method of a client, of either kind, of the fake server; an iterator is read to its end."""
    monkeypatch.delenv("TELMO_API_KEY", raising=False)

    def ask_sync(method, *args, settings, **options):
        with Client(**settings) as client:
            answer = getattr(client, method)(*args, **options)
            return list(answer) if method == "predict_lines" else answer

    async def ask_async(method, *args, settings, **options):
        async with AsyncClient(**settings) as client:
            answer = getattr(client, method)(*args, **options)
            return [one async for one in answer] if method == "predict_lines" else await answer

    def call(method, *args, settings=None, **options):
        transport = httpx2.MockTransport(server)
        settings = {"transport": transport, "url": "http://server", "retries": Retries(4)} | (settings or {})
        if request.param == "sync":
            return ask_sync(method, *args, settings=settings, **options)
        return asyncio.run(ask_async(method, *args, settings=settings, **options))

    return call
