import os
import subprocess
import sys

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from serve.metrics import Metrics, router
from serve.request_facts import RequestFacts


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def client(metrics):
    app = FastAPI()
    app.include_router(router(metrics))
    return TestClient(app)


def read(client, accept="text/plain", parse=prometheus):
    """The samples, by name and labels."""
    text = client.get("/metrics", headers={"Accept": accept}).text
    return {(one.name, *sorted(one.labels.items())): one.value for family in parse(text) for one in family.samples}


def facts(seconds=0.01, **more):
    return RequestFacts("id", "POST", route="/v1/models/{name}:predict", seconds=seconds, **more)


def test_requests_are_counted_by_route_model_and_status(client, metrics):
    for status in (200, 200, 429):
        metrics.finished(facts(status=status, model="tagger"))
    metrics.finished(facts(status=404))
    labels = ("route", "/v1/models/{name}:predict")
    found = read(client)
    assert found["telmo_requests_total", ("model", "tagger"), labels, ("status", "200")] == 2
    assert found["telmo_requests_total", ("model", "tagger"), labels, ("status", "429")] == 1
    assert found["telmo_requests_total", ("model", "unknown"), labels, ("status", "404")] == 1


def test_the_buckets_tell_a_millisecond_from_ten_seconds(client, metrics):
    times = [0.0009, 0.004, 0.04, 0.4, 4.0, 9.0, 40.0]
    for seconds in times:
        metrics.finished(facts(seconds=seconds, status=200, model="tagger"))
    buckets = {
        float(dict(labels)["le"]): value
        for (name, *labels), value in read(client).items()
        if name == "telmo_request_seconds_bucket"
    }
    assert buckets == {bound: sum(one <= bound for one in times) for bound in buckets}
    assert min(buckets) == 0.001 and 10.0 in buckets


def test_the_queue_is_what_has_joined_and_not_left(client, metrics):
    metrics.queued("tagger", 12)
    metrics.queued("tagger", 5)
    metrics.left("tagger", 4, 0)
    metrics.left("tagger", 8, 1)
    found = read(client)
    assert found["telmo_queue_words", ("model", "tagger")] == 5
    assert found["telmo_queue_requests", ("model", "tagger")] == 1


def test_a_batch_is_counted(client, metrics):
    metrics.batch("tagger", "3", requests=3, texts=5, words=70, seconds=0.015, waited=[0.001, 0.002])
    found = read(client)
    model = ("model", "tagger")
    assert found["telmo_words_total", model] == 70 and found["telmo_texts_total", model] == 5
    assert found["telmo_batch_seconds_sum", model] == 0.015
    assert found["telmo_batch_requests_sum", model] == 3
    assert found["telmo_batch_words_bucket", ("le", "128.0"), model] == 1
    assert found["telmo_batch_words_bucket", ("le", "32.0"), model] == 0
    assert found["telmo_queue_seconds_count", model] == 2
    assert found["telmo_queue_seconds_sum", model] == pytest.approx(0.003)


def test_a_refusal_is_counted_by_its_reason(client, metrics):
    for reason in ("full", "late", "late"):
        metrics.refused("tagger", reason)
    found = read(client)
    assert found["telmo_refused_total", ("model", "tagger"), ("reason", "late")] == 2
    assert found["telmo_refused_total", ("model", "tagger"), ("reason", "full")] == 1


def test_the_versions_that_are_there_are_told_and_no_others(client, metrics):
    def there():
        return {
            tuple(value for _, value in labels)
            for (name, *labels), value in read(client).items()
            if name == "telmo_model_info"
        }

    metrics.changed("tagger", "1", "loading")
    assert there() == {("tagger", "loading", "1")}
    metrics.changed("tagger", "1", "ready")
    metrics.changed("tagger", "2", "loading")
    assert there() == {("tagger", "ready", "1"), ("tagger", "loading", "2")}
    metrics.changed("tagger", "2", "ready")
    metrics.changed("tagger", "1", "draining")
    metrics.changed("tagger", "1", "unloaded")
    metrics.changed("folder", None, "ready")
    assert there() == {("tagger", "ready", "2"), ("folder", "ready", "")}
    found = read(client)
    assert found["telmo_model_switches_total", ("model", "tagger")] == 1
    assert found["telmo_model_loads_total", ("model", "tagger"), ("outcome", "ready")] == 2


def test_a_stop_is_no_switch(client, metrics):
    metrics.changed("tagger", "1", "ready")
    metrics.changed("tagger", "1", "draining")
    assert ("telmo_model_switches_total", ("model", "tagger")) not in read(client)


def test_disagreements_of_a_shadow_are_counted(client, metrics):
    for agreed in (True, False, True):
        metrics.compared("tagger", "3", "tagger", "4", agreed)
    found = read(client)
    labels = (("model", "tagger"), ("shadow", "tagger"))
    assert found["telmo_shadow_texts_total", *labels] == 3
    assert found["telmo_shadow_disagreements_total", *labels] == 1


def test_the_process_is_measured(client):
    found = read(client)
    assert found["process_resident_memory_bytes",] > 10_000_000
    assert found["process_cpu_seconds_total",] > 0


def test_the_reader_chooses_the_format(client, metrics):
    metrics.finished(facts(status=200, model="tagger"))
    asked = "application/openmetrics-text; version=1.0.0"
    assert client.get("/metrics", headers={"Accept": asked}).headers["Content-Type"].startswith(asked)
    assert read(client, asked, openmetrics)["process_open_fds",] > 0
    assert client.get("/metrics").headers["Content-Type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize(
    "accept",
    ["application/openmetrics-text;version=abc", "text/plain;version=1.x", "text/plain;version=", ",;,=;", "a" * 4000],
)
def test_a_wish_that_makes_no_sense_gets_the_plain_format(client, accept):
    answer = client.get("/metrics", headers={"Accept": accept})
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")


WORKER = """
import sys
from serve.metrics import Metrics
from serve.request_facts import RequestFacts
from prometheus_client import generate_latest
metrics = Metrics()
metrics.finished(RequestFacts("id", "GET", "/v1/models", 200, 0.01))
metrics.queued("tagger", 7)
if sys.argv[1] == "tell":
    print(generate_latest(metrics.registry).decode())
"""

PARENT = """
import os, subprocess, sys
from serve.shared_metrics import forget_worker, shared_metrics
with shared_metrics():
    folder = os.environ["PROMETHEUS_MULTIPROC_DIR"]
    for what in ("count", "count", "tell"):
        worker = subprocess.Popen([sys.executable, "-c", sys.argv[1], what])
        assert worker.wait() == 0
        forget_worker(worker.pid)
assert not os.path.exists(folder)
"""


def test_workers_are_added_up_and_the_dead_no_longer_queue(house):
    done = subprocess.run(
        [sys.executable, "-c", PARENT, WORKER],
        env=os.environ | {"PYTHONPATH": str(house)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = {
        (one.name, *one.labels.values()): one.value for family in prometheus(done.stdout) for one in family.samples
    }
    assert found["telmo_requests_total", "unknown", "/v1/models", "200"] == 3
    assert found["telmo_queue_words", "tagger"] == 7
