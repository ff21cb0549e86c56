import dataclasses
import json
import subprocess
import sys
import threading

import httpx2
import numpy as np
import pytest

from models.predictions import Classification
from serve.answers import ServedInfo
from serve.client import Client, ClientError, Model, settings
from serve.client import errors as problems
from serve.client.errors import OF_STATUS, DeadlinePassed, NotReached, NotUnderstood, NotUsable, Refused, ServerFailed
from serve.client.messages import cut
from serve.options import ServeOptions


def refusal(status, detail="why", **headers):
    return httpx2.Response(status, json={"detail": detail, "request_id": "r-1"}, headers=headers)


def labels(answers):
    return [answer.label for answer in answers]


def test_each_text_is_answered_in_order(ask, server):
    answers = ask("predict", ["a", ["two", "words"], "ccc"], model="docs")
    assert answers[0] == Classification("1", {"1": 1.0}) and labels(answers) == ["1", "2", "3"]
    assert server.bodies == [{"texts": ["a", ["two", "words"], "ccc"]}]


def test_what_is_asked_reaches_the_server(ask, server):
    ask("predict", [("one", ("two", "three"))], model="docs/é", version="2", logits=True)
    assert server.bodies == [{"texts": [["one", ["two", "three"]]], "logits": True, "version": "2"}]
    assert server.requests[0].url.raw_path == b"/v1/models/docs%2F%C3%A9:predict"


def test_no_texts_take_no_request(ask, server):
    assert ask("predict", []) == ask("embed", []) == []
    assert server.requests == []


def test_vectors_are_arrays(ask, server):
    first, second = ask("embed", ["a", "bb"], model="docs", layers="mix", pool="mean")
    assert first.dtype == np.float32 and first.tolist() == [[[1.0, 0.5]]] and second[0, 0, 0] == 2
    assert server.bodies == [{"texts": ["a", "bb"], "layers": "mix", "pool": "mean"}]


def test_models_are_described_whatever_a_later_server_adds(ask):
    assert ask("models") == [Model("docs", "3", "ready", "classification", ["a"])]


def test_a_model_is_described_as_the_server_does():
    assert [field.name for field in dataclasses.fields(Model)] == [
        field.name for field in dataclasses.fields(ServedInfo)
    ]


def test_the_only_model_need_not_be_named(ask, server):
    assert labels(ask("predict", ["a"])) == ["1"]
    server.models = ["docs", "other"]
    with pytest.raises(ClientError, match=r"which model\? expected model=, one of docs, other"):
        ask("predict", ["a"])
    assert labels(ask("predict", ["a"], settings={"model": "other"})) == ["1"]
    assert server.requests[-1].url.path == "/v1/models/other:predict"


def test_a_long_list_is_several_requests(ask, server):
    texts = ["a" * (k % 7 + 1) for k in range(1000)]
    assert labels(ask("predict", texts, model="docs")) == [str(len(text)) for text in texts]
    assert sorted(len(body["texts"]) for body in server.bodies) == [232, 256, 256, 256]
    server.requests.clear()
    ask("predict", ["a" * 150_000] * 3, model="docs")
    assert len(server.bodies) == 3


def test_what_the_server_finds_too_large_is_halved(ask, server):
    server.most_texts = 3
    texts = ["a" * k for k in range(1, 11)]
    assert labels(ask("predict", texts, model="docs")) == [str(len(text)) for text in texts]
    server.most_texts = 0
    with pytest.raises(problems.TooLarge, match="too many texts"):
        ask("predict", texts, model="docs")


def test_a_list_is_cut_lazily():
    def texts():
        yield from ["a", "b", "c"]
        raise AssertionError("read too far")

    assert next(cut(texts(), 2)) == ["a", "b"]
    assert list(cut(["aa", "bb", ["c", "d"], "eeeeee", "f"], 9, most_characters=4)) == [
        ["aa", "bb"],
        [["c", "d"]],
        ["eeeeee"],
        ["f"],
    ]


def test_one_text_in_place_of_a_list_is_refused(ask, server):
    for method in ("predict", "embed", "predict_lines"):
        with pytest.raises(ClientError, match="expected a list of texts, found one text"):
            ask(method, "text", model="docs")
    assert server.requests == []


# === Key and deadline ===


def test_the_key_is_sent_and_shown_nowhere(ask, server, monkeypatch):
    ask("models", settings={"key": "telmo_argument"})
    monkeypatch.setenv("TELMO_API_KEY", "telmo_environment\n")
    ask("models")
    ask("models", settings={"key": ""})
    sent = [request.headers.get("Authorization") for request in server.requests]
    assert sent == ["Bearer telmo_argument", "Bearer telmo_environment", None]
    assert "telmo_environment" not in repr(Client("http://server"))


@pytest.mark.parametrize("key", ["a\r\nX-Other: b", "a b", "schlüssel", "a\x00"])
def test_a_key_that_would_make_another_header_is_refused(ask, server, key):
    with pytest.raises(ClientError, match="holds a character that no key has") as refused:
        ask("models", settings={"key": key})
    assert key not in str(refused.value)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://server", "", "http://", "http://server:x", "//server"])
def test_an_address_that_is_none_is_refused(ask, url):
    with pytest.raises(ClientError, match="expected the address of a server"):
        ask("models", settings={"url": url})


def test_a_path_that_a_proxy_has_put_in_front_is_kept(ask, server):
    ask("predict", ["a"], settings={"url": "http://server/telmo/", "model": "docs"})
    assert str(server.requests[0].url) == "http://server/telmo/v1/models/docs:predict"


def test_the_server_is_told_the_time_that_is_left(ask, server):
    ask("predict", ["a"], model="docs", settings={"timeout": 2.5})
    assert 0 < int(server.requests[0].headers["X-Request-Timeout-Ms"]) <= 2500
    ask("predict", ["a"], model="docs", settings={"timeout": None})
    assert "X-Request-Timeout-Ms" not in server.requests[1].headers
    # The server refuses more.
    ask("predict", ["a"], model="docs", settings={"timeout": 86_400})
    assert server.requests[2].headers["X-Request-Timeout-Ms"] == "3600000"


def test_an_answer_that_does_not_come_in_time_is_not_asked_for_again(ask, server):
    for failure in (httpx2.ReadTimeout("slow"), refusal(504, "the deadline has passed")):
        server.failures = [failure]
        with pytest.raises(DeadlinePassed):
            ask("predict", ["a"], model="docs")
    assert len(server.requests) == 2
    with pytest.raises(DeadlinePassed, match="no answer within 0 s"):
        ask("predict", ["a"], model="docs", settings={"timeout": 0})
    assert len(server.requests) == 2


# === Tries ===


@pytest.mark.parametrize(
    "failure",
    [
        refusal(429),
        refusal(503),
        httpx2.ConnectError("refused"),
        httpx2.ConnectTimeout("slow"),
        httpx2.ReadError("reset"),
        httpx2.RemoteProtocolError("closed"),
        httpx2.WriteError("reset"),
    ],
)
def test_what_may_pass_is_asked_again_after_growing_waits(ask, server, waits, failure):
    server.failures = [failure] * 3
    assert labels(ask("predict", ["a"], model="docs")) == ["1"]
    assert waits == [0.2, 0.4, 0.8] and len(server.requests) == 4


def test_after_the_last_try_the_reason_is_told(ask, server, waits):
    server.failures = [refusal(429, "the queue is full")] * 9
    with pytest.raises(problems.TooMany, match="the queue is full") as refused:
        ask("predict", ["a"], model="docs")
    assert len(server.requests) == 4 and len(waits) == 3
    assert (refused.value.status, refused.value.request_id) == (429, "r-1")


def test_nothing_listens(ask, server):
    server.failures = [httpx2.ConnectError("[Errno 111] Connection refused")] * 9
    with pytest.raises(NotReached, match=r"http://server: \[Errno 111\] Connection refused"):
        ask("models")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 415, 422, 500, 501, 502, 505])
def test_what_does_not_pass_is_asked_once(ask, server, waits, status):
    server.failures = [refusal(status, "why", **{"Retry-After": "1", "X-Request-Id": "r-2"})]
    with pytest.raises(Refused, match=r"^why$") as refused:
        ask("predict", ["a"], model="docs")
    expected = OF_STATUS.get(status, ServerFailed if status >= 500 else Refused)
    assert type(refused.value) is expected
    assert (refused.value.status, refused.value.request_id, waits) == (status, "r-2", [])
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "7"}, 7.2),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:10 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 10.2),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.2),
        ({"Retry-After": "soon"}, 0.2),
        ({"Retry-After": "-5"}, 0.2),
        ({"Retry-After": ""}, 0.2),
    ],
)
def test_a_server_that_asks_for_time_gets_it(ask, server, waits, headers, wait):
    server.failures = [refusal(503, **headers)]
    ask("predict", ["a"], model="docs")
    assert waits == [pytest.approx(wait)]


@pytest.mark.parametrize(("seconds", "timeout"), [("30", 20.0), ("3600", None), ("9" * 400, None)])
def test_a_wait_that_is_too_long_is_not_begun(ask, server, waits, seconds, timeout):
    server.failures = [refusal(429, **{"Retry-After": seconds})]
    with pytest.raises(problems.TooMany):
        ask("predict", ["a"], model="docs", settings={"timeout": timeout})
    assert waits == []


# === Answers of others ===


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(200, text="<html>"),
        httpx2.Response(200, json={"predictions": []}),
        httpx2.Response(200, json={"predictions": [1]}),
        httpx2.Response(200, json={"predictions": [{"labels": 1}]}),
        httpx2.Response(200, json={"predictions": [{"tokens": [[1]], "tags": [], "spans": []}]}),
        httpx2.Response(200, json={"predictions": [{"text": "a", "hypotheses": [1]}]}),
        httpx2.Response(200, json=[]),
        httpx2.Response(200, text="[" * 100_000),
        httpx2.Response(204),
        httpx2.Response(302, headers={"Location": "http://elsewhere/"}),
    ],
)
def test_an_answer_of_another_server_is_known_as_such(ask, server, answer):
    server.failures = [answer]
    with pytest.raises(NotUnderstood):
        ask("predict", ["a"], model="docs", settings={"key": "telmo_x"})
    # A key is not taken along to where another server points.
    assert len(server.requests) == 1


@pytest.mark.parametrize("body", [b"", b"<html>bad gateway", b"[]", b'"x"', b'{"detail": {"a": 1}}', b"\xff"])
def test_a_refusal_of_a_proxy_is_told_by_its_status(ask, server, body):
    server.failures = [httpx2.Response(502, content=body)]
    with pytest.raises(ServerFailed, match=r"502|'a': 1"):
        ask("predict", ["a"], model="docs")


# === Lines ===


def test_lines_are_answered_in_order_however_many(ask, server):
    texts = ["a" * (k % 9 + 1) for k in range(300)]
    assert labels(ask("predict_lines", iter(texts), model="docs")) == [str(len(text)) for text in texts]
    assert {len(request.content.splitlines()) for request in server.requests} == {64, 300 - 4 * 64}


def test_a_text_without_an_answer_is_named(ask):
    texts = ["a"] * 70 + [""] + ["b"]
    with pytest.raises(NotUsable, match="text 70: text has no words"):
        ask("predict_lines", texts, model="docs")
    answers = ask("predict_lines", texts, model="docs", give_errors=True)
    assert isinstance(answers[70], NotUsable) and labels(answers[:70]) == ["1"] * 70 and answers[71].label == "1"


def test_lines_that_end_early_are_asked_for_again(ask, server):
    server.cut_lines = [5, 0]
    texts = ["a" * k for k in range(1, 20)]
    assert labels(ask("predict_lines", texts, model="docs")) == [str(len(text)) for text in texts]
    server.cut_lines = [0] * 9
    with pytest.raises(NotReached, match="the answer ended early"):
        ask("predict_lines", texts, model="docs")


def test_lines_that_are_refused_are_asked_for_again(ask, server, waits):
    server.failures = [refusal(429, **{"Retry-After": "2"}), httpx2.ReadError("reset")]
    assert len(ask("predict_lines", ["a"] * 3, model="docs", logits=True, version="2")) == 3
    assert waits == [2.2, 0.4]
    assert dict(server.requests[0].url.params) == {"logits": "true", "version": "2"}


@pytest.mark.parametrize("status", [429, 503])
def test_from_a_line_that_says_so_it_is_asked_again(ask, server, waits, status):
    texts = ["a" * k for k in range(1, 9)]
    # More often than a question without any answer would be.
    server.line_errors = {text: {"status": status, "error": "later", "retry_after": 7} for text in texts[::2]}
    assert labels(ask("predict_lines", texts, model="docs")) == [str(len(text)) for text in texts]
    assert waits[1:] == [7.2] * 3 and len(server.requests) == 5


def test_a_line_that_ends_the_answer_is_raised_after_the_answers_before_it(server):
    server.line_errors = {"aaa": {"status": 401, "error": "the API key is no longer valid"}}
    with Client("http://server", model="docs", transport=httpx2.MockTransport(server)) as client:
        answers = client.predict_lines(["a", "aa", "aaa", "aaaa"], give_errors=True)
        assert [next(answers).label, next(answers).label] == ["1", "2"]
        with pytest.raises(problems.NotAuthenticated, match=r"^the API key is no longer valid$"):
            next(answers)


def test_a_text_on_which_the_server_fails_takes_no_answer_from_the_others(ask, server):
    server.line_errors = {"aa": {"status": 500, "error": "internal error"}}
    first, second, third = ask("predict_lines", ["a", "aa", "aaa"], model="docs", give_errors=True)
    assert (first.label, third.label) == ("1", "3")
    assert isinstance(second, ServerFailed) and str(second) == "text 1: internal error"


def test_who_reads_slowly_misses_no_deadline(server):
    server.pieces = True
    with Client("http://server", model="docs", timeout=0.2, transport=httpx2.MockTransport(server)) as client:
        for answer in client.predict_lines(["a"] * 4):
            assert answer.label == "1"
            threading.Event().wait(0.1)


def test_only_a_newline_ends_a_line(ask, server):
    def answer(text):
        return {"label": "a\u2028b\x85c", "probabilities": {}}

    server._predict = answer
    dumps = json.dumps
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json, "dumps", lambda *args: dumps(*args, ensure_ascii=False))
        (found,) = ask("predict_lines", ["text"], model="docs")
    assert found.label == "a\u2028b\x85c"


def test_lines_are_read_no_further_than_they_are_answered(server):
    read = []

    def texts():
        for k in range(10_000):
            read.append(k)
            yield "a"

    with Client("http://server", model="docs", transport=httpx2.MockTransport(server)) as client:
        answers = client.predict_lines(texts())
        next(answers)
        answers.close()
    assert len(read) <= 65


# === The house ===


def test_the_client_loads_neither_tensorflow_nor_the_server(house):
    heavy = ["tensorflow", "keras", "jax", "fastapi", "starlette", "uvicorn", "pydantic", "mlflow", "spacy", "numpy"]
    code = f"import sys; from serve.client import Client; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=house, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_error_of_the_client_is_one(ask):
    kinds = [kind for kind in vars(problems).values() if isinstance(kind, type)]
    assert all(issubclass(kind, problems.TelmoError) for kind in kinds)
    named = [line.split()[-1] for line in problems.__doc__.splitlines() if "──" in line]
    assert len(named) == len(kinds) - 2


def test_a_request_is_no_larger_than_a_server_takes():
    client, options = Client(), ServeOptions()
    assert client._predict_texts <= options.max_texts
    # 12 bytes for a character outside the Basic Multilingual Plane: \ud83d\ude00.
    assert options.max_body > 12 * 200_000


def test_a_request_of_lines_is_taken_in_before_its_answer_is_read():
    server = pytest.importorskip("serve.json_lines")
    assert settings._LINES <= server.IN_FLIGHT and 12 * settings._LINE_CHARACTERS < server.MAX_LINE
