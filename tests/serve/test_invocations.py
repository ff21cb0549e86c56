import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from reference.fake_service import MODELS, FakeService
from reference.listening import protocols_app

from serve.scoring_input import ScoringRequest

ONE = {"label": "many", "probabilities": {"many": 0.5, "one": 0.5}}


@pytest.fixture(scope="module")
def client():
    return TestClient(protocols_app(FakeService()), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def alone():
    return TestClient(protocols_app(FakeService(MODELS[:1])), raise_server_exceptions=False)


FORMS = {
    "texts": {"inputs": ["one two"]},
    "a column of texts": {"inputs": {"text": ["one two"]}},
    "rows": {"inputs": [["one two"]]},
    "instances": {"instances": ["one two"]},
    "instances with names": {"instances": [{"text": "one two"}]},
    "records": {"dataframe_records": [{"any name": "one two"}]},
    "a split frame": {"dataframe_split": {"index": [0], "columns": ["text"], "data": [["one two"]]}},
    "parameters that are not known": {"inputs": ["one two"], "params": {"temperature": 1}},
}


@pytest.mark.parametrize("body", FORMS.values(), ids=FORMS)
def test_a_text_comes_in_every_form(alone, body):
    assert alone.post("/invocations", json=body).json() == {"predictions": [ONE]}


def test_a_text_comes_as_csv(alone):
    body = 'text\r\n"one\r\ntwo"\r\nthree\r\n'
    headers = {"Content-Type": "text/csv; charset=utf-8"}
    answer = alone.post("/invocations", content=body, headers=headers).json()
    assert [row["label"] for row in answer["predictions"]] == ["many", "one"]


def test_logits_are_a_parameter(alone):
    answer = alone.post("/invocations", json={"inputs": ["a b"], "params": {"logits": True}}).json()
    assert answer["predictions"][0]["logits"] == {"many": 0.0, "one": 2.0}


PAIRS = {
    "rows": {"inputs": [["a", "a"], ["a", "b"]]},
    "columns": {"inputs": {"first": ["a", "a"], "second": ["a", "b"]}},
    "records": {"dataframe_records": [{"x": "a", "y": "a"}, {"x": "a", "y": "b"}]},
    "a split frame": {"dataframe_split": {"columns": ["x", "y"], "data": [["a", "a"], ["a", "b"]]}},
}


@pytest.mark.parametrize("body", PAIRS.values(), ids=PAIRS)
def test_a_pair_has_two_columns(client, body):
    answer = client.post("/invocations?model=same", json=body).json()
    assert [row["label"] for row in answer["predictions"]] == ["same", "other"]


def test_of_several_models_one_is_named(client):
    body = {"inputs": ["one two"]}
    refused = client.post("/invocations", json=body)
    assert refused.status_code == 400
    assert refused.json() == {
        "error_code": "BAD_REQUEST",
        "message": "which model? expected the header X-Model, one of kinds, names, dates, same",
    }
    named = [
        client.post("/invocations", json=body, headers={"X-Model": "kinds"}),
        client.post("/invocations?model=kinds&version=3", json=body),
        client.post("/endpoints/kinds/invocations", json=body),
        client.post("/gateway/kinds/invocations", json=body),
    ]
    assert [answer.json() for answer in named] == [{"predictions": [ONE]}] * 4


REFUSED = {
    "no form": ({"params": {}}, 400, "exactly one of"),
    "two forms": ({"inputs": ["a"], "instances": ["a"]}, 400, "found instances and inputs"),
    "a number": ({"inputs": ["a", 1]}, 422, "inputs[1] has a value of the type int; expected a text"),
    "null": ({"inputs": [None]}, 422, "NoneType"),
    "two columns": ({"inputs": [["a", "b"]]}, 422, "inputs[0] has 2 columns; expected a text"),
    "columns of two lengths": ({"inputs": {"a": ["x"], "b": []}}, 422, "differ in length"),
    "a column that is no list": ({"inputs": {"a": ["x"], "b": 0}}, 400, "inputs.b: input should be a valid list"),
    "many columns that are no lists": ({"inputs": dict.fromkeys(map(str, range(1000)), 0)}, 400, "inputs.0: input"),
    "no words": ({"inputs": [" "]}, 422, "no words"),
    "a list": ([1], 400, "body"),
}


@pytest.mark.parametrize(("body", "status", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_text_is_refused(alone, body, status, reason):
    answer = alone.post("/invocations", json=body)
    assert answer.status_code == status
    assert reason in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "most"),
    [
        # Of the union that a name is, each member tells its own.
        ({"dataframe_split": {"columns": [None] * 1000, "data": []}}, 2),
        ({"dataframe_split": {"data": [0] * 1000}}, 1),
        ({"dataframe_records": [0] * 1000}, 1),
    ],
)
def test_of_many_wrong_values_one_is_told(body, most):
    with pytest.raises(ValidationError) as refused:
        ScoringRequest.model_validate(body)
    assert refused.value.error_count() == most


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"a,b\n1\n", "text/csv", 400),
        (b"", "text/csv", 400),
        (b"\xff", "text/csv", 400),
        (b"text\na", "text/csv; charset=latin-1", 415),
        (b"{}", "text/plain", 415),
        (b'{"inputs": ["\\ud800"]}', "application/json", 400),
        (b'{"inputs": [NaN]}', "application/json", 400),
        (b"{", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(alone, content, kind, status):
    answer = alone.post("/invocations", content=content, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert answer.json()["error_code"] == "BAD_REQUEST"


def test_ping_tells_whether_every_model_answers(client):
    assert client.get("/ping").status_code == client.get("/health").status_code == 200
    # Of `kinds` the version that answers is draining.
    unready = TestClient(protocols_app(FakeService(MODELS[1:])))
    assert unready.get("/ping").status_code == unready.get("/v2/health/ready").status_code == 503
    assert TestClient(protocols_app(FakeService([]))).get("/ping").status_code == 503
