import asyncio
import logging
import re

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.testclient import TestClient

from serve.request_facts import CURRENT
from serve.request_log import RequestLog


def build():
    app = FastAPI()
    finished = []
    app.add_middleware(
        RequestLog,
        apologise=lambda scope: JSONResponse({"request_id": scope["state"]["request_id"]}, 500),
        finished=[finished.append],
    )

    @app.post("/v1/models/{name}:predict")
    async def predict(name: str, request: Request):
        request.state.caller = "ci"
        facts = CURRENT.get()
        facts.model, facts.version, facts.texts, facts.words = "tagger", "3", 2, 9
        return {"request_id": request.state.request_id}

    @app.get("/fail")
    def fail():
        raise RuntimeError("a secret")

    @app.get("/fail-late")
    def fail_late():
        def parts():
            yield b"begun"
            raise RuntimeError("a secret")

        return StreamingResponse(parts())

    @app.get("/v2/health/live")
    async def live():
        return {}

    return app, finished


@pytest.fixture
def app():
    return build()


@pytest.fixture
def client(app):
    return TestClient(app[0], raise_server_exceptions=False)


def facts_of(caplog):
    return [record.facts for record in caplog.records if hasattr(record, "facts")]


def test_a_request_is_one_line(client, caplog):
    caplog.set_level(logging.INFO, "telmo")
    client.post(
        "/v1/models/whatever:predict", headers={"X-Request-ID": "abc-1", "Authorization": "Bearer k"}, json=["t"]
    )
    (facts,) = facts_of(caplog)
    assert facts.pop("milliseconds") >= 0
    assert facts == {
        "request_id": "abc-1",
        "method": "POST",
        "route": "/v1/models/{name}:predict",
        "status": 200,
        "model": "tagger",
        "version": "3",
        "texts": 2,
        "words": 9,
        "caller": "ci",
    }


def test_the_callers_id_comes_back(client):
    answer = client.post("/v1/models/x:predict", headers={"X-Request-ID": "Az09._:/+=@-"})
    assert answer.headers["X-Request-ID"] == answer.json()["request_id"] == "Az09._:/+=@-"


@pytest.mark.parametrize("bad", ["", "a b", "a" * 129, "a\tb", "ü".encode(), 'a"b', "<a>", "a;b"])
def test_an_id_that_is_not_well_formed_is_replaced(client, bad):
    answer = client.post("/v1/models/x:predict", headers={"X-Request-ID": bad})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])


def test_each_request_has_an_id_of_its_own(client):
    assert (
        client.get("/v2/health/live").headers["X-Request-ID"] != client.get("/v2/health/live").headers["X-Request-ID"]
    )


def test_a_path_that_is_not_there_is_not_told(client, caplog, app):
    caplog.set_level(logging.INFO, "telmo")
    assert client.get("/wp-login.php%0aforged").status_code == 404
    assert facts_of(caplog)[0]["route"] == "unknown"
    assert [facts.route for facts in app[1]] == ["unknown"]


def test_an_unforeseen_error_is_told_to_the_log_alone(client, caplog):
    answer = client.get("/fail", headers={"X-Request-ID": "abc"})
    assert answer.status_code == 500
    assert answer.json() == {"request_id": "abc"} and answer.headers["X-Request-ID"] == "abc"
    error, line = [record for record in caplog.records if record.name == "telmo.serve.requests"]
    assert "a secret" in str(error.exc_info[1]) and error.levelname == "ERROR"
    assert line.facts["status"] == 500 and line.levelname == "WARNING"


def test_an_error_in_the_middle_of_an_answer_is_told(client, caplog):
    assert client.get("/fail-late").content == b"begun"
    assert "a secret" in str(next(record for record in caplog.records if record.exc_info).exc_info[1])


def test_a_probe_is_told_for_debugging_only(client, caplog):
    caplog.set_level(logging.INFO, "telmo")
    client.get("/v2/health/live")
    assert not facts_of(caplog)
    caplog.set_level(logging.DEBUG, "telmo")
    client.get("/v2/health/live")
    assert len(facts_of(caplog)) == 1


def test_a_request_that_is_given_up_is_told_as_499(app):
    async def never(scope, receive, send):
        await asyncio.sleep(60)

    told = []
    middleware = RequestLog(never, apologise=None, finished=[told.append])

    async def give_up():
        call = asyncio.ensure_future(middleware({"type": "http", "method": "GET", "headers": []}, None, None))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()

    asyncio.run(give_up())
    assert told[0].status == 499


def test_what_is_no_request_passes(app):
    with TestClient(app[0]):
        pass
    assert not app[1]
