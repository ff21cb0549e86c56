"""The commands on JAX, where there is no TensorFlow."""

import json

import h5py
import numpy as np
import pytest
import yaml

from embeddings.embedder import Embedder
from embeddings.samplers import Sampler
from embeddings.source import load_bilm
from embeddings.training_checkpoint import checkpoints_in, checkpoints_of
from pipeline.config import PretrainConfig, read_config
from pipeline.fill import fill_stage
from pipeline.generate import generate_stage
from pipeline.pretrain import pretrain_stage

pytestmark = pytest.mark.slow

CONFIG = {
    "tokenizer": "whitespace",
    "vocabulary": 30,
    "train": "train.txt",
    "validation": "validation.txt",
    "bilm": {"projection": 4, "cells": 6, "layers": 1, "filters": [[1, 4], [2, 4]], "highways": 0},
    "training": {
        "batch_size": 4,
        "steps": 5,
        "learning_rate": 0.05,
        "checkpoint_every": 7,
        "validate_every": 9,
        "dropout": 0.0,
    },
}

ASK = """
from pipeline.cli import main
def ask(*arguments):
    try:
        main(list(arguments))
    except SystemExit as end:
        assert not end.code, (arguments, end.code)
ask("pretrain", "config.yaml", "--set", "output=changed")
ask("embed", "validation.txt", "vectors.hdf5", "--source", "changed", "--tokenizer", "whitespace")
ask("fill", "changed", "w1 ___ w2", "--top", "3", "--json", "--tokenizer", "whitespace")
ask("generate", "changed", "--prompt", "w1 w2", "--words", "5", "--temperature", "0", "--tokenizer", "whitespace")
"""


class Killed(Exception):
    """In place of a signal."""


def test_a_run_of_tensorflow_ends_on_jax_as_if_nothing_had_happened(on_jax, tmp_path, monkeypatch, mlflow_store):
    store = mlflow_store(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    for name, sentences in (("train", 100), ("validation", 30)):
        lines = (" ".join(f"w{(k * j + k) % 7}" for j in range(1 + k % 8)) for k in range(sentences))
        (tmp_path / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG | {"output": "whole"}))
    whole = pretrain_stage(read_config(PretrainConfig, tmp_path / "config.yaml"))

    def kill(progress):
        if progress.batch == 10:
            raise Killed

    with pytest.raises(Killed):
        pretrain_stage(read_config(PretrainConfig, tmp_path / "config.yaml", ["output=changed"]), kill)
    assert [path.name for path in checkpoints_in(checkpoints_of(tmp_path / "changed"))][-1] == "batch-00000007"
    printed = on_jax(ASK, tmp_path, MLFLOW_TRACKING_URI=store).splitlines()

    told = f"changed: perplexity {whole['forward_perplexity']:.1f} forward, {whole['backward_perplexity']:.1f} backward"
    assert printed[0] == told
    expected, found = load_bilm("whole").get_weights(), load_bilm("changed").get_weights()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    sentences = [line.split() for line in (tmp_path / "validation.txt").read_text().splitlines()]
    with h5py.File("vectors.hdf5") as vectors:
        for k, layers in enumerate(Embedder(load_bilm("changed")).embed(sentences)):
            np.testing.assert_allclose(vectors[str(k)], layers, atol=1e-5)
    ranked = [json.loads(line) for line in printed if line.startswith("{")]
    filled = fill_stage("changed", "w1 ___ w2", 0.0, "whitespace")[:3]
    assert [one["word"] for one in ranked] == [one.word for one in filled]
    np.testing.assert_allclose([one["forward"] for one in ranked], [one.forward for one in filled], rtol=1e-4)
    generated = [*generate_stage("changed", "w1 w2", 5, Sampler(0.0), "whitespace")]
    assert "\n".join(printed[-1 - "".join(generated).count("\n") :]) == "".join(generated)
