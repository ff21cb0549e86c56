import json

import pytest
from fastapi.testclient import TestClient

from serve import app as application
from serve.app import ServedModel, build_app
from serve.registry import find_model


@pytest.fixture(scope="module")
def client(model_folders):
    models = [ServedModel.load(find_model(str(folder))) for folder in model_folders.values()]
    return TestClient(build_app(models), raise_server_exceptions=False)


def ask(client, body):
    return client.post("/predict", json=body)


def test_health_names_the_models(client):
    assert client.get("/health").json() == {"status": "ok", "models": ["tiny-classification", "tiny-tagging"]}


def test_models_are_described(client):
    first = client.get("/models").json()[0]
    assert (
        first["labels"] == ["cat", "dog", "fish"] and first["metrics"] == {"accuracy": 0.5} and first["version"] is None
    )


def test_a_text_is_classified(client):
    answer = ask(client, {"model": "tiny-classification", "texts": ["A cat.", ["a", "dog"]]}).json()
    assert answer["task"] == "classification" and len(answer["predictions"]) == 2
    assert set(answer["predictions"][0]["probabilities"]) == {"cat", "dog", "fish"}


def test_a_text_is_tagged_with_its_places(client):
    text = "Ünï isn't here"
    (prediction,) = ask(client, {"model": "tiny-tagging", "texts": [text]}).json()["predictions"]
    assert [text[start:end] for _, start, end in prediction["tokens"]] == ["Ünï", "is", "n't", "here"]
    assert len(prediction["tags"]) == 4
    assert all(text[span["start"] : span["end"]] == span["text"] for span in prediction["spans"])


def test_logits_are_answered_if_asked_for(client):
    body = {"model": "tiny-tagging", "texts": ["one two"]}
    (plain,) = ask(client, body).json()["predictions"]
    assert "logits" not in plain
    (prediction,) = ask(client, body | {"logits": True}).json()["predictions"]
    assert [len(row) for row in prediction["logits"]] == [3, 3]
    (prediction,) = ask(client, {"model": "tiny-classification", "texts": ["one"], "logits": True}).json()[
        "predictions"
    ]
    assert len(prediction["logits"]) == 3
    assert ask(client, body | {"logits": "perhaps"}).status_code == 422


REFUSED = {
    "no model named": (
        {"texts": ["a"]},
        422,
        "which model? expected 'model', one of tiny-classification, tiny-tagging",
    ),
    "unknown model": ({"model": "x", "texts": ["a"]}, 404, "no model 'x'"),
    "no texts": ({"model": "tiny-tagging", "texts": []}, 422, "texts: list should have at least 1 item"),
    "missing key": ({"model": "tiny-tagging"}, 422, "texts: field required"),
    "unknown key": (
        {"model": "tiny-tagging", "texts": ["a"], "text": "a"},
        422,
        "text: extra inputs are not permitted",
    ),
    "empty text": (
        {"model": "tiny-tagging", "texts": ["a", ""]},
        422,
        "texts.1: string should have at least 1 character",
    ),
    "only spaces": ({"model": "tiny-tagging", "texts": ["a", "  "]}, 422, "texts[1] has no words"),
    "a number": ({"model": "tiny-tagging", "texts": [1]}, 422, "texts.0"),
    "a string": ({"model": "tiny-tagging", "texts": "a"}, 422, "texts: input should be a valid list"),
    "too many": ({"model": "tiny-tagging", "texts": ["a"] * 1001}, 422, "texts: list should have at most 1000 items"),
    "an empty word": ({"model": "tiny-tagging", "texts": [["a", ""]]}, 422, "texts.0.1: string should have at least 1"),
    "too many words": ({"model": "tiny-tagging", "texts": ["a " * 30_000] * 2}, 422, "60000 words in this request"),
    "no object": ([1], 422, "body"),
}


@pytest.mark.parametrize(("body", "status", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_bad_request_is_refused_with_the_reason(client, body, status, reason):
    answer = ask(client, body)
    assert answer.status_code == status
    assert reason in answer.json()["detail"]


@pytest.mark.parametrize("body", [b"{", b"", b"\xff\xfe{}", b'{"texts": ["\xff"]}', b"null", b'{"texts": [NaN]}'])
def test_a_body_that_is_no_json_is_refused(client, body):
    answer = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert isinstance(answer.json()["detail"], str)


def test_a_large_body_is_refused_however_it_is_sent(client, monkeypatch):
    monkeypatch.setattr(application, "MAX_BODY", 1000)
    body = json.dumps({"texts": ["a" * 2000]}).encode()
    for content in (body, (body[k : k + 100] for k in range(0, len(body), 100))):
        assert client.post("/predict", content=content).status_code == 413
    assert ask(client, {"model": "tiny-tagging", "texts": ["short"]}).status_code == 200


def test_an_unforeseen_error_shows_no_trace(client, monkeypatch):
    def fail(*_):
        raise RuntimeError("a secret path")

    monkeypatch.setattr("models.predictor.Predictor.predict", fail)
    answer = ask(client, {"model": "tiny-tagging", "texts": ["a"]})
    assert answer.status_code == 500
    assert answer.json() == {"detail": "internal error; the server's log says more"}


def test_the_api_page_needs_no_other_host(client):
    page = client.get("/docs").text
    assert "https://" not in page
    assert client.get("/static-offline-docs/swagger-ui-bundle.js").status_code == 200


def test_the_example_of_the_api_works(client):
    schema = client.get("/openapi.json").json()
    (example,) = schema["components"]["schemas"]["PredictRequest"]["examples"]
    assert ask(client, example | {"model": "tiny-classification"}).status_code == 200
