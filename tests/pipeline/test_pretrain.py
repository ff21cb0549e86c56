"""The stage `pretrain`: a run that breaks off anywhere goes on as if it had not."""

import json
import random
import shutil

import h5py
import numpy as np
import pytest
import yaml
from reference import numpy_bilm
from reference.numpy_softmax import adaptive_log_probability

from embeddings.adaptation import continued
from embeddings.adaptive_softmax import AdaptiveSoftmax
from embeddings.errors import ConfigError, InputError, OutputError, SourceError, TrainingError
from embeddings.samplers import Sampler
from embeddings.settings import PretrainingSettings
from embeddings.source import find_source, load_bilm
from embeddings.spelling import Bytes
from embeddings.stored_softmax import softmax_of
from embeddings.training_checkpoint import checkpoints_in, checkpoints_of, read_position
from embeddings.vocabulary import Vocabulary
from embeddings.windows import Windows
from embeddings.word_predictor import FORWARD, WordPredictor
from pipeline.config import PretrainConfig, read_config
from pipeline.fill import fill_stage
from pipeline.generate import generate_stage
from pipeline.pretrain import by_layer, pretrain_stage

pytestmark = pytest.mark.slow

CONFIG = {
    "tokenizer": "whitespace",
    "vocabulary": 30,
    "epochs": 2,
    "shuffle": 50,
    "tracking": {"register_model": False},
    "bilm": {"projection": 4, "cells": 6, "layers": 1, "filters": [[1, 4], [2, 4]], "highways": 0},
    "training": {"batch_size": 4, "steps": 5, "learning_rate": 0.05, "checkpoint_every": 7},
}


ADAPTIVE = {"objective": "adaptive", "cutoffs": [5, 12], "div_value": 2.0}


def prepare(folder, monkeypatch, mlflow_store):
    """Make a folder one to work in, with a text in two files."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store(folder))
    draw = random.Random(1)
    for name in ("train-1", "train-2", "validation"):
        sentences = [" ".join(f"w{draw.randrange(20)}" for _ in range(draw.randrange(1, 9))) for _ in range(60)]
        (folder / f"{name}.txt").write_text("\n".join(sentences) + "\n")
    return folder


@pytest.fixture
def work(tmp_path, monkeypatch, mlflow_store):
    return prepare(tmp_path, monkeypatch, mlflow_store)


class Killed(Exception):
    """In place of a signal."""


def kill(progress):
    raise Killed


@pytest.fixture(scope="module")
def killed_at_once(tmp_path_factory, mlflow_store):
    """The folder in which a run was killed that had no checkpoint yet but the one it begins with."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = prepare(tmp_path_factory.mktemp("killed"), monkeypatch, mlflow_store)
        with pytest.raises(Killed):
            pretrain_stage(config_of(folder), kill)
    return folder


@pytest.fixture
def killed(work, killed_at_once):
    """A folder to work in that holds what that run left."""
    return shutil.copytree(killed_at_once, work, dirs_exist_ok=True)


@pytest.fixture(scope="module")
def adaptive(tmp_path_factory, mlflow_store):
    """The folder of a biLM that was trained with an adaptive softmax, beside its texts, and the scores."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = prepare(tmp_path_factory.mktemp("adaptive"), monkeypatch, mlflow_store)
        return folder / "bilm", pretrain_stage(config_of(folder, training=ADAPTIVE))


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
        key: [(metric.step, metric.value) for metric in client.get_metric_history(run, key)]
        for key in ("loss", "gradient_norm", "clipped_share", "forward_perplexity")
    }


def test_a_run_that_was_killed_goes_on_to_the_same_weights_and_losses(work):
    how = {"objective": "sampled", "samples": 10, "validate_every": 9, "accumulate": 2}
    whole = pretrain_stage(config_of(work, output="whole", training=how))
    config = config_of(work, output="killed", training=how)
    moments = iter([1, 4, 100])

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
            folder = checkpoints_of(config.output)
            told = [best["batch"] for best in (read_position(one)["best"] for one in checkpoints_in(folder)) if best]
            assert all((folder / f"best-{batch:08}" / "weights.hdf5").is_file() for batch in told)
    assert next(moments, None) is None
    assert scores == whole
    expected = weights_of(work / "whole")
    assert expected.keys() == weights_of(work / "killed").keys()
    for key, array in weights_of(work / "killed").items():
        np.testing.assert_array_equal(array, expected[key])
    points, expected = losses_of("killed"), losses_of("whole")
    # Each is there once.
    assert {key: sorted(points[key]) for key in points} == {key: sorted(expected[key]) for key in expected}
    assert not checkpoints_of(config.output).exists()


def test_a_checkpoint_is_a_source_and_begins_before_the_first_batch(killed):
    config = config_of(killed)
    (checkpoint,) = checkpoints_in(checkpoints_of(config.output))
    assert checkpoint.name == "batch-00000000"
    assert find_source(checkpoint).vocabulary[:3] == ("<S>", "</S>", "<UNK>")
    assert load_bilm(checkpoint).options == config.bilm


def test_a_checkpoint_of_other_settings_is_refused(killed):
    with pytest.raises(ConfigError, match=r"bilm.checkpoints: holds a training with vocabulary 30, found 25; expected"):
        pretrain_stage(config_of(killed, vocabulary=25))
    with pytest.raises(ConfigError, match=r"holds a training with training.batch_size 4, found 2; expected"):
        pretrain_stage(config_of(killed, training=CONFIG["training"] | {"batch_size": 2}))
    (killed / "train-1.txt").write_text("another text\n")
    with pytest.raises(InputError, match="is not that of the checkpoint"):
        pretrain_stage(config_of(killed))
    (killed / "train-1.txt").write_text("")
    with pytest.raises(InputError, match=r"train-1\.txt: the file is empty"):
        pretrain_stage(config_of(killed))


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
    measured = dict(losses_of("bilm")["forward_perplexity"])
    assert scores["forward_perplexity"] in measured.values()
    assert len(measured) >= 3


def test_words_can_be_read_by_their_number(work):
    scores = pretrain_stage(config_of(work, bilm={"inputs": "words", "projection": 4, "cells": 6, "layers": 1}))
    stored = find_source(work / "bilm")
    assert stored.options.words == len(stored.vocabulary) == 23
    assert stored.spelling.ids(["<S>", "w3", "never"])[:, 0].tolist() == [1, stored.vocabulary.index("w3") + 1, 3]
    assert scores["forward_perplexity"] < 30


def test_a_run_goes_on_with_another_validation_text_and_options_that_its_biLM_has_no_use_for(work):
    how = {"bilm": {"inputs": "words", "projection": 4, "cells": 6, "layers": 1, "highways": 0}}
    how |= {"training": {"validate_every": 10}}
    with pytest.raises(Killed):
        pretrain_stage(config_of(work, **how), kill)
    (work / "other.txt").write_text("w1 w2 w3\n" * 60)
    scores = pretrain_stage(config_of(work, validation="other.txt", **how))
    measured = dict(losses_of("bilm")["forward_perplexity"])
    # The last weights are measured, too, and the best are kept.
    assert max(measured) == scores["batches"]
    assert scores["forward_perplexity"] == pytest.approx(measured[max(measured)])


def test_a_run_goes_on_without_dropout_and_with_its_text_in_another_folder(killed):
    (killed / "moved").mkdir()
    for path in killed.glob("train-*.txt"):
        path.rename(killed / "moved" / path.name)
    scores = pretrain_stage(config_of(killed, train="moved/train-*.txt", training={"dropout": 0.0}))
    assert scores["forward_perplexity"] < 30


def test_it_is_told_what_a_run_goes_on_from_and_which_weights_are_kept(killed):
    told = []
    how = {"validate_every": 10, "patience": 1, "learning_rate": 0.5, "schedule": "constant", "warm_up": 0}
    pretrain_stage(config_of(killed, training=how, epochs=20), tell=told.append)
    first, *measured, last = told
    assert first.startswith("bilm.checkpoints/batch-00000000: goes on from there, 0 of ")
    assert measured[0].startswith("batch 10: perplexity ") and measured[0].endswith(", the lowest so far")
    assert ", the lowest was that of batch " in measured[-1]
    assert last.startswith("ends early, for 1 measurements gave no lower one")


def test_another_training_to_the_same_output_is_refused_while_one_runs(work):
    def start_another(progress):
        with pytest.raises(OutputError, match=r"bilm\.checkpoints: another training writes here"):
            pretrain_stage(config_of(work))
        raise Killed

    with pytest.raises(Killed):
        pretrain_stage(config_of(work), start_another)


def test_fewer_epochs_than_are_done_are_refused_and_nothing_is_lost(work):
    reports = iter([None, None, None])

    def kill_at_last(progress):
        if next(reports, "last") == "last":
            raise Killed

    with pytest.raises(Killed):
        pretrain_stage(config_of(work), kill_at_last)
    newest = checkpoints_in(checkpoints_of(work / "bilm"))[-1]
    with pytest.raises(ConfigError, match=r"batches are done, and 0\.1 epochs are \d+; expected more epochs"):
        pretrain_stage(config_of(work, epochs=0.1))
    assert newest.exists()
    (newest / "position.json").write_text("{")
    with pytest.raises(SourceError, match=rf"remove {newest.name} to go on from batch-\d+"):
        pretrain_stage(config_of(work))


def test_rare_words_are_left_out(work):
    (work / "train-1.txt").write_text("once\n" + "often enough\n" * 200)
    pretrain_stage(config_of(work, train="train-1.txt", min_count=2))
    assert set(find_source(work / "bilm").vocabulary) == {"<S>", "</S>", "<UNK>", "often", "enough"}


def test_a_published_bilm_is_trained_further_with_its_softmax(work):
    pretrain_stage(config_of(work, output="general", epochs=0.5))
    sentences = "w1 w2 w3 newcomer\n" * 100
    for name in ("own", "held-out"):
        (work / f"{name}.txt").write_text(sentences)
    changes = {"train": "own.txt", "validation": "held-out.txt", "source": "general"}
    values = CONFIG | {"output": "own", **changes, "training": CONFIG["training"] | {"learning_rate": 1e-9}}
    values.pop("bilm")
    (work / "config.yaml").write_text(yaml.safe_dump(values))
    told = []
    pretrain_stage(read_config(PretrainConfig, work / "config.yaml"), tell=told.append)
    assert told == ["general: its softmax goes on over the 7 words of the text, 6 its own"]
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
    assert scores["forward_perplexity"] < 5


def test_the_perplexity_of_an_adaptive_softmax_is_that_of_its_equation(adaptive):
    """The top layer and P(cluster) P(word | cluster) in NumPy, from the written file."""
    folder, scores = adaptive
    words, arrays = find_source(folder).vocabulary, weights_of(folder)
    options = json.loads((folder / "options.json").read_text())
    sentences = [line.split() for line in (folder.parent / "validation.txt").read_text().splitlines()]
    batches = Windows(sentences, Vocabulary(words), 4, 5, Bytes(50, 3))
    losses = []
    for row in np.concatenate([batch["forward_next"] for batch in batches], axis=1):
        text = [words[number] for number in row[:-1]]
        top = numpy_bilm.framed_layers(text, folder / "weights.hdf5", options)[-1, :-1, :4]
        losses += [-adaptive_log_probability(h, n, arrays, (5, 12), len(words)) for h, n in zip(top, row, strict=True)]
    assert scores["forward_perplexity"] == pytest.approx(np.exp(np.mean(losses)), rel=1e-4)


def test_a_killed_run_with_an_adaptive_softmax_goes_on_to_the_same_weights(work, adaptive):
    reports = iter(range(3))

    def report(progress):
        if next(reports, None) == 2:
            raise Killed

    with pytest.raises(Killed):
        pretrain_stage(config_of(work, training=ADAPTIVE), report)
    assert len(checkpoints_in(checkpoints_of(work / "bilm"))) == 2
    assert pretrain_stage(config_of(work, training=ADAPTIVE)) == adaptive[1]
    expected = weights_of(adaptive[0])
    for key, array in weights_of(work / "bilm").items():
        np.testing.assert_array_equal(array, expected[key])


def test_a_folder_with_an_adaptive_softmax_generates_and_fills(adaptive):
    folder, scores = adaptive
    predictor = WordPredictor.load(folder)
    hidden, _ = predictor.read(FORWARD, ["<S>", "w1", "w2"])
    np.testing.assert_allclose(np.exp(predictor.log_probabilities(hidden)).sum(axis=-1), 1)
    assert predictor.counts.sum() == scores["words"]
    text = "".join(generate_stage(str(folder), "w1 ", 20, Sampler(top_k=5, top_p=0.9, seed=1)))
    assert set(text.split()) <= set(predictor.vocabulary) and len(text.split()) > 5
    found = fill_stage(str(folder), "w1 ___ w2", prior=1.0)
    assert len(found) == len(predictor.vocabulary) - 3 and sum(one.probability for one in found) == pytest.approx(1)


@pytest.mark.parametrize("cutoffs", [[5, 23], [12, 5], [30]])
def test_cutoffs_that_do_not_fit_the_vocabulary_are_refused(work, cutoffs):
    with pytest.raises(ConfigError) as caught:
        pretrain_stage(config_of(work, training=ADAPTIVE | {"cutoffs": cutoffs}))
    assert str(caught.value) == f"training.cutoffs {cutoffs}; expected ascending numbers between 0 and 23"


def test_cutoffs_are_for_the_adaptive_softmax(work):
    with pytest.raises(ConfigError, match="cutoffs are for adaptive, found objective 'sampled'"):
        config_of(work, training=ADAPTIVE | {"objective": "sampled"})


def test_a_training_goes_on_from_an_adaptive_softmax(adaptive):
    folder, _ = adaptive
    stored, vocabulary = find_source(folder), Vocabulary.read(folder / "vocabulary.txt")

    def softmax(vocabulary=vocabulary, **how):
        model, lacks = continued(stored, vocabulary, PretrainingSettings(**how))
        told.append(lacks)
        return model.objective.arrays()

    told = []
    same = softmax(**ADAPTIVE)
    assert len(same) == 8
    for key, array in same.items():
        np.testing.assert_array_equal(array, stored.arrays()[key])
    # Of the same shape, but of other words.
    others = Vocabulary([*vocabulary.words[:-1], "newcomer"])
    key = "adaptive_softmax/tail_1/W"
    for anew in (softmax(others, **ADAPTIVE), softmax(**ADAPTIVE | {"cutoffs": (6, 12)})):
        assert anew[key].shape == same[key].shape and not np.array_equal(anew[key], same[key])
    assert told == [None, *["brings no adaptive softmax with these words and cutoffs"] * 2]
    kernel, bias = softmax().values()
    assert told[-1] is None
    expected = softmax_of(stored.arrays()).rows(np.arange(len(vocabulary)))
    np.testing.assert_array_equal(kernel, expected[0])
    np.testing.assert_array_equal(bias, expected[1])


def test_a_source_without_a_softmax_gets_a_new_one_and_goes_on_without_the_source(work, tiny_bilm_folder):
    import mlflow

    shutil.copytree(tiny_bilm_folder, work / "source")
    values = CONFIG | {"output": "own", "train": "train-1.txt", "validation": "validation.txt", "source": "source"}
    values.pop("bilm")
    (work / "config.yaml").write_text(yaml.safe_dump(values))
    told = []
    with pytest.raises(Killed):
        pretrain_stage(read_config(PretrainConfig, work / "config.yaml"), kill, told.append)
    shutil.rmtree(work / "source")
    pretrain_stage(read_config(PretrainConfig, work / "config.yaml"), tell=told.append)
    softmax, went_on = told
    assert softmax == "source: brings no softmax, so that a new softmax is trained, from random weights"
    assert went_on.startswith("own.checkpoints/batch-00000000: goes on from there, 0 of ")
    assert mlflow.search_runs(search_all_experiments=True)["tags.softmax"].tolist() == [softmax]
    assert find_source(work / "own").arrays()["softmax/b"].shape == (23,)
    # What would begin anew does need it.
    with pytest.raises(ConfigError, match=r"config\.yaml line .*: 'source': no such source: source"):
        read_config(PretrainConfig, work / "config.yaml")


def test_a_broken_checkpoint_is_refused_by_name(killed):
    config = config_of(killed)
    (checkpoint,) = checkpoints_in(checkpoints_of(config.output))
    (checkpoint / "variables.npz").write_bytes(b"rubbish")
    with pytest.raises(SourceError, match=r"variables\.npz: not a checkpoint that can be read"):
        pretrain_stage(config)


def test_norms_by_layer_are_those_of_their_variables():
    norms = {"forward/layer_0/kernel": 3.0, "forward/layer_0/loop/cell/recurrent_kernel": 4.0, "objective/bias": 2.0}
    assert by_layer(norms) == {"forward/layer_0": 5.0, "objective": 2.0}


def test_the_clusters_of_an_adaptive_softmax_are_one_layer():
    norms = {variable.path: 1.0 for variable in AdaptiveSoftmax(30, 4, (5, 12)).trainable_variables}
    assert by_layer(norms) == {"objective": pytest.approx(8**0.5)}
