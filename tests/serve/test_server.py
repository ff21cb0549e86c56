"""A real `telmo serve`, in processes of its own."""

import http.client
import json
import os
import shutil
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from reference.telmo_serve import SOON, telmo_serve

from embeddings.errors import OutputError
from serve.listener import listen


def ask(address, texts, connection=None):
    """The status and the answer of a request."""
    opened = connection or http.client.HTTPConnection(address, timeout=SOON)
    opened.request("POST", "/v1/models/tiny-classification:predict", json.dumps({"texts": texts}))
    response = opened.getresponse()
    answer = response.status, json.loads(response.read())
    if not connection:
        opened.close()
    return answer


def children(process):
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def worker_of(process):
    """The process that answers; beside it Python's multiprocessing has one that looks after its resources."""
    return next(pid for pid in children(process) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes())


@pytest.fixture(scope="module")
def running(house, model_folders):
    with telmo_serve(house, *model_folders.values()) as process:
        yield process


def test_a_request_is_answered(running):
    status, answer = ask(running.address, ["A cat."])
    assert status == 200 and answer["predictions"][0]["label"] in ("cat", "dog", "fish")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for the worker in /proc")
def test_a_worker_that_is_killed_is_replaced_while_clients_wait(running):
    worker = worker_of(running)
    os.kill(worker, signal.SIGKILL)
    while Path(f"/proc/{worker}").exists():
        time.sleep(0.01)
    assert ask(running.address, ["A cat."])[0] == 200
    assert worker_of(running) != worker


def test_every_accepted_request_is_answered_when_the_server_stops(house, model_folders):
    answers, refused, broken = [], [], []

    def client():
        # On one connection, as long as the server keeps it.
        connection = http.client.HTTPConnection(process.address, timeout=SOON)
        while True:
            try:
                answers.append(ask(process.address, ["A cat."] * 20, connection))
            except ConnectionRefusedError:
                refused.append(True)
                return
            except (ConnectionError, http.client.HTTPException) as error:
                broken.append(error)
                return

    with telmo_serve(house, model_folders["classification"]) as process:
        clients = [threading.Thread(target=client) for _ in range(8)]
        for thread in clients:
            thread.start()
        while len(answers) < 100:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        for thread in clients:
            thread.join(SOON)
        process.wait(SOON)
    assert process.returncode == 0
    assert {status for status, _ in answers} == {200}
    assert not broken and len(refused) == 8


@pytest.fixture
def broken_model(model_folders, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(model_folders["classification"], folder)
    (folder / "head.weights.h5").write_bytes(b"no weights")
    return folder


def test_a_model_that_cannot_be_loaded_ends_the_server_with_one_message(house, broken_model):
    with telmo_serve(house, broken_model) as process:
        assert process.address is None
        assert process.wait(SOON) == 1
        (message,) = process.stderr.read().splitlines()
        assert message.startswith("telmo: ") and "head.weights.h5: cannot be read" in message


def test_a_port_that_is_taken_is_told_before_anything_is_loaded():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OutputError, match=r"cannot be listened on .*choose another with --port"):
            listen("127.0.0.1", taken.getsockname()[1])
