"""NVIDIA's client, as it is. It wants older versions of what is installed here, and has an environment of its own."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest
from reference.fake_service import FakeService
from reference.listening import listening, protocols_app

TEXTS = ["one two three four", "Ünï"]
REQUESTS = {
    "binary": {"model": "kinds", "texts": TEXTS},
    "json": {"model": "kinds", "texts": TEXTS, "binary": False, "outputs": [["label", 0], ["probabilities", 0]]},
    "column": {"model": "kinds", "texts": TEXTS, "shape": [2, 1], "version": "3", "id": "a-7"},
    "gzip": {"model": "kinds", "texts": TEXTS * 400, "coding": "gzip"},
    "deflate": {"model": "kinds", "texts": TEXTS * 400, "coding": "deflate"},
    "best": {"model": "kinds", "texts": TEXTS, "outputs": [["probabilities", 1]]},
    "logits": {"model": "kinds", "texts": TEXTS, "parameters": {"logits": True}, "timeout": 5_000_000},
    "vectors": {"model": "kinds", "texts": TEXTS, "outputs": [["embedding", 0], ["label", 0]]},
    "tags": {"model": "names", "texts": ["Ada met Bob"]},
    "tags in json": {"model": "names", "texts": ["Ada met Bob"], "binary": False, "outputs": [["tags", 0]]},
    "translation": {"model": "dates", "texts": TEXTS},
    "pairs": {"model": "same", "texts": ["a", "a", "a", "b"], "shape": [2, 2]},
    "unknown": {"model": "nobody", "texts": TEXTS},
    "no words": {"model": "kinds", "texts": ["a", " "]},
}


@pytest.fixture(scope="module")
def service():
    return FakeService()


@pytest.fixture(scope="module")
def found(house, service):
    """What the client got, by its kind and the request."""
    own = house / "benchmarks/peers/.envs/tritonclient/bin/python"
    python = sys.executable if find_spec("tritonclient") else str(own)
    if not find_spec("tritonclient") and not own.exists():
        pytest.skip("no tritonclient; install it with benchmarks/peers/install.py tritonclient")
    script = house / "benchmarks/peers/tritonclient_answers.py"
    with listening(protocols_app(service)) as address:
        command = [python, script, address, json.dumps(list(REQUESTS.values()))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    by_kind = {kind: dict(zip(REQUESTS, told[kind], strict=True)) for kind in ("threads", "asyncio")}
    return by_kind | {"about": told["about"]}


@pytest.fixture(params=["threads", "asyncio"])
def got(found, request):
    return found[request.param]


def test_it_sees_the_server_and_its_models(found):
    about = found["about"]
    assert about["live"] and about["ready"] and about["server"]["name"] == "telmo"
    assert [(entry["name"], entry["version"], entry["state"]) for entry in about["index"]][:3] == [
        ("kinds", "3", "READY"),
        ("kinds", "2", "UNLOADING"),
        ("names", "", "READY"),
    ]
    assert about["models_ready"] == [True, False, True, True, True]
    assert about["models"][0]["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert about["models"][0]["outputs"][1]["parameters"]["labels"] == ["many", "one"]
    assert about["models"][4]["inputs"][0]["shape"] == [-1, 2]


@pytest.mark.parametrize("form", ["binary", "json", "column"])
def test_texts_are_classified_in_every_form(got, form):
    assert got[form]["outputs"] == {"label": ["many", "one"], "probabilities": [[0.75, 0.25], [0.0, 1.0]]}
    assert got[form]["response"]["model_version"] == "3"


def test_the_id_comes_back(got):
    assert got["column"]["response"]["id"] == "a-7" and "id" not in got["binary"]["response"]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_bodies_may_be_compressed(got, coding):
    assert got[coding]["outputs"]["label"] == ["many", "one"] * 400


def test_the_best_labels_are_classified(got):
    assert got["best"]["outputs"] == {"probabilities": [["0.750000:0:many"], ["1.000000:1:one"]]}


def test_logits_are_given_if_asked_for(got):
    assert got["logits"]["outputs"]["logits"] == [[0.0, 4.0], [0.0, 1.0]]


def test_the_timeout_is_in_microseconds(got, service):
    assert 5.0 in [asked["timeout"] for asked in service.asked]


def test_vectors_come_with_the_label(got):
    assert got["vectors"]["outputs"] == {"embedding": [[18.0] * 4, [3.0] * 4], "label": ["many", "one"]}


def test_a_tagger_gives_json_in_strings(got):
    outputs = {name: json.loads(values[0]) for name, values in got["tags"]["outputs"].items()}
    assert outputs["tags"] == ["B-NAME", "O", "B-NAME"] == json.loads(got["tags in json"]["outputs"]["tags"][0])
    assert outputs["tokens"] == [["Ada", 0, 3], ["met", 4, 7], ["Bob", 8, 11]]
    assert outputs["spans"][1] == {"label": "NAME", "text": "Bob", "start": 8, "end": 11}


def test_a_translation_is_a_string(got):
    assert got["translation"]["outputs"]["text"] == [text[::-1] for text in TEXTS]


def test_pairs_are_rows(got):
    assert got["pairs"]["outputs"]["label"] == ["same", "other"]


def test_it_reads_why_a_request_is_refused(got):
    assert got["unknown"]["status"] == "404" and "no model 'nobody'" in got["unknown"]["error"]
    assert "texts[1] has no words" in got["no words"]["error"]
