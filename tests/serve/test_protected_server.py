"""A real `telmo serve --keys`, asked by the Python client."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from models import Predictor
from serve.client import Client, Retries
from serve.client.errors import NotAllowed, NotAuthenticated
from serve.keys import add_key, revoke_key

TEXTS = ["A cat isn't here.", ["two", "words"], "One."]
SOON = 120


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return tmp_path_factory.mktemp("keys") / "keys.json"


@pytest.fixture(scope="module")
def address(house, model_folders, keys):
    add_key(keys, "first")
    command = [sys.executable, "-m", "pipeline.cli", "serve", *map(str, model_folders.values())]
    process = subprocess.Popen(
        [*command, "--keys", str(keys), "--port", "0"],
        env=os.environ | {"PYTHONPATH": str(house)},
        text=True,
        stdout=subprocess.PIPE,
    )
    yield f"http://{process.stdout.readline().split('http://')[1].split()[0]}"
    process.terminate()
    process.communicate(timeout=SOON)


def asking(address, key):
    return Client(address, key=key, retries=Retries(3))


def test_the_client_gets_what_the_predictor_answers(address, keys, model_folders):
    with asking(address, add_key(keys, "reader")) as client:
        while True:
            try:
                assert {model.name for model in client.models()} == {"tiny-classification", "tiny-tagging"}
                break
            except NotAuthenticated:
                # A running server looks at the file once a second.
                time.sleep(0.1)
        for task, folder in model_folders.items():
            expected = Predictor.load(folder).predict(TEXTS)
            answers = client.predict(TEXTS, model=f"tiny-{task}")
            if task == "tagging":
                assert answers == expected
            else:
                assert [answer.label for answer in answers] == [answer.label for answer in expected]
        vectors = client.embed(TEXTS, model="tiny-tagging", layers="all", pool="mean")
        assert [one.shape for one in vectors] == [(3, 1, 8)] * 3 and all(np.isfinite(one).all() for one in vectors)


def test_a_scope_holds_and_a_revoked_key_ends_without_a_restart(address, keys):
    with asking(address, add_key(keys, "tagger", models=["tiny-t*"])) as client:
        deadline = time.monotonic() + SOON
        while time.monotonic() < deadline:
            try:
                assert [model.name for model in client.models()] == ["tiny-tagging"]
                break
            except NotAuthenticated:
                time.sleep(0.1)
        with pytest.raises(NotAllowed, match="may not ask the model 'tiny-classification'"):
            client.predict(["a"], model="tiny-classification")
        revoke_key(keys, "tagger")
        with pytest.raises(NotAuthenticated):
            while time.monotonic() < deadline:
                client.predict(["a"])
                time.sleep(0.1)
