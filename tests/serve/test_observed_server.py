"""What a real `telmo serve` of two workers tells."""

import http.client
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client.parser import text_string_to_metric_families as families

ROUTE = "/v1/models/{name}:predict"


def ask(address, method, path, body=None, **headers):
    connection = http.client.HTTPConnection(address, timeout=120)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.mark.slow
def test_every_answer_is_in_the_log_and_in_the_metrics(house, model_folders):
    options = ["--port", "0", "--workers", "2", "--log-format", "json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", "serve", str(model_folders["tagging"]), *options],
        env=os.environ | {"PYTHONPATH": str(house), "OTEL_TRACES_EXPORTER": "console"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        address = process.stdout.readline().split("http://")[1].split()[0]

        def predict(name):
            body = json.dumps({"texts": ["one two"]})
            return ask(address, "POST", "/v1/models/tiny-tagging:predict", body, **{"X-Request-ID": name})[0]

        with ThreadPoolExecutor(8) as pool:
            before = [f"before-{k}" for k in range(24)]
            assert set(pool.map(predict, before)) == {200}
            samples = [one for family in families(ask(address, "GET", "/metrics")[1]) for one in family.samples]
            (counted,) = [one.value for one in samples if one.labels.get("route") == ROUTE and "total" in one.name]
            (words,) = [one.value for one in samples if one.name == "telmo_words_total"]
            assert (counted, words) == (24, 48)
            last = [f"last-{k}" for k in range(8)]
            asked = [pool.submit(predict, name) for name in last]
            time.sleep(0.01)
            process.terminate()
            answered = [name for name, one in zip(last, asked, strict=True) if not one.exception()]
    finally:
        process.terminate()
        printed, told = process.communicate(timeout=60)
    assert process.returncode == 0
    # Each line is a record, whoever wrote it.
    lines = [json.loads(line) for line in told.splitlines()]
    requests = {line["request_id"]: line for line in lines if line["logger"] == "telmo.serve.requests"}
    assert {*before, *answered} <= set(requests)
    assert all(requests[name]["status"] == 200 and requests[name]["words"] == 2 for name in answered)
    # The traces of the last ones are sent, too.
    assert all(requests[name]["trace"] in printed for name in answered)
