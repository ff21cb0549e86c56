import http.client
import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

# Ray counts its users and warns of what does not concern a test.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
pytest.importorskip("ray.serve", exc_type=ImportError)
from pydantic import ValidationError

from serve.ray_serve import RayServeOptions, build


def test_a_command_line_gives_strings_and_a_config_lists():
    line = RayServeOptions(models="a,models:/b@c", max_replicas="4", cpus="2", batch_words="512", log_format="json")
    config = RayServeOptions(models=["a", "models:/b@c"], max_replicas=4, cpus=2, batch_words=512, log_format="json")
    assert line == config.model_copy(update=line.model_extra)
    assert line.models == ["a", "models:/b@c"] and line.max_replicas == 4
    assert line.options() == config.options()
    assert line.options().batch_words == 512 and line.options().log_format == "json" and not line.options().metrics


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"models": []}, "models"),
        ({}, "models"),
        ({"models": "a", "batch_word": 5}, "'batch_word'; expected one of allowed_hosts, batch_words, "),
        ({"models": "a", "workers": 5}, "'workers'; expected one of "),
        ({"models": "a", "batch_words": "many"}, "batch_words"),
        ({"models": "a", "log_level": "loud"}, "log_level"),
        ({"models": "a", "cpus": 0}, "cpus"),
    ],
)
def test_what_is_not_understood_is_named(wrong, message):
    with pytest.raises(ValidationError, match=message):
        RayServeOptions(**wrong)


def test_the_deployment_is_as_asked():
    application = build(RayServeOptions(models="a", min_replicas=2, max_replicas=5, cpus=3, grace=7))
    deployment = application._bound_deployment
    scaling = deployment._deployment_config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas) == (2, 5)
    assert deployment.ray_actor_options["num_cpus"] == 3
    assert deployment._deployment_config.graceful_shutdown_timeout_s == 7
    # Batches are made of requests that are there at once.
    assert deployment.max_ongoing_requests >= 256


SCRIPT = """
import sys
import ray
from ray import serve
from serve.ray_serve import RayServeOptions, build
ray.init("local", num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20, log_to_driver=False)
serve.start(http_options={"port": int(sys.argv[2])})
serve.run(build(RayServeOptions(models=sys.argv[1], min_replicas=2, max_replicas=2, cpus=0.5)))
print("ready", flush=True)
sys.stdin.read()
serve.shutdown()
ray.shutdown()
"""


@pytest.mark.slow
def test_replicas_answer_over_http(house, model_folders):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"PYTHONPATH": str(house)}
    command = [sys.executable, "-c", SCRIPT, ",".join(map(str, model_folders.values())), str(port)]
    process = subprocess.Popen(
        command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        lines = iter(process.stdout.readline, "")
        assert any(line.strip() == "ready" for line in lines), process.stderr.read()

        def ask(k):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request(
                "POST",
                "/v1/models/tiny-tagging:predict",
                json.dumps({"texts": [f"Text {k}."]}),
                {"X-Request-ID": f"id-{k}"},
            )
            response = connection.getresponse()
            return response.status, response.headers.get_all("X-Request-ID"), json.loads(response.read())

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, range(40)))
        assert [status for status, _, _ in answers] == [200] * 40
        assert [names for _, names, _ in answers] == [[f"id-{k}"] for k in range(40)]
        assert [answer["predictions"][0]["tokens"][1][0] for _, _, answer in answers] == [str(k) for k in range(40)]
    finally:
        process.communicate("", timeout=120)
