"""The whole main job, small: text to biLM to vectors to two registered models to an answered request, each by its
command, of which the last has a process of its own."""

import io
import json
import os
import subprocess
import sys
import urllib.request
from contextlib import redirect_stdout

import h5py
import mlflow
import pytest
import yaml

from pipeline.cli import main

pytestmark = pytest.mark.slow

PLACES = ["Paris", "New York", "Rome", "Oslo"]
FOODS = ["bread", "green tea", "rice", "soup"]


def sentences(count, offset):
    """Sentences about places and foods, with a label and tags."""
    for k in range(offset, offset + count):
        about, things = ("place", PLACES) if k % 2 else ("food", FOODS)
        thing = things[k // 2 % 4]
        words = ["I", "like" if k % 3 else "love", *thing.split(), "very", "much", "."]
        inside = ["B-" + about, *["I-" + about] * (len(thing.split()) - 1)]
        yield about, words, ["O", "O", *inside, "O", "O", "O"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipe")
    for split, count in (("train", 120), ("validation", 40), ("test", 40)):
        rows = list(sentences(count, {"train": 0, "validation": 1000, "test": 2000}[split]))
        (folder / f"{split}.txt").write_text("".join(" ".join(words) + "\n" for _, words, _ in rows))
        (folder / f"{split}.csv").write_text(
            "text,label\n" + "".join(f"{' '.join(words)},{label}\n" for label, words, _ in rows)
        )
        conll = "\n".join(
            "".join(f"{word} {tag}\n" for word, tag in zip(words, tags, strict=True)) for _, words, tags in rows
        )
        (folder / f"{split}.conll").write_text(conll)
    write(folder / "bilm.yaml", output="bilm", train="train.txt", validation="validation.txt", vocabulary=50, epochs=20,
          bilm={"projection": 8, "cells": 16, "filters": [[1, 8], [2, 8], [3, 8]], "highways": 1},
          training={"batch_size": 8, "steps": 6, "learning_rate": 0.02})  # fmt: skip
    for name, task, suffix in (("label", "classification", "csv"), ("tag", "tagging", "conll")):
        write(folder / f"{name}.yaml", name=name, task=task, output=f"models/{name}", embedding={"source": "bilm"},
              data={split: f"{split}.{suffix}" for split in ("train", "validation", "test")},
              head={"encoder": "lstm", "units": 16, "layer_norm": True, "dropout": 0.0},
              training={"epochs": 40, "patience": 8, "batch_size": 8, "learning_rate": 0.01})  # fmt: skip
    return folder


def write(path, **values):
    path.write_text(yaml.safe_dump(values))


def telmo(*arguments):
    """What the command prints."""
    with redirect_stdout(io.StringIO()) as printed, pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert not end.value.code
    return printed.getvalue()


@pytest.fixture(scope="module")
def trained(folder, mlflow_store):
    with pytest.MonkeyPatch.context() as here:
        here.chdir(folder)
        here.setenv("MLFLOW_TRACKING_URI", mlflow_store(folder))
        telmo("pretrain", "bilm.yaml")
        yield {name: telmo("train", f"{name}.yaml") for name in ("label", "tag")}


def test_the_biLM_is_written_in_the_published_form(folder, trained):
    assert {path.name for path in (folder / "bilm").iterdir()} == {
        "options.json",
        "weights.hdf5",
        "vocabulary.txt",
        "vocabulary.counts.txt",
    }
    telmo("embed", "test.txt", "vectors.hdf5", "--source", "bilm")
    with h5py.File(folder / "vectors.hdf5") as file:
        assert len(file) == 41 and file["0"].shape[0] == 3


def test_both_heads_learn_and_are_registered(folder, trained):
    for name, metric in (("label", "accuracy"), ("tag", "f1")):
        assert f"registered as models:/{name}@champion, version 1" in trained[name]
        run = mlflow.get_run(mlflow.MlflowClient().get_model_version_by_alias(name, "champion").run_id)
        assert run.data.metrics[f"test.{metric}"] > 0.8
        assert run.data.params["head.units"] == "16"
        assert len(run.data.params["data.train.sha256"]) == 64
        assert {data.dataset.name for data in run.inputs.dataset_inputs} >= {
            f"train.{'csv' if name == 'label' else 'conll'}"
        }
        history = mlflow.MlflowClient().get_metric_history(run.info.run_id, f"validation.{metric}")
        assert [point.step for point in history] == list(range(1, len(history) + 1))
        artifacts = {item.path for item in mlflow.artifacts.list_artifacts(run_id=run.info.run_id)}
        assert {
            "config.yaml",
            "labels.json",
            "training_curves.png",
            "confusion_matrix.png",
            "layer_weights.png",
        } <= artifacts


def test_commands_and_the_server_give_the_same_answer(house, trained):
    text = "I love New York very much."
    one = json.loads(telmo("predict", "models/tag", text, "--json"))
    assert one["spans"] == [{"label": "place", "text": "New York", "start": 7, "end": 15}]
    assert "accuracy" in telmo("evaluate", "models:/label@champion", "test.csv")
    models = ["models:/label@champion", "models/tag"]
    command = [sys.executable, "-m", "pipeline.cli", "serve", *models, "--port", "0"]
    here = os.environ | {"PYTHONPATH": str(house)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=here) as server:
        try:
            address = "http://" + server.stdout.readline().split("http://")[1].split()[0]
            answers = {}
            for model in ("label", "tag"):
                body = json.dumps({"texts": [text]}).encode()
                url = f"{address}/v1/models/{model}:predict"
                request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
                with urllib.request.urlopen(request) as response:
                    answers[model] = json.load(response)
        finally:
            server.terminate()
    assert answers["label"]["version"] == "1" and answers["label"]["predictions"][0]["label"] == "place"
    assert answers["tag"]["predictions"][0]["spans"] == one["spans"]
