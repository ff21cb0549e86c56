import asyncio
import dataclasses

import httpx2
import numpy as np
import pytest
from fastapi.testclient import TestClient

from embeddings.tokenizer import Token
from models.predictions import Classification
from serve.answers import Answer, Embedding, ServedInfo
from serve.app import build_app
from serve.client import AsyncClient, Client, Retries
from serve.client import errors as problems
from serve.errors import TooMany
from serve.keys import add_key
from serve.options import ServeOptions
from serve.protection import describe_protection, protect
from serve.refusals import Refusals

INFO = ServedInfo("pets", "3", "ready", "classification", ["cat"], {}, "A cat.", layer_weights=[0.5, 0.5], dim=2)


class Service:
    """Calls every text a cat; refuses as often as `refusals` says first."""

    def __init__(self):
        self.timeouts, self.refusals = [], []

    def models(self):
        return [INFO, dataclasses.replace(INFO, name="secret")]

    def model(self, name, version=None):
        return dataclasses.replace(INFO, name=name)

    async def predict(self, name, texts, *, version=None, logits=False, timeout=None):
        self.timeouts.append(timeout)
        if self.refusals:
            raise self.refusals.pop(0)
        return Answer(name, "3", "classification", [Classification("cat", {"cat": 1.0})] * len(texts), 1.5)

    async def embed(self, name, texts, selection, *, version=None, timeout=None):
        vectors = np.arange(len(texts) * 4, dtype=np.float32).reshape(len(texts), 1, 2, 2) / 3
        return Embedding(name, "3", ["vectors"], [[Token("a", 0, 1)]] * len(texts), list(vectors), 1.5)


def build(service, **options):
    asked = ServeOptions(**options)
    guarded, middlewares = protect(service, asked, Refusals())
    app = build_app(guarded, asked, middlewares=middlewares)
    describe_protection(app, asked)
    return app


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def serving(service):
    """Gives a client of an application with these options."""
    return lambda **options: TestClient(build(service, **options), raise_server_exceptions=False)


@pytest.fixture
def keys(tmp_path):
    return tmp_path / "keys.json"


PREDICT = "/v1/models/pets:predict"
TEXTS = {"texts": ["A cat."]}


def test_without_a_key_file_everybody_may_ask(serving):
    client = serving()
    assert client.post(PREDICT, json=TEXTS).status_code == 200
    assert len(client.get("/v1/models").json()["models"]) == 2
    assert "security" not in client.get("/openapi.json").json()


def test_every_route_asks_for_a_key(serving, keys):
    token = add_key(keys, "a", models=["pets"])
    client = serving(keys=keys)
    paths = client.get("/openapi.json").json()["paths"]
    for path, operations in paths.items():
        for method in operations:
            answer = client.request(method, path.format(name="pets"), json=TEXTS)
            assert answer.status_code == 401 and answer.headers["WWW-Authenticate"] == "Bearer"
            assert "expected a valid API key" in answer.json()["detail"]
    client.headers["X-API-Key"] = token
    assert client.post(PREDICT, json=TEXTS).status_code == 200
    assert [model["name"] for model in client.get("/v1/models").json()["models"]] == ["pets"]
    for path in ("/v1/models/secret:predict", "/v1/models/secret:embed"):
        assert client.post(path, json=TEXTS).status_code == 403
    assert client.get("/v1/models/secret").status_code == 403


def test_the_api_document_says_that_keys_are_needed(serving, keys):
    add_key(keys, "a")
    document = serving(keys=keys).get("/openapi.json").json()
    assert document["security"] == [{"bearer": []}, {"header": []}]
    assert {"401", "403", "429"} <= set(document["paths"]["/v1/models/{name}:predict"]["post"]["responses"])


def test_the_body_of_a_caller_without_a_key_is_not_read(service, keys):
    add_key(keys, "a")
    app, read, sent = build(service, keys=keys), [], []

    async def receive():
        read.append(True)
        return {"type": "http.request", "body": b"", "more_body": True}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": PREDICT, "headers": [], "query_string": b""}
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 401 and not read


def test_refusals_have_the_headers_of_every_answer(serving, keys):
    add_key(keys, "a")
    headers = serving(keys=keys, allowed_hosts=("testserver",)).get("/v1/models").headers
    assert headers["X-Content-Type-Options"] == "nosniff" and "frame-ancestors" in headers["Content-Security-Policy"]


# === Other sites ===

ORIGIN = {"Origin": "https://example.org"}


def test_pages_of_other_sites_may_not_read_answers(serving):
    assert "Access-Control-Allow-Origin" not in serving().post(PREDICT, json=TEXTS, headers=ORIGIN).headers


def test_pages_of_a_site_that_is_named_may(serving, keys):
    token = add_key(keys, "a")
    client = serving(keys=keys, cors_origins=("https://example.org",))
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    before = client.options(PREDICT, headers=ORIGIN | asked)
    assert before.status_code == 200 and before.headers["Access-Control-Allow-Origin"] == "https://example.org"
    assert client.options(PREDICT, headers={"Origin": "https://else.org"} | asked).status_code == 400
    answer = client.post(PREDICT, json=TEXTS, headers=ORIGIN | {"Authorization": f"Bearer {token}"})
    assert answer.headers["Access-Control-Allow-Origin"] == "https://example.org"
    assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    # A page may read why it was refused, too.
    refused = client.post(PREDICT, json=TEXTS, headers=ORIGIN)
    assert refused.status_code == 401 and "Access-Control-Allow-Origin" in refused.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("models.example.org", 200),
        ("MODELS.example.org:8000", 200),
        ("[::1]:8000", 200),
        ("evil.org", 400),
        ("example.org", 400),
        ("models.example.org.evil.org", 400),
        ("127.0.0.1", 400),
        ("", 400),
    ],
)
def test_a_server_answers_for_its_own_names_only(serving, host, status):
    client = serving(allowed_hosts=("*.example.org", "[::1]"))
    assert client.get("/v1/models", headers={"Host": host}).status_code == status


def test_a_probe_of_health_may_name_an_address(serving):
    client = serving(allowed_hosts=("example.org",))
    # Without the other protocols there is no such route.
    assert client.get("/v2/health/live", headers={"Host": "10.0.0.7:8000"}).status_code in (200, 404)


# === The client and the application ===


def test_the_python_client_speaks_with_the_application(service, keys):
    key = add_key(keys, "a", models=["pets"], requests_per_minute=1000)
    app = build(service, keys=keys)

    async def scenario():
        transport = httpx2.ASGITransport(app)
        async with AsyncClient("http://server", key=key, transport=transport, batch_texts=2) as client:
            (model,) = await client.models()
            assert dataclasses.asdict(model) == dataclasses.asdict(INFO)
            assert await client.predict(["a", ["b", "c"], "d"]) == [Classification("cat", {"cat": 1.0})] * 3
            first, second = await client.embed(["a", "b"], pool="mean", layers="mix")
            assert (np.stack([first, second]).ravel() == np.arange(8, dtype=np.float32) / 3).all()
            assert all(0 < timeout <= 60 for timeout in service.timeouts)
            service.refusals = [TooMany("full", 0)]
            assert len(await client.predict(["a"])) == 1
            for model, kind in (("secret", problems.NotAllowed), ("pets", problems.NotUsable)):
                with pytest.raises(kind):
                    await client.predict(["a" if model == "secret" else ""], model=model)
        async with AsyncClient("http://server", key="telmo_wrong", transport=transport) as client:
            with pytest.raises(problems.NotAuthenticated, match="expected a valid API key"):
                await client.models()

    asyncio.run(scenario())


def test_the_python_client_waits_as_a_limit_asks(service, keys, monkeypatch):
    key, waited = add_key(keys, "a", words_per_minute=60), []
    client = TestClient(build(service, keys=keys))

    class Transport(httpx2.BaseTransport):
        def handle_request(self, request):
            body = request.read()
            answer = client.request(request.method, request.url.path, headers=request.headers, content=body)
            return httpx2.Response(answer.status_code, headers=answer.headers, content=answer.content)

    monkeypatch.setattr("serve.client.sync_client.time.sleep", waited.append)
    with Client("http://testserver", key=key, model="pets", transport=Transport(), retries=Retries(2)) as asking:
        asking.predict(["a " * 50])
        with pytest.raises(problems.TooMany, match="60 words a minute"):
            asking.predict(["a " * 30])
        assert len(waited) == 1 and 20 <= waited[0] <= 21
        with pytest.raises(problems.TooLarge, match="61 words in one request"):
            asking.predict(["a " * 61])
