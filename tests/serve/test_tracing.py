import asyncio
import os
import subprocess
import sys

import pytest

pytest.importorskip("opentelemetry.sdk")
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from starlette.middleware import Middleware

from embeddings.errors import ConfigError
from serve.batcher import Batcher, Lane
from serve.request_log import RequestLog
from serve.tracing import Tracing, is_traced, tracer_provider

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exported():
    return InMemorySpanExporter()


@pytest.fixture
def client(exported):
    """An application whose one route lets a batcher compute."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exported))
    tracing = Tracing(provider)
    finished = []
    middlewares = [
        Middleware(RequestLog, apologise=lambda scope: JSONResponse({}, 500), finished=[finished.append]),
        Middleware(tracing.middleware),
    ]
    app = FastAPI(middleware=middlewares)
    app.state.finished = finished

    @app.post("/predict/{name}")
    async def predict(name: str):
        batcher = Batcher(100, 1000, observer=tracing)
        batcher.start()
        lane = Lane("tagger", "3", lambda texts, wanted: list(texts))
        batcher.add(lane)
        answers = await asyncio.gather(*(batcher.answer(lane, ["a b"], [2]) for _ in range(2)))
        batcher.close()
        return answers

    @app.get("/fail")
    async def fail():
        raise RuntimeError("why")

    return TestClient(app, raise_server_exceptions=False)


def spans(exported):
    return {
        name: [one for one in exported.get_finished_spans() if one.name == name]
        for name in {one.name for one in exported.get_finished_spans()}
    }


def test_a_request_is_a_span_of_its_callers_trace(client, exported):
    client.post("/predict/x", headers={"traceparent": PARENT, "X-Request-ID": "abc"})
    (request,) = spans(exported)["POST /predict/{name}"]
    assert request.kind is SpanKind.SERVER
    assert f"{request.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert f"{request.parent.span_id:016x}" == "b7ad6b7169203331"
    assert request.attributes["http.route"] == "/predict/{name}"
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["telmo.request_id"] == "abc"
    assert client.app.state.finished[0].trace == "0af7651916cd43dd8448eb211c80319c"


def test_the_wait_and_the_batch_are_its_children(client, exported):
    client.post("/predict/x")
    found = spans(exported)
    (request,) = found["POST /predict/{name}"]
    for name in ("queue", "compute"):
        for child in found[name]:
            assert child.parent.span_id == request.context.span_id
            assert request.start_time <= child.end_time <= request.end_time
    assert len(found["queue"]) == len(found["compute"]) == 2
    assert all(
        queue.start_time <= queue.end_time <= one.start_time
        for queue, one in zip(found["queue"], found["compute"], strict=True)
    )


def test_a_batch_is_linked_with_the_requests_in_it(client, exported):
    client.post("/predict/x", headers={"traceparent": PARENT})
    found = spans(exported)
    (request,) = found["POST /predict/{name}"]
    for batch in found["batch"]:
        assert batch.parent is None and batch.context.trace_id != request.context.trace_id
        assert {link.context.span_id for link in batch.links} == {request.context.span_id}
        assert batch.attributes["telmo.model"] == "tagger" and batch.attributes["telmo.version"] == "3"
    assert {one.links[0].context.span_id for one in found["compute"]} == {one.context.span_id for one in found["batch"]}


@pytest.mark.parametrize("header", ["", "00-0-0-0", "x" * 1000, "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_a_parent_that_makes_no_sense_begins_a_trace(client, exported, header):
    assert client.post("/predict/x", headers={"traceparent": header}).status_code == 200
    assert spans(exported)["POST /predict/{name}"][0].parent is None


def test_what_the_caller_does_not_sample_is_not_recorded(client, exported):
    assert client.post("/predict/x", headers={"traceparent": PARENT[:-1] + "0"}).status_code == 200
    assert not exported.get_finished_spans()


def test_a_failure_is_told(client, exported):
    assert client.get("/fail").status_code == 500
    (request,) = spans(exported)["GET /fail"]
    assert request.status.status_code is StatusCode.ERROR


@pytest.fixture
def surroundings(monkeypatch):
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    return lambda **variables: [monkeypatch.setenv(name, value) for name, value in variables.items()]


@pytest.mark.parametrize(
    ("variables", "on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, False),
    ],
)
def test_the_standard_variables_turn_it_on(surroundings, variables, on):
    surroundings(**variables)
    assert is_traced() is on


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "'zipkin'; expected otlp, console or none"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "'grpc'; expected http/protobuf"),
    ],
)
def test_what_it_does_not_have_is_named(surroundings, variables, message):
    surroundings(**variables)
    with pytest.raises(ConfigError, match=message):
        tracer_provider()


def test_without_the_extra_the_error_says_what_to_install(surroundings, monkeypatch):
    surroundings(OTEL_TRACES_EXPORTER="otlp")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigError, match=r"pip install 'telmo\[tracing\]'"):
        tracer_provider()


def test_what_is_left_is_sent_at_the_end(house):
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    code = """
import asyncio, os
from serve.observability import Observability
from serve.options import ServeOptions
told = Observability(ServeOptions(metrics=False))
async def serve():
    async with told.lifespan(None):
        told.middlewares[0].cls.__self__._tracer.start_span("last").end()
asyncio.run(serve())
# As a worker ends.
os._exit(0)
"""
    environment = os.environ | {
        "PYTHONPATH": str(house),
        "OTEL_TRACES_EXPORTER": "console",
        "OTEL_SERVICE_NAME": "ours",
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert '"name": "last"' in done.stdout and '"service.name": "ours"' in done.stdout
