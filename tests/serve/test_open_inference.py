import gzip
import json
import struct
import zlib

import numpy as np
import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from reference.fake_service import FakeService
from reference.listening import protocols_app

from serve.inference_schemas import InferRequest
from serve.tensors import HEADER_LENGTH

INFER = "/v2/models/kinds/infer"


@pytest.fixture(scope="module")
def client():
    return TestClient(protocols_app(FakeService()), raise_server_exceptions=False)


def request_of(texts=("one two", "one"), shape=None, **fields):
    tensor = {"name": "text", "shape": shape or [len(texts)], "datatype": "BYTES", "data": list(texts)}
    return {"inputs": [tensor | fields]}


def behind(elements, shape=None, size=None, cut=0):
    """A request whose strings stand behind the JSON, and its header."""
    data = b"".join(struct.pack("<I", len(one)) + one for one in elements)
    data = data[: len(data) - cut]
    parameters = {"binary_data_size": len(data) if size is None else size}
    tensor = {"name": "text", "shape": shape or [len(elements)], "datatype": "BYTES", "parameters": parameters}
    head = json.dumps({"inputs": [tensor]}).encode()
    return head + data, {HEADER_LENGTH: str(len(head))}


def outputs_of(answer):
    return {output["name"]: output for output in answer.json()["outputs"]}


@pytest.mark.parametrize(
    ("texts", "shape"), [(["one two", "one"], [2]), (["one two", "one"], [2, 1]), ([["one two"], ["one"]], [2, 1])]
)
def test_texts_may_be_flat_or_nested(client, texts, shape):
    found = outputs_of(client.post(INFER, json=request_of(texts, shape)))
    assert found["label"] == {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["many", "one"]}
    assert found["probabilities"] == {
        "name": "probabilities",
        "datatype": "FP32",
        "shape": [2, 2],
        "data": [0.5, 0.5, 0.0, 1.0],
    }


def test_tensors_of_an_answer_stand_behind_its_json(client):
    answer = client.post(INFER, json=request_of(["a b", "ü"]) | {"parameters": {"binary_data_output": True}})
    length = int(answer.headers[HEADER_LENGTH])
    outputs = json.loads(answer.content[:length])["outputs"]
    sizes = [output["parameters"]["binary_data_size"] for output in outputs]
    rest = answer.content[length:]
    assert rest[: sizes[0]] == b"\4\0\0\0many\3\0\0\0one"
    assert np.frombuffer(rest[sizes[0] :], "<f4").tolist() == [0.5, 0.5, 0.0, 1.0]
    assert sum(sizes) == len(rest)


def test_an_output_may_stand_in_the_json_beside_one_behind_it(client):
    wanted = [{"name": "label"}, {"name": "probabilities", "parameters": {"binary_data": True}}]
    answer = client.post(INFER, json=request_of() | {"outputs": wanted})
    label, probabilities = json.loads(answer.content[: int(answer.headers[HEADER_LENGTH])])["outputs"]
    assert label["data"] == ["many", "one"] and "data" not in probabilities


def test_strings_are_read_from_behind_the_json(client):
    body, headers = behind([b"one two", "Ünï".encode()])
    assert outputs_of(client.post(INFER, content=body, headers=headers))["label"]["data"] == ["many", "one"]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_may_be_compressed(client, coding):
    body, headers = behind([b"one two", b"one"])
    coded = {"gzip": gzip.compress, "deflate": zlib.compress}[coding](body)
    answer = client.post(INFER, content=coded, headers=headers | {"Content-Encoding": coding})
    assert outputs_of(answer)["label"]["data"] == ["many", "one"]


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [("gzip, deflate, br", "gzip"), ("deflate", "deflate"), ("gzip;q=0, deflate", "deflate"), ("identity", None)],
)
def test_an_answer_is_compressed_as_the_caller_likes_it(client, accepted, coding):
    answer = client.post(INFER, json=request_of(["one two"] * 500), headers={"Accept-Encoding": accepted})
    assert answer.headers.get("content-encoding") == coding
    assert len(outputs_of(answer)["label"]["data"]) == 500


MALFORMED = {
    "a string is cut off": (*behind([b"one", b"two"], cut=2), 400, "string 1 is cut off"),
    "a length is cut off": (*behind([b"one", b"two"], cut=5), 400, "string 1 is cut off"),
    "a string too few": (*behind([b"one"], shape=[2]), 400, "1 strings; its shape wants 2"),
    "a string too many": (*behind([b"one", b"two"], shape=[1]), 400, "more bytes than its shape's 1"),
    "no UTF-8": (*behind([b"one", b"\xff"]), 400, "string 1 is no UTF-8 at byte 0"),
    "a size too large": (*behind([b"one"], size=100), 400, "7 bytes behind the JSON"),
    "a header that is no length": (b"{}", {HEADER_LENGTH: "-1"}, 400, HEADER_LENGTH),
    "a header past the end": (b"{}", {HEADER_LENGTH: "3"}, 400, HEADER_LENGTH),
    "a header without end": (b"{}", {HEADER_LENGTH: "9" * 5000}, 400, HEADER_LENGTH),
    "a header of zeros before its end": (b"{}", {HEADER_LENGTH: "0" * 20 + "9" * 5000}, 400, HEADER_LENGTH),
    "no gzip": (b"{}", {"Content-Encoding": "gzip"}, 400, "not coded"),
    "half a gzip": (gzip.compress(b"{}")[:-3], {"Content-Encoding": "gzip"}, 400, "has no end"),
    "another coding": (b"{}", {"Content-Encoding": "br"}, 415, "expected gzip or deflate"),
    "a bomb": (gzip.compress(bytes(50_000_000)), {"Content-Encoding": "gzip"}, 413, "larger than"),
}


@pytest.mark.parametrize(("body", "headers", "status", "reason"), MALFORMED.values(), ids=MALFORMED)
def test_a_body_that_cannot_be_read_is_refused(client, body, headers, status, reason):
    answer = client.post(INFER, content=body, headers=headers)
    assert answer.status_code == status
    assert reason in answer.json()["error"]


REFUSED = {
    "no inputs": ({}, 400, "inputs: field required"),
    "another input": (request_of(name="words"), 422, "expected one, 'text'"),
    "two inputs": ({"inputs": request_of()["inputs"] * 2}, 422, "expected one, 'text'"),
    "numbers": (request_of(datatype="FP32"), 422, "expected BYTES"),
    "a number": (request_of([1]), 400, "inputs.0.data.0: input should be a valid string"),
    "no data": (request_of(data=None), 400, "no data"),
    "too few": (request_of(shape=[3]), 400, "data has 2 values; its shape [3] wants 3"),
    "a cube": (request_of(shape=[1, 1, 2]), 422, "expected [n] or [n, 1]"),
    "pairs": (request_of(shape=[1, 2]), 422, "expected [n] or [n, 1]"),
    "too many": (request_of(shape=[1001]), 413, "1001 texts; expected at most 1000"),
    "a huge shape": (request_of(shape=[10**400]), 400, "shape"),
    "shared memory": (request_of(parameters={"shared_memory_region": "x"}), 422, "shared memory"),
    "an unknown output": (request_of() | {"outputs": [{"name": "y"}]}, 422, "gives label, probabilities"),
    "an output twice": (request_of() | {"outputs": [{"name": "label"}] * 2}, 422, "twice"),
    "classes of a label": (
        request_of() | {"outputs": [{"name": "label", "parameters": {"classification": 2}}]},
        422,
        "to classify by",
    ),
    "a timeout before now": (request_of() | {"parameters": {"timeout": -1}}, 400, "parameters.timeout"),
}


@pytest.mark.parametrize(("body", "status", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_request_that_has_no_answer_is_refused(client, body, status, reason):
    answer = client.post(INFER, json=body)
    assert answer.status_code == status
    assert reason in answer.json()["error"]


@pytest.mark.parametrize(
    "fields",
    [{"data": [0] * 1000}, {"data": [[0] * 1000] * 9}, {"data": [[]] + [0] * 1000}, {"data": [], "shape": [-1] * 8}],
    ids=["flat", "nested", "mixed", "shape"],
)
def test_of_many_wrong_values_one_is_told(fields):
    # Of a union each member tells its own.
    with pytest.raises(ValidationError) as refused:
        InferRequest.model_validate(request_of(**fields))
    assert refused.value.error_count() <= 2


def test_of_many_wrong_tensors_one_is_told():
    with pytest.raises(ValidationError) as refused:
        InferRequest.model_validate({"inputs": [0] * 8, "outputs": [0] * 32})
    assert refused.value.error_count() == 2


def test_versions_are_asked_by_their_number(client):
    answer = client.post("/v2/models/kinds/versions/2/infer", json=request_of())
    assert answer.json()["model_version"] == "2"
    assert client.get("/v2/models/kinds/versions/2").json()["versions"] == ["3", "2"]
    assert client.get("/v2/models/kinds/versions/2/ready").status_code == 503
    assert client.get("/v2/models/kinds/ready").json() == {"name": "kinds", "ready": True}
    for path in ("", "/ready", "/versions/9"):
        answer = client.get(f"/v2/models/{'kinds' if '9' in path else 'nobody'}{path}")
        assert answer.status_code == 404 and "no model" in answer.json()["error"]


def test_the_index_lists_those_that_are_ready_if_asked(client):
    names = [
        (entry["name"], entry["version"]) for entry in client.post("/v2/repository/index", json={"ready": True}).json()
    ]
    assert names == [("kinds", "3"), ("names", ""), ("dates", "1"), ("same", "1")]


def test_the_examples_of_the_document_work(client):
    document = client.get("/openapi.json").json()
    for schema, path in (("InferRequest", INFER), ("ScoringRequest", "/endpoints/kinds/invocations")):
        for example in document["components"]["schemas"][schema]["examples"]:
            assert client.post(path, json=example).status_code == 200
