"""The stage `pretrain`: a run that breaks off anywhere goes on as if it had not."""

import random

import h5py
import numpy as np
import pytest
import yaml

from embeddings.errors import ConfigError, InputError, SourceError, TrainingError
from embeddings.source import find_source, load_bilm
from embeddings.training_checkpoint import checkpoints_in
from pipeline.config import PretrainConfig, read_config
from pipeline.pretrain import by_layer, checkpoints_of, pretrain_stage

CONFIG = {
    "tokenizer": "whitespace",
    "vocabulary": 30,
    "epochs": 2,
    "shuffle": 50,
    "bilm": {"projection": 4, "cells": 6, "layers": 1, "filters": [[1, 4], [2, 4]], "highways": 0},
    "training": {"batch_size": 4, "steps": 5, "learning_rate": 0.05, "checkpoint_every": 7},
}


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder to work in, with a text in two files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    draw = random.Random(1)
    for name in ("train-1", "train-2", "validation"):
        sentences = [" ".join(f"w{draw.randrange(20)}" for _ in range(draw.randrange(1, 9))) for _ in range(60)]
        (tmp_path / f"{name}.txt").write_text("\n".join(sentences) + "\n")
    return tmp_path


def config_of(work, **changes):
    values = CONFIG | {"output": "bilm", "train": "train-*.txt", "validation": "validation.txt"} | changes
    values["training"] = CONFIG["training"] | changes.get("training", {})
    (work / "config.yaml").write_text(yaml.safe_dump(values))
    return read_config(PretrainConfig, work / "config.yaml")


def weights_of(folder):
    arrays = {}
    with h5py.File(folder / "weights.hdf5") as file:
        file.visititems(
            lambda name, found: arrays.update({name: found[()]}) if isinstance(found, h5py.Dataset) else None
        )
    return arrays


def losses_of(name):
    import mlflow

    (run,) = mlflow.search_runs(search_all_experiments=True, filter_string=f"run_name = 'pretrain {name}'").run_id
    client = mlflow.MlflowClient()
    return {
        key: {metric.step: metric.value for metric in client.get_metric_history(run, key)}
        for key in ("loss", "gradient_norm", "clipped_share", "forward_perplexity")
    }


class Killed(Exception):
    """In place of a signal."""


def test_a_run_that_was_killed_goes_on_to_the_same_weights_and_losses(work):
    how = {"objective": "sampled", "samples": 10, "validate_every": 9, "accumulate": 2}
    whole = pretrain_stage(config_of(work, output="whole", training=how))
    config = config_of(work, output="killed", training=how)
    moments = iter([1, 4, 3, 100])

    def kill_after(reports):
        left = reports

        def report(progress):
            nonlocal left
            left -= 1
            if not left:
                raise Killed

        return report

    scores = None
    while scores is None:
        try:
            scores = pretrain_stage(config, kill_after(next(moments)))
        except Killed:
            assert not (work / "killed").exists()
    assert next(moments, None) is None
    assert scores == whole
    expected = weights_of(work / "whole")
    assert expected.keys() == weights_of(work / "killed").keys()
    for key, array in weights_of(work / "killed").items():
        np.testing.assert_array_equal(array, expected[key])
    assert losses_of("killed") == losses_of("whole")
    assert not checkpoints_of(config.output).exists()


def test_a_checkpoint_is_a_source_and_begins_before_the_first_batch(work):
    def report(progress):
        raise Killed

    config = config_of(work)
    with pytest.raises(Killed):
        pretrain_stage(config, report)
    (checkpoint,) = checkpoints_in(checkpoints_of(config.output))
    assert checkpoint.name == "batch-00000000"
    assert find_source(checkpoint).vocabulary[:3] == ("<S>", "</S>", "<UNK>")
    assert load_bilm(checkpoint).options == config.bilm


def test_a_checkpoint_of_other_settings_is_refused_but_the_rate_may_change(work):
    def report(progress):
        raise Killed

    with pytest.raises(Killed):
        pretrain_stage(config_of(work), report)
    with pytest.raises(ConfigError, match=r"bilm.checkpoints: holds a training with vocabulary 30, found 25; expected"):
        pretrain_stage(config_of(work, vocabulary=25))
    (work / "train-1.txt").write_text("another text\n")
    with pytest.raises(InputError, match="is not that of the checkpoint"):
        pretrain_stage(config_of(work))
    (work / "train-1.txt").write_text("")
    with pytest.raises(InputError, match=r"train-1\.txt: the file is empty"):
        pretrain_stage(config_of(work))


def test_an_exploding_run_is_stopped_and_the_last_good_checkpoint_goes_on(work):
    wild = {"learning_rate": 1e4, "clip_norm": None, "optimizer": "sgd", "schedule": "constant", "warm_up": 0}
    with pytest.raises(TrainingError, match=r"batch \d+: .*; lower training.learning_rate, or set") as error:
        pretrain_stage(config_of(work, training=wild))
    newest = checkpoints_in(checkpoints_of(work / "bilm"))[-1]
    assert f"goes on from {newest.relative_to(work)}" in str(error.value)
    assert all(np.isfinite(array).all() for array in weights_of(newest).values())
    scores = pretrain_stage(config_of(work, training=wild | {"learning_rate": 0.1, "clip_norm": 1.0}))
    assert scores["forward_perplexity"] < 30


def test_training_ends_early_and_keeps_the_best_weights(work):
    """With a rate so high that the perplexity soon rises again."""
    how = {"validate_every": 10, "patience": 2, "learning_rate": 0.5, "schedule": "constant", "warm_up": 0}
    scores = pretrain_stage(config_of(work, training=how, epochs=20))
    assert scores["batches"] < 20 * scores["words"] / 20 - 20
    measured = losses_of("bilm")["forward_perplexity"]
    assert scores["forward_perplexity"] in measured.values()
    assert len(measured) >= 3


def test_words_can_be_read_by_their_number(work):
    scores = pretrain_stage(config_of(work, bilm={"inputs": "words", "projection": 4, "cells": 6, "layers": 1}))
    stored = find_source(work / "bilm")
    assert stored.options.words == len(stored.vocabulary) == 23
    assert stored.spelling.ids(["<S>", "w3", "never"])[:, 0].tolist() == [1, stored.vocabulary.index("w3") + 1, 3]
    assert scores["forward_perplexity"] < 30


def test_rare_words_are_left_out(work):
    (work / "train-1.txt").write_text("once\n" + "often enough\n" * 200)
    pretrain_stage(config_of(work, train="train-1.txt", min_count=2))
    assert set(find_source(work / "bilm").vocabulary) == {"<S>", "</S>", "<UNK>", "often", "enough"}


def test_a_published_bilm_is_trained_further_with_its_softmax(work):
    pretrain_stage(config_of(work, output="general", epochs=4))
    sentences = "w1 w2 w3 newcomer\n" * 100
    for name in ("own", "held-out"):
        (work / f"{name}.txt").write_text(sentences)
    changes = {"train": "own.txt", "validation": "held-out.txt", "source": "general"}
    values = CONFIG | {"output": "own", **changes, "training": CONFIG["training"] | {"learning_rate": 1e-9}}
    values.pop("bilm")
    (work / "config.yaml").write_text(yaml.safe_dump(values))
    pretrain_stage(read_config(PretrainConfig, work / "config.yaml"))
    before, after = find_source(work / "general"), find_source(work / "own")
    assert before.options == after.options
    old, new = before.arrays(), after.arrays()
    for key in old.keys() - {"softmax/W", "softmax/b"}:
        np.testing.assert_allclose(new[key], old[key], atol=1e-6)
    for word, source in (("w2", "w2"), ("newcomer", "<UNK>")):
        row = new["softmax/W"][after.vocabulary.index(word)]
        np.testing.assert_allclose(row, old["softmax/W"][before.vocabulary.index(source)], atol=1e-6)
    # With a rate worth the name it learns the new text.
    scores = pretrain_stage(read_config(PretrainConfig, work / "config.yaml", ["training.learning_rate=0.05"]))
    assert scores["forward_perplexity"] < 3


def test_a_source_without_a_softmax_gets_a_new_one(work, tiny_bilm_folder):
    values = CONFIG | {"output": "own", "train": "train-1.txt", "validation": "validation.txt"}
    values |= {"source": str(tiny_bilm_folder)}
    values.pop("bilm")
    (work / "config.yaml").write_text(yaml.safe_dump(values))
    pretrain_stage(read_config(PretrainConfig, work / "config.yaml"))
    assert find_source(work / "own").arrays()["softmax/b"].shape == (23,)


def test_a_broken_checkpoint_is_refused_by_name(work):
    def report(progress):
        raise Killed

    config = config_of(work)
    with pytest.raises(Killed):
        pretrain_stage(config, report)
    (checkpoint,) = checkpoints_in(checkpoints_of(config.output))
    (checkpoint / "variables.npz").write_bytes(b"rubbish")
    with pytest.raises(SourceError, match=r"variables\.npz: not a checkpoint that can be read"):
        pretrain_stage(config)


def test_norms_by_layer_are_those_of_their_variables():
    norms = {"forward/layer_0/kernel": 3.0, "forward/layer_0/loop/cell/recurrent_kernel": 4.0, "objective/bias": 2.0}
    assert by_layer(norms) == {"forward/layer_0": 5.0, "objective": 2.0}
