import json

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from starlette.middleware import Middleware

from embeddings.errors import InputError
from models.predictions import Classification
from serve.answers import Answer, ServedInfo
from serve.app import build_app
from serve.errors import Failed, NotAuthenticated, NotFound, NotReady, TooLate, TooMany
from serve.options import ServeOptions
from serve.schemas import PredictRequest

INFO = ServedInfo("pets", "3", "ready", "classification", ["cat", "dog"], {"accuracy": 0.5}, "A cat.")


class Service:
    """Calls every text a cat, and notes what it is asked; raises `error` if it has one."""

    def __init__(self):
        self.asked, self.error = [], None

    def models(self):
        return [INFO]

    def model(self, name, version=None):
        if name != "pets":
            raise NotFound(f"no model '{name}'; expected one of pets")
        return INFO

    async def predict(self, name, texts, *, version=None, logits=False, timeout=None):
        self.model(name)
        self.asked.append((texts, version, logits, timeout))
        if self.error:
            raise self.error
        return Answer(
            name, "3", "classification", [Classification("cat", {"cat": 0.75, "dog": 0.25})] * len(texts), 1.5
        )


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def client(service):
    return TestClient(build_app(service, ServeOptions(max_body=5000)), raise_server_exceptions=False)


def ask(client, body, model="pets", **more):
    return client.post(f"/v1/models/{model}:predict", json=body, **more)


def told(answer):
    """The status of a refusal and its body without the request's id, which is in the header, too."""
    body = answer.json()
    assert body.pop("request_id") == answer.headers["X-Request-ID"]
    return answer.status_code, body


def test_a_text_is_answered_by_a_version(client):
    answer = ask(client, {"texts": ["A cat.", ["a", "dog"], ["one text", ["and", "another"]]]})
    prediction = {"label": "cat", "probabilities": {"cat": 0.75, "dog": 0.25}}
    expected = {"model": "pets", "version": "3", "task": "classification", "predictions": [prediction] * 3}
    assert answer.json() == expected | {"milliseconds": 1.5}


def test_many_texts_are_answered_in_one_list(client):
    assert len(ask(client, {"texts": ["a"] * 200}).json()["predictions"]) == 200


def test_what_is_asked_reaches_the_service(client, service):
    ask(client, {"texts": ["a"], "version": "2", "logits": True, "timeout_ms": 250})
    ask(client, {"texts": ["a"]}, headers={"X-Request-Timeout-Ms": "1500"})
    assert service.asked == [(["a"], "2", True, 0.25), (["a"], None, False, 1.5)]


def test_models_are_described(client):
    (model,) = client.get("/v1/models").json()["models"]
    assert model["labels"] == ["cat", "dog"] and model["state"] == "ready" and model["layer_weights"] is None
    assert client.get("/v1/models/pets").json() == model
    assert client.get("/v1/models/pest").status_code == 404


ERRORS = {
    404: NotFound("no model"),
    422: InputError("texts[1] has no words"),
    429: TooMany("too many", 7),
    500: Failed(),
    503: NotReady("loading", 1),
    504: TooLate("late"),
}


@pytest.mark.parametrize("status", ERRORS)
def test_every_refusal_has_its_status_and_its_reason(client, service, status):
    service.error = ERRORS[status]
    answer = ask(client, {"texts": ["a"]})
    assert told(answer) == (status, {"detail": str(service.error)})
    assert answer.headers.get("retry-after") == {429: "7", 503: "1"}.get(status)


def test_an_unforeseen_error_shows_no_trace(client, service):
    service.error = RuntimeError("a secret path")
    answer = ask(client, {"texts": ["a"]})
    assert told(answer) == (500, {"detail": "internal error; the server's log says more"})


REFUSED = {
    "no texts": ({"texts": []}, "texts: list should have at least 1 item"),
    "missing key": ({}, "texts: field required"),
    "unknown key": ({"texts": ["a"], "text": "a"}, "text: extra inputs are not permitted"),
    "empty text": ({"texts": ["a", ""]}, "texts.1: string should have at least 1 character"),
    "an empty word": ({"texts": [["a", ""]]}, "texts.0.1: string should have at least 1"),
    "a number": ({"texts": [1]}, "texts.0"),
    "a million numbers": ({"texts": [1] * 1000}, "texts.0"),
    "a string": ({"texts": "a"}, "texts: input should be a valid array"),
    "no flag": ({"texts": ["a"], "logits": "perhaps"}, "logits: input should be a valid boolean"),
    "no time": ({"texts": ["a"], "timeout_ms": 0}, "timeout_ms: input should be greater than 0"),
    "no object": ([1], "body: "),
}


@pytest.mark.parametrize(("body", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_bad_request_is_refused_with_the_reason(client, body, reason):
    answer = ask(client, body)
    assert answer.status_code == 422
    assert reason in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"texts": ["a"]} | dict.fromkeys(map(str, range(1000)), 1), ("0",)),
        # A text, a list of words or a pair: each tells its own.
        ({"texts": [[0] * 1000] * 1000}, ("texts", 0)),
    ],
    ids=["keys", "words"],
)
def test_of_much_that_is_wrong_the_first_is_told(body, place):
    with pytest.raises(ValidationError) as refused:
        PredictRequest.model_validate_json(json.dumps(body))
    errors = refused.value.errors()
    assert len(errors) <= 4 and {error["loc"][: len(place)] for error in errors} == {place}


def test_the_document_tells_that_no_other_key_is_taken(client):
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert [schemas[name]["additionalProperties"] for name in ("PredictRequest", "EmbedRequest")] == [False, False]


@pytest.mark.parametrize("header", ["0", "-1", "nan", "inf", "soon", ""])
def test_a_deadline_that_is_none_is_refused(client, header):
    answer = ask(client, {"texts": ["a"]}, headers={"X-Request-Timeout-Ms": header})
    assert answer.status_code == 422 and "X-Request-Timeout-Ms" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body", [b"{", b"", b"\xff\xfe{}", b'{"texts": ["\xff"]}', b"null", b'{"texts": [NaN]}', b"[" * 5000]
)
def test_a_body_that_is_no_json_is_refused(client, body):
    answer = client.post("/v1/models/pets:predict", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


def test_a_large_body_is_refused_however_it_is_sent(client):
    body = json.dumps({"texts": ["a" * 6000]}).encode()
    for content in (body, (body[k : k + 100] for k in range(0, len(body), 100))):
        answer = client.post("/v1/models/pets:predict", content=content)
        assert told(answer) == (413, {"detail": "the body is larger than 5000 bytes"})
    small = json.dumps({"texts": ["a" * 3000]}).encode()
    for content in (small, (small[k : k + 100] for k in range(0, len(small), 100))):
        assert client.post("/v1/models/pets:predict", content=content).status_code == 200


def test_a_path_that_is_not_there_is_named(client):
    assert told(client.get("/predict")) == (404, {"detail": "not found: GET /predict"})


@pytest.mark.parametrize("action", ["predict", "embed"])
def test_a_question_that_is_not_posted_is_told_so(client, action):
    answer = client.get(f"/v1/models/pets:{action}")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert answer.json()["detail"] == f"method not allowed: GET /v1/models/pets:{action}"


def test_a_protocol_tells_problems_in_its_own_form_and_a_middleware_comes_first(service):
    class Naming:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            scope.setdefault("state", {})["request_id"] = "r1"
            await self.app(scope, receive, send)

    forms = {"/v2": lambda scope, status, message: {"error": message}}
    app = build_app(service, middlewares=[Middleware(Naming)], forms=forms)
    client = TestClient(app, raise_server_exceptions=False)
    assert client.get("/v2/none").json() == {"error": "not found: GET /v2/none"}
    assert client.get("/v1/models/none").json()["request_id"] == "r1"
    service.error = NotAuthenticated("no key")
    assert ask(client, {"texts": ["a"]}).headers["www-authenticate"] == "Bearer"


def test_the_api_page_needs_no_other_host(client):
    page = client.get("/docs").text
    assert "https://" not in page
    assert client.get("/static-offline-docs/swagger-ui-bundle.js").status_code == 200


def test_the_document_of_the_api_tells_every_answer_and_its_examples_work(client):
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/v1/models/{name}:predict"]["post"]
    assert set(operation["responses"]) == {"200", "404", "413", "422", "429", "500", "503", "504"}
    for status, response in operation["responses"].items():
        content = response["content"]["application/json"]
        assert "example" in content or status == "200"
        assert content["schema"]["$ref"]
    (example,) = document["components"]["schemas"]["PredictRequest"]["examples"]
    assert ask(client, example).status_code == 200
    assert operation["parameters"][0]["name"] in ("name", "X-Request-Timeout-Ms")
