import contextlib
import json
import socket
import subprocess
import sys
import threading

import pytest


@pytest.fixture
def load(house):
    """Gives the load a job and returns what it answers."""
    command = [sys.executable, str(house / "benchmarks" / "serving_load.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(do, **job):
            print(json.dumps({"do": do, **job}), file=process.stdin, flush=True)
            return json.loads(process.stdout.readline())

        yield ask
        process.kill()


@contextlib.contextmanager
def server(answer):
    """A port, and the requests that came to it; `answer` gives the pieces of each answer, None to hang up."""
    requests = []

    def talk(connection):
        with connection, connection.makefile("rb") as stream:
            while head := stream.readline():
                length = 0
                while line := stream.readline().strip():
                    name, _, value = line.partition(b": ")
                    length = int(value) if name == b"Content-Length" else length
                requests.append((head, stream.read(length)))
                for piece in answer(requests[-1][1]):
                    if piece is None:
                        return
                    connection.sendall(piece)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1], requests


def whole(status, body, more=b""):
    return b"HTTP/1.1 %d X\r\n%bContent-Length: %d\r\n\r\n%b" % (status, more, len(body), body)


def test_every_request_is_asked_in_turn_and_its_answer_kept(load, tmp_path):
    with server(lambda body: [whole(200, b"to " + body)]) as (port, requests):
        load("aim", port=port, path="/ask", bodies=["one", "zw\u00f6lf"])
        found = load("closed", clients=1, seconds=30, count=3, keep=str(tmp_path / "kept"))
    assert [body.decode() for _, body in requests] == ["one", "zw\u00f6lf", "one"]
    assert requests[0][0] == b"POST /ask HTTP/1.1\r\n"
    assert found["counts"] == {"200": 3} and len(found["answered"]) == 3 and not found["lost"]
    lines = (tmp_path / "kept").read_text("utf-8").splitlines()
    assert lines == ["0 200 to one", "1 200 to zw\u00f6lf", "0 200 to one"]


def test_an_answer_may_come_in_pieces(load):
    answer = whole(200, b"a long answer", b"content-type: text/plain\r\n")
    with server(lambda _: [answer[:30], answer[30:-5], answer[-5:]]) as (port, _):
        load("aim", port=port, path="/", bodies=["a"])
        assert load("closed", clients=4, seconds=30, count=20)["counts"] == {"200": 20}


def test_refusals_are_counted_by_status_and_not_as_answers(load):
    answers = iter([whole(200, b"1"), whole(429, b"2", b"Retry-After: 1\r\n"), whole(503, b"3"), whole(200, b"4")])
    with server(lambda _: [next(answers)]) as (port, _):
        load("aim", port=port, path="/", bodies=["a"])
        found = load("closed", clients=1, seconds=30, count=4)
    assert found["counts"] == {"200": 2, "429": 1, "503": 1, "with Retry-After": 1}
    assert len(found["answered"]) == 2


def test_a_connection_that_ends_without_an_answer_loses_its_request(load):
    pieces = iter([[whole(200, b"1")], [None], [b"HTTP/1.1 200 OK\r\n", None], [whole(200, b"4")]])
    with server(lambda _: next(pieces)) as (port, _):
        load("aim", port=port, path="/", bodies=["a"])
        found = load("closed", clients=1, seconds=30, count=4)
    assert found["counts"] == {"200": 2, "lost": 2} and len(found["lost"]) == 2


def test_after_a_last_answer_the_next_request_takes_another_connection(load):
    with server(lambda _: [whole(200, b"1", b"Connection: close\r\n"), None]) as (port, requests):
        load("aim", port=port, path="/", bodies=["a"])
        assert load("closed", clients=1, seconds=30, count=3)["counts"] == {"200": 3}
    assert len(requests) == 3


def test_an_open_load_asks_whether_it_is_answered_or_not(load):
    with server(lambda _: []) as (port, requests):
        load("aim", port=port, path="/", bodies=["a"])
        found = load("open", rate=100, seconds=0.2, connections=5, patience=0.5)
    assert found["counts"] == {"no answer": 5, "left out": 15}
    assert len(requests) == 5


def test_a_port_where_nobody_listens_refuses(load):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    load("aim", port=port, path="/", bodies=["a"])
    # Five connections that it begins with, and then one for each request.
    assert load("open", rate=100, seconds=0.1, connections=5)["counts"] == {"refused": 15}
