import json

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.responses import JSONResponse

from embeddings.selection import Selection
from serve.access import OPEN_PATHS, Access, Failures, describe_keys, tokens_of
from serve.answers import Answer, ServedInfo
from serve.errors import NotFound, RequestError, TooMany
from serve.guard import Guarded
from serve.key_ring import KeyRing
from serve.keys import add_key, revoke_key
from serve.limits import Limits


class Fake:
    """A service that answers anything, or refuses with `refusal`."""

    refusal: Exception | None = None
    tokenizer = "spacy"

    def models(self):
        names = ("docs", "docs-2", "other")
        facts = (None, "ready", "classification", [], {}, "a")
        return [ServedInfo(name, *facts, tokenizer=self.tokenizer) for name in names]

    def model(self, name, version=None):
        names = [model.name for model in self.models()]
        if name not in names:
            raise NotFound(f"no model '{name}'; expected one of {', '.join(names)}")
        if version not in (None, "1"):
            raise NotFound(f"no version {version} of {name}; expected 1")
        return self.models()[names.index(name)]

    async def predict(self, name, texts, *, version=None, logits=False, timeout=None):
        if self.refusal:
            raise self.refusal
        self.model(name, version)
        return Answer(name, version, "classification", [], 1.0)

    async def embed(self, name, texts, selection, *, version=None, timeout=None):
        return Answer(name, version, "classification", [], 1.0)


def refuse(scope, error):
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
    return JSONResponse({"detail": str(error)}, error.status, headers)


def build(service, keys):
    """Routes as those of the server, each of which names its model in another place."""
    limits = Limits()
    guarded = Guarded(service, limits)
    app = FastAPI()

    @app.exception_handler(RequestError)
    def refused(request, error):
        return refuse(request.scope, error)

    @app.get("/v1/models")
    async def models():
        return [model.name for model in guarded.models()]

    @app.get("/v2/health/ready")
    async def ready():
        return {"models": len(guarded.models())}

    @app.get("/v2/models/{name}")
    async def model(name: str, version: str | None = None):
        return guarded.model(name, version).name

    @app.post("/v1/models/{name}:predict")
    async def predict(name: str, texts: list[str]):
        return (await guarded.predict(name, texts)).model

    # Not async: runs in a thread, which sees the caller, too.
    @app.get("/v2/models/{name}/ready")
    def model_ready(name: str):
        return guarded.model(name).name

    @app.post("/v1/models/{name}:embed")
    async def embed(name: str, texts: list[str]):
        return (await guarded.embed(name, texts, Selection())).model

    @app.post("/invocations")
    async def invocations(body: dict):
        return (await guarded.predict(body["model"], body["texts"])).model

    @app.get("/metrics")
    async def metrics():
        return "all"

    @app.get("/ping")
    async def ping():
        return (await guarded.predict("docs", ["a"])).model

    app.add_middleware(Access, ring=KeyRing(keys), limits=limits, refuse=refuse)
    return app


@pytest.fixture
def keys(tmp_path):
    return tmp_path / "keys.json"


@pytest.fixture
def service():
    return Fake()


@pytest.fixture
def asking(keys, service):
    """Gives a client that sends the key of a new caller with these rights."""

    def make(**fields):
        token = add_key(keys, f"caller-{keys.exists() and len(json.loads(keys.read_text())['keys'])}", **fields)
        headers = {"Authorization": f"Bearer {token}"}
        return TestClient(build(service, keys), headers=headers, raise_server_exceptions=False)

    return make


PREDICT = "/v1/models/docs:predict"


def test_a_key_is_taken_from_either_field(asking):
    client = asking()
    token = client.headers.pop("Authorization").split()[1]
    for headers in (
        {"Authorization": f"Bearer {token}"},
        {"Authorization": f"bearer   {token} "},
        {"X-API-Key": token},
        # What a proxy asks for is none of ours.
        {"Authorization": "Basic YTpi", "X-API-Key": token},
        {"Authorization": f"Bearer {token}", "X-API-Key": token},
    ):
        assert client.post(PREDICT, json=["a"], headers=headers).json() == "docs"


def test_without_a_valid_key_there_is_no_answer(asking):
    client = asking()
    valid = client.headers.pop("Authorization").split()[1]
    for headers in (
        {},
        {"Authorization": "Bearer"},
        {"Authorization": valid},
        {"Authorization": f"Basic {valid}"},
        {"Authorization": f"Bearer {valid}x"},
        {"Authorization": f"Bearer {valid[:-1]}"},
        {"Authorization": f"Bearer {valid.upper()}"},
        {"Authorization": f"Bearer {valid}, Bearer {valid}"},
        {"X-API-Key": ""},
        {"X-API-Key": "telmo_é"},
        {"Cookie": f"key={valid}"},
    ):
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        answer = client.post(PREDICT, json=["a"], headers=encoded)
        assert answer.status_code == 401 and valid not in answer.text
    assert client.post(f"{PREDICT}?key={valid}&api_key={valid}", json=["a"]).status_code == 401


def test_two_different_keys_are_refused_however_they_come(asking):
    client = asking()
    valid = client.headers.pop("Authorization").split()[1]
    other = "telmo_" + "A" * 43
    for headers in (
        [("X-API-Key", valid), ("X-API-Key", other)],
        [("X-API-Key", other), ("X-API-Key", valid)],
        [("Authorization", f"Bearer {valid}"), ("authorization", f"Bearer {other}")],
        [("Authorization", f"Bearer {other}"), ("X-API-Key", valid)],
    ):
        answer = client.post(PREDICT, json=["a"], headers=headers)
        assert answer.status_code == 401 and "two different" in answer.json()["detail"]


def test_a_key_sees_and_asks_its_models_only(asking):
    client = asking(models=["docs*"])
    assert client.get("/v1/models").json() == ["docs", "docs-2"]
    assert client.get("/v2/models/docs-2").json() == client.get("/v2/models/docs-2/ready").json() == "docs-2"
    for answer in (
        client.get("/v2/models/other"),
        client.get("/v2/models/other/ready"),
        client.post("/v1/models/other:predict", json=["a"]),
        client.post("/invocations", json={"model": "other", "texts": ["a"]}),
    ):
        assert answer.status_code == 403 and "may not ask the model 'other'" in answer.json()["detail"]


def test_a_model_that_does_not_exist_looks_like_one_that_may_not_be_asked(asking):
    client = asking(models=["docs"])
    existing, none = (client.get(f"/v2/models/{name}") for name in ("other", "none"))
    assert existing.status_code == none.status_code == 403
    assert existing.text.replace("other", "none") == none.text


def test_a_key_learns_of_no_other_models(asking):
    client = asking(models=["docs*"])
    expected = "no model 'docs-3'; expected one of docs, docs-2"
    for answer in (client.get("/v2/models/docs-3"), client.post("/v1/models/docs-3:predict", json=["a"])):
        assert (answer.status_code, answer.json()["detail"]) == (404, expected)
    answer = client.get("/v2/models/docs", params={"version": "9"})
    assert (answer.status_code, answer.json()["detail"]) == (404, "no version 9 of docs; expected 1")


TRICKS = [
    "//v1/models/other:predict",
    "/v1//models/other:predict",
    "/v1/models/docs/../other:predict",
    "/v1/models/docs/%2e%2e/other:predict",
    "/v1/models/docs%2F..%2Fother:predict",
    "/v1/models/other%3Apredict",
    "/v1/models/%6fther:predict",
    "/v1/models/other;docs:predict",
    "/v1/models/OTHER:predict",
    "/V1/models/other:predict",
    "/v1/models/other:predict/",
    "/v1/models/other:predict?model=docs",
    "/v1/models/other%00:predict",
    "/v1/models/docs:predict:predict",
    "/ping/../v1/models/other:predict",
    "/page/../v1/models/other:predict",
    "/page/%2e%2e/v1/models/other:predict",
    "/static-offline-docs/..%2fv1/models/other:predict",
]


@pytest.mark.parametrize("path", TRICKS)
@pytest.mark.parametrize("with_key", [True, False])
def test_no_way_of_writing_a_path_gets_past_a_scope(asking, path, with_key):
    client = asking(models=["docs"])
    if not with_key:
        del client.headers["Authorization"]
    answer = client.post("/", json=["a"])
    # By hand: a client would tidy the path up.
    request = client.build_request("POST", "http://testserver/", json=["a"])
    request.url = request.url.copy_with(raw_path=path.encode())
    answer = client.send(request, follow_redirects=True)
    assert 400 <= answer.status_code < 500, answer.text


def test_a_key_does_what_its_actions_say(asking):
    client = asking(actions=["embed"])
    assert client.post("/v1/models/docs:embed", json=["a"]).status_code == 200
    refused = client.post(PREDICT, json=["a"])
    assert refused.status_code == 403 and "may not predict; it is for embed" in refused.json()["detail"]
    # The pattern of a route takes a last line break, too.
    assert {client.get(path).status_code for path in ("/metrics", "/metrics%0A")} == {403}
    assert asking(actions=["metrics"]).get("/metrics").json() == "all"


def test_health_needs_no_key_and_tells_of_all_models(asking):
    client = asking(models=["docs"])
    del client.headers["Authorization"]
    assert client.get("/v2/health/ready").json() == {"models": 3}


def test_an_open_route_answers_no_question(asking):
    client = asking()
    # Even one that would ask a model.
    assert client.get("/ping").status_code == 401


def test_the_metrics_and_unknown_paths_need_a_key(asking):
    client = asking()
    del client.headers["Authorization"]
    assert {client.get(path).status_code for path in ("/metrics", "/v1/models", "/none", "/docs/", "/Ping")} == {401}


def test_a_service_behind_no_access_check_answers_nobody(service, asking):
    guarded = Guarded(service, Limits())
    for ask in (guarded.models, lambda: guarded.model("docs")):
        with pytest.raises(RequestError, match="needs an API key"):
            ask()


def test_requests_past_the_limit_are_sent_away(asking):
    client = asking(requests_per_minute=2)
    answers = [client.get("/v1/models") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 30
    assert [answer.headers["RateLimit"].split(";")[1] for answer in answers] == ["r=1", "r=0", "r=0"]
    assert answers[0].headers["RateLimit-Policy"] == '"requests";q=2;w=60'


def test_words_past_the_limit_are_sent_away_by_every_route(asking):
    client = asking(words_per_minute=10)
    assert client.post(PREDICT, json=["one two three", "four"]).headers["RateLimit"].startswith('"words";r=6;')
    body = {"model": "docs", "texts": ["a b c d e f g"]}
    assert client.post("/invocations", json=body).status_code == 429
    assert client.post(PREDICT, json=["a " * 11]).status_code == 413


@pytest.mark.parametrize(("tokenizer", "words"), [("whitespace", 1), ("spacy", 4), ("characters", 9)])
def test_words_are_those_of_the_model(asking, service, tokenizer, words):
    service.tokenizer = tokenizer
    answer = asking(words_per_minute=10).post(PREDICT, json=["state-of."])
    assert answer.headers["RateLimit"].startswith(f'"words";r={10 - words};')


def test_words_that_were_not_worked_on_do_not_count(asking, service):
    client = asking(words_per_minute=10)
    service.refusal = TooMany("full", 1)
    assert {client.post(PREDICT, json=["a b c d e f"]).status_code for _ in range(5)} == {429}
    service.refusal = None
    assert client.post(PREDICT, json=["a b c d e f"]).status_code == 200


def test_one_key_does_not_use_up_what_is_another_ones(asking):
    first, second = asking(requests_per_minute=1), asking(requests_per_minute=1)
    assert [first.get("/v1/models").status_code for _ in range(2)] == [200, 429]
    assert second.get("/v1/models").status_code == 200


def test_a_revoked_key_is_refused_without_a_restart(asking, keys, monkeypatch):
    monkeypatch.setattr("serve.key_ring._CHECK_SECONDS", 0)
    client = asking()
    assert client.get("/v1/models").status_code == 200
    revoke_key(keys, "caller-False")
    assert client.get("/v1/models").status_code == 401


def test_no_key_reaches_the_log_and_attempts_do_not_fill_it(asking, caplog):
    client = asking()
    valid = client.headers.pop("Authorization").split()[1]
    guessed = "telmo_" + "B" * 43
    answers = [client.get("/v1/models", headers={"X-API-Key": guessed}) for _ in range(40)]
    assert [answer.status_code for answer in answers] == [401] * 30 + [429] * 10
    assert "Retry-After" in answers[-1].headers
    assert len([record for record in caplog.records if record.name == "telmo.serve"]) == 30
    assert guessed not in caplog.text and valid not in caplog.text
    # The address may be that of a proxy with many behind it.
    assert client.get("/v1/models", headers={"X-API-Key": valid}).status_code == 200


def test_addresses_that_fail_take_a_bounded_place():
    failures = Failures(per_minute=1, addresses=3)
    assert [failures.count(str(k % 5)) for k in range(50)] == [0] * 50
    assert len(failures._buckets) == 3


def test_the_caller_is_known_to_those_who_log(asking, keys):
    token = asking().headers["Authorization"]
    seen = {}

    async def app(scope, receive, send):
        seen.update(scope["state"])
        await JSONResponse({})(scope, receive, send)

    client = TestClient(Access(app, KeyRing(keys), Limits(), refuse), headers={"Authorization": token})
    client.get("/v1/models")
    assert seen == {"caller": "caller-False"}


def test_an_application_behind_a_prefix_reads_paths_as_its_router_does(asking, service, keys):
    token = asking(models=["docs"]).headers["Authorization"]
    client = TestClient(build(service, keys), root_path="/telmo", raise_server_exceptions=False)
    assert client.get("/telmo/v2/health/ready").status_code == 200
    assert client.get("/telmo/v1/models").status_code == 401
    assert client.get("/telmo/v1/models", headers={"Authorization": token}).json() == ["docs"]


def test_a_field_that_is_no_text_is_no_key():
    assert tokens_of({"headers": [(b"authorization", b"Bearer \xff\x00")]}) == {"ÿ\x00"}


def test_the_api_document_says_where_a_key_is_needed():
    app = FastAPI()
    app.get("/ping")(lambda: None)
    app.get("/v1/models")(lambda: None)
    schema = describe_keys(app.openapi())
    assert schema["paths"]["/ping"]["get"]["security"] == []
    assert schema["security"] == [{"bearer": []}, {"header": []}]
    assert "security" not in schema["paths"]["/v1/models"]["get"]
    assert set(schema["components"]["securitySchemes"]) == {"bearer", "header"}
    assert "/v1/models" not in OPEN_PATHS
