import asyncio
import json
import socket
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from reference.fake_service import FakeService
from reference.listening import listening, protocols_app

from serve import json_lines, line_answer
from serve.json_lines import Ask, JsonLines, read_lines

HEADERS = {"Content-Type": "application/x-ndjson"}


@pytest.fixture(scope="module")
def client():
    service = FakeService()
    app = protocols_app(service)
    app.service = service
    return TestClient(app, raise_server_exceptions=False)


def ask(client, body, query="", model="kinds"):
    answer = client.post(f"/v1/models/{model}:predict{query}", content=body, headers=HEADERS)
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_each_line_is_answered_in_order(client):
    lines = ['"one two"', '{"id": "b", "text": "one"}', '["one", "two"]', '{"id": 7, "text": ["one"]}']
    answers = ask(client, "\n".join(lines))
    assert [answer["line"] for answer in answers] == [1, 2, 3, 4]
    assert [answer.get("id") for answer in answers] == [None, "b", None, 7]
    assert [answer["prediction"]["label"] for answer in answers] == ["many", "one", "many", "one"]
    assert {answer["version"] for answer in answers} == {"3"}


def test_pairs_are_lists_of_two_texts(client):
    answers = ask(client, '["a", "a"]\n{"text": ["a", "b"]}\n', model="same")
    assert [answer["prediction"]["label"] for answer in answers] == ["same", "other"]


def test_options_are_in_the_query(client):
    (answer,) = ask(client, '"a b"\n', "?logits=true&version=3")
    assert client.app.service.asked[-1]["version"] == "3"
    assert answer["prediction"]["logits"] == {"many": 0.0, "one": 2.0}


def test_a_bad_line_is_told_in_its_place(client, monkeypatch):
    for module in (json_lines, line_answer):
        monkeypatch.setattr(module, "MAX_LINE", 50)
    lines = ["no JSON", '"good"', "", "7", '{"text": "a", "more": 1}', '{"id": 3, "text": " "}', '"bug"', '"late"']
    body = "\n".join([*lines, '"' + "x" * 50 + '"', '"\\ud800"']).encode() + b'\n"\xff"\n"good"'
    answers = {answer.pop("line"): answer for answer in ask(client, body)}
    assert list(answers) == [1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert {line for line, answer in answers.items() if "prediction" in answer} == {2, 12}
    assert answers[1]["error"] == "the line is not JSON: expected ident at column 2"
    assert answers[5]["error"] == "more: extra inputs are not permitted"
    assert answers[6] == {"id": 3, "status": 422, "error": "text has no words; expected at least one"}
    assert answers[7]["error"] == "internal error; the server's log says more"
    assert answers[8]["error"] == "the deadline has passed"
    assert answers[9]["error"] == "longer than 50 bytes"
    statuses = {line: answer["status"] for line, answer in answers.items() if "error" in answer}
    assert statuses == {1: 400, 4: 422, 5: 422, 6: 422, 7: 500, 8: 504, 9: 413, 10: 400, 11: 400}


def test_a_model_that_is_not_there_is_told_by_the_status(client):
    assert client.post("/v1/models/nobody:predict", content="", headers=HEADERS).status_code == 404
    coded = client.post("/v1/models/kinds:predict", content="", headers=HEADERS | {"Content-Encoding": "gzip"})
    assert coded.status_code == 415


def test_a_server_that_stops_begins_no_lines(client):
    # Of two versions the one that is being unloaded; when the server stops, all are.
    answer = client.post("/v1/models/kinds:predict?version=2", content='"a"', headers=HEADERS)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_other_types_are_left_to_the_next_route(client):
    answer = client.post("/v1/models/kinds:predict", json={"texts": ["a"]}).json()
    assert answer["predictions"][0]["label"] == "one"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_are_the_same_however_they_are_cut(size):
    body = b"one\ntwo\n\nthree\r\n" + b"x" * 30 + b"\nlast"

    async def read():
        parts = [body[k : k + size] for k in range(0, len(body), size)]
        messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
        pending = iter([*messages, {"type": "http.request", "body": b"", "more_body": False}])

        async def receive():
            return next(pending)

        return [line async for line in read_lines(receive)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_lines, "MAX_LINE", 20)
        assert asyncio.run(read()) == [b"one", b"two", b"", b"three\r", None, b"last"]


class Caller:
    """The server's side of a caller, which sends lines for ever and reads only while `reads` is set."""

    def __init__(self):
        self.sent, self.got, self.gone = 0, [], False
        self.reads = asyncio.Event()
        self.reads.set()

    async def receive(self):
        await asyncio.sleep(0)
        if self.gone:
            return {"type": "http.disconnect"}
        self.sent += 1
        return {"type": "http.request", "body": b'"one two"\n', "more_body": True}

    async def send(self, message):
        await self.reads.wait()
        self.got += message.get("body", b"").splitlines()


async def settled(value):
    """The value once it no longer changes."""
    last = None
    while last != (last := value()):
        for _ in range(200):
            await asyncio.sleep(0)
    return last


def streaming(test):
    """Runs a test with a service, a caller and the task that answers it."""

    async def run():
        service, caller = FakeService(), Caller()
        response = JsonLines(Ask(service, "kinds", None, False, None))
        task = asyncio.create_task(response({"type": "http"}, caller.receive, caller.send))
        try:
            await test(service, caller, task)
        finally:
            task.cancel()

    return lambda: asyncio.run(run())


@streaming
async def test_no_more_is_read_than_can_be_answered(service, caller, task):
    service.open.clear()
    assert await settled(lambda: caller.sent) <= json_lines.IN_FLIGHT + 1
    assert service.most_under_way == json_lines.IN_FLIGHT
    service.open.set()
    while len(caller.got) < 1000:
        await asyncio.sleep(0)
    assert service.most_under_way == json_lines.IN_FLIGHT


@streaming
async def test_no_more_is_read_from_a_caller_that_reads_nothing(service, caller, task):
    while not caller.got:
        await asyncio.sleep(0)
    caller.reads.clear()
    before = await settled(lambda: caller.sent)
    assert await settled(lambda: caller.sent) == before


@streaming
async def test_a_caller_that_goes_away_ends_it(service, caller, task):
    while len(caller.got) < 100:
        await asyncio.sleep(0)
    caller.gone = True
    await task
    assert service.under_way == 0


@streaming
async def test_a_full_queue_is_waited_for(service, caller, task):
    service.full = 10
    while len(caller.got) < 100:
        await asyncio.sleep(0.001)
    assert all(b"prediction" in line for line in caller.got)


@streaming
async def test_a_server_that_stops_answers_what_it_has_read(service, caller, task):
    while len(caller.got) < 100:
        await asyncio.sleep(0)
    service.found = [replace(info, state="draining") for info in service.found]
    await task
    *answers, last = [json.loads(line) for line in caller.got]
    assert all("prediction" in answer for answer in answers)
    assert last == {
        "line": len(answers) + 1,
        "status": 503,
        "error": "the server stops; this line and those after it were not read",
        "retry_after": 1,
    }


def test_an_answer_comes_before_the_next_line_is_sent():
    with listening(protocols_app(FakeService())) as address:
        host, port = address.split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            reader = connection.makefile("rb")
            connection.sendall(
                b"POST /v1/models/kinds:predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
            )
            for number in range(1, 4):
                line = b'"one two"\n'
                connection.sendall(b"%x\r\n%b\r\n" % (len(line), line))
                while not (answer := reader.readline()).startswith(b"{"):
                    pass
                assert json.loads(answer)["line"] == number
            connection.sendall(b"0\r\n\r\n")
            while reader.readline() != b"0\r\n":
                pass
