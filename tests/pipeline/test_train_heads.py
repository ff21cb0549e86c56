"""Heads of every kind, from a config to their answers."""

import json

import keras
import mlflow
import numpy as np
import pytest
import yaml
from mlflow.artifacts import list_artifacts, load_text

from embeddings.bilm import BiLM
from embeddings.errors import ConfigError, InputError
from embeddings.options import BiLMOptions
from embeddings.published import write_published
from embeddings.source import load_bilm
from embeddings.weights import arrays_of
from models import Predictor
from models.model_folder import load_model
from pipeline.cli import main
from pipeline.config import TrainConfig, read_config
from pipeline.train import train_stage
from serve.registry import find_model

pytestmark = pytest.mark.slow

SPLITS = ("train", "validation", "test")
PAIRS = [("a warm day", "the day is warm", "same"), ("a warm day", "a cold night", "other")]
PAIRS += [("cold night", "the night is cold", "same"), ("cold night", "one warm day", "other")]
MANY = [("a warm day", "day;warm"), ("a cold night", ""), ("warm night", "warm"), ("a cold day", "day")]
# In IOB1.
TAGS = [[("In", "O"), ("New", "I-LOC"), ("York", "I-LOC")], [("Rome", "I-LOC"), ("Oslo", "B-LOC"), ("is", "O")]]
TAGS += [[("Ann", "I-PER"), ("is", "O"), ("in", "O"), ("Rome", "I-LOC")], [("So", "O"), ("is", "O"), ("Ann", "I-PER")]]


@pytest.fixture(scope="module")
def bilm(tmp_path_factory):
    """A biLM of two layers that is quickly traced."""
    keras.utils.set_random_seed(5)
    folder = tmp_path_factory.mktemp("bilm")
    sizes = {"projection": 6, "cells": 6, "layers": 2, "filters": ((2, 6),), "character_dim": 4, "highways": 1}
    options = BiLMOptions(cell="gru", bidirectional=False, **sizes)
    write_published(folder, options, arrays_of(BiLM(options)), ["<S>", "</S>", "<UNK>", "the"])
    return folder


@pytest.fixture
def train(tmp_path, monkeypatch, bilm, mlflow_store):
    """Trains what a config says, on pairs, on texts with any number of labels, or on tags."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store(tmp_path))
    monkeypatch.chdir(tmp_path)
    files = {}
    for split in SPLITS:
        rows = ["premise\thypothesis\tlabel", *("\t".join(row) for row in PAIRS * 6)]
        words = ("".join(f"{word} {tag}\n" for word, tag in sentence) for sentence in TAGS * 6)
        files[f"pairs-{split}.tsv"] = "\n".join(rows) + "\n"
        files[f"many-{split}.csv"] = "text,label\n" + "".join(f"{text},{labels}\n" for text, labels in MANY * 6)
        files[f"tags-{split}.conll"] = "\n".join(words)
    kinds = {
        "pairs": ("classification", "tsv", {"text": "premise", "text_pair": "hypothesis"}),
        "many": ("classification", "csv", {"label_separator": ";"}),
        "tags": ("tagging", "conll", {}),
    }

    def train(kind, *changes, on_epoch=lambda epoch: None, **sections):
        task, suffix, texts = kinds[kind]
        data = {split: f"{kind}-{split}.{suffix}" for split in SPLITS} | {"tokenizer": "whitespace"} | texts
        values = {
            "name": kind,
            "task": task,
            "output": "model",
            "data": data,
            "embedding": {"source": str(bilm)},
            "head": {"encoder": "none", "pooling": "mean", "dropout": 0.0},
            "training": {"epochs": 12, "patience": 12, "batch_size": 8, "learning_rate": 0.05},
            "tracking": {"register_model": False},
        }
        for name, section in sections.items():
            values[name] = values[name] | section
        for name, content in (files | {"config.yaml": yaml.safe_dump(values)}).items():
            (tmp_path / name).write_text(content)
        return train_stage(read_config(TrainConfig, tmp_path / "config.yaml", list(changes)), on_epoch)

    train.data = files
    return train


def test_pairs_are_learned_from_words_alone_and_answered_everywhere(train, capsys, served):
    trained = train("pairs", "embedding.source=none", "tracking.register_model=true", training={"epochs": 20})
    assert trained.scores["accuracy"] == 1.0 and trained.version == "1"
    assert not (trained.folder / "bilm").exists()
    predictor = Predictor.load(trained.folder)
    assert predictor.description.example == ["a warm day", "the day is warm"]
    expected = [answer.label for answer in predictor.predict([row[:2] for row in PAIRS])]
    assert expected == [row[2] for row in PAIRS]
    client = served("models:/pairs@champion")
    for texts in ([row[:2] for row in PAIRS], [[row[0].split(), row[1].split()] for row in PAIRS]):
        predictions = client.post("/v1/models/pairs:predict", json={"texts": texts}).json()["predictions"]
        assert [answer["label"] for answer in predictions] == expected
    refused = client.post("/v1/models/pairs:predict", json={"texts": ["a warm day"]})
    assert (refused.status_code, refused.json()["detail"]) == (
        422,
        "texts[0] is one text; expected two, as this model reads pairs",
    )
    pyfunc = mlflow.pyfunc.load_model("models:/pairs@champion")
    assert [answer["label"] for answer in pyfunc.predict([list(row[:2]) for row in PAIRS])] == expected
    main_returns("predict", "model", "\t".join(PAIRS[0][:2]))
    label, _, first, second = capsys.readouterr().out.strip().split("\t")
    assert (label, first, second) == ("same", *PAIRS[0][:2])
    columns = ("--text", "premise", "--text-pair", "hypothesis", "--json")
    main_returns("evaluate", "model", "pairs-test.tsv", *columns)
    assert json.loads(capsys.readouterr().out)["scores"]["accuracy"]["value"] == 1.0
    # A report tells apart what the model learned from and other texts.
    for change, where in (
        ("data.limit=null", "the training texts"),
        ("data.limit=9", "the training texts of config.yaml, which are not those that the model learned from"),
    ):
        main_returns("evaluate", "model", "config.yaml", "--set", change, "--json")
        assert json.loads(capsys.readouterr().out)["frequency_in"] == where


def main_returns(*arguments):
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert not end.value.code


def test_any_number_of_labels_is_learned_beside_elmo(train, capsys, served):
    inputs = [{"kind": "elmo", "projection": 3}, {"kind": "words", "dim": 8}]
    settings = {"class_weights": {"warm": 2.0}, "epochs": 20}
    trained = train("many", head={"inputs": inputs, "encoder": "dense", "units": 8}, training=settings)
    assert trained.scores["micro_f1"] == 1.0
    (answer, none) = Predictor.load(trained.folder).predict(["a warm day", "a cold night"])
    assert set(answer.labels) == {"day", "warm"} and none.labels == []
    main_returns("predict", "model", "a cold night")
    assert capsys.readouterr().out == "-\ta cold night\n"
    by_label = json.loads(load_text(f"runs:/{trained.run_id}/scores_by_label.json"))
    assert by_label["warm"] == {"precision": 1, "recall": 1, "f1": 1, "support": 12}
    client = served("model")
    (told,) = client.post("/v1/models/many:predict", json={"texts": ["a warm day"]}).json()["predictions"]
    assert set(told["labels"]) == {"day", "warm"}


def test_a_tagger_learns_one_scheme_with_all_inputs_and_answers_in_another(train, tmp_path):
    (tmp_path / "vectors.txt").write_text("rome 1 0 0\noslo 1 0 0\nann 0 1 0\n")
    inputs = [{"kind": "elmo"}, {"kind": "words"}, {"kind": "characters", "dim": 4, "filters": 6}]
    head = {"inputs": inputs, "encoder": "lstm", "units": 6, "elmo_at_output": True, "scheme": "BIOUL"}
    epochs = []
    trained = train("tags", "embedding.vectors=vectors.txt", on_epoch=epochs.append, head=head)
    assert trained.scores["f1"] == 1.0 and trained.scores["accuracy"] == 1.0
    predictor = Predictor.load(trained.folder)
    assert set(predictor.description.labels) > {"O", "U-LOC", "L-LOC", "U-PER"}
    answers = predictor.predict([[word for word, _ in sentence] for sentence in TAGS])
    assert [answer.tags for answer in answers] == [[tag for _, tag in sentence] for sentence in TAGS]
    run = mlflow.get_run(trained.run_id)
    for place in ("input", "output"):
        for layer in range(3):
            history = mlflow.MlflowClient().get_metric_history(trained.run_id, f"layer_weights.{place}.{layer}")
            assert [point.value for point in history] == [epoch.layer_weights[place][layer] for epoch in epochs]
    assert {"python", "keras", "numpy", "backend"} <= {
        name.removeprefix("version.") for name in run.data.params if name.startswith("version.")
    }
    assert run.data.params["version.keras"] == keras.__version__
    artifacts = {item.path for item in list_artifacts(run_id=trained.run_id)}
    assert {"layer_weights.png", "scores_by_label.png", "confusion_matrix.png", "training_curves.png"} <= artifacts
    by_label = json.loads(load_text(f"runs:/{trained.run_id}/scores_by_label.json"))
    assert by_label["LOC"]["support"] == 24 and by_label["LOC"]["f1"] == 1


@pytest.mark.parametrize("source", ["vectors.txt", "tfidf"])
def test_one_key_compares_a_head_with_what_knows_no_biLM(train, tmp_path, source):
    (tmp_path / "vectors.txt").write_text("warm 1 0\ncold -1 0\n")
    epochs = []
    trained = train("many", f"embedding.source={source}", on_epoch=epochs.append)
    assert trained.scores["micro_f1"] == 1.0 and trained.kept_epoch <= len(epochs) <= (1 if source == "tfidf" else 12)
    (answer,) = Predictor.load(trained.folder).predict(["a warm day"])
    assert set(answer.labels) == {"day", "warm"}
    run = mlflow.get_run(trained.run_id)
    assert run.data.metrics["test.micro_f1"] == 1.0 and run.data.metrics["loss"] == pytest.approx(epochs[-1].loss)
    assert run.info.run_name == f"many {'tfidf' if source == 'tfidf' else 'vectors'} 1"


def test_tfidf_tags_and_is_registered(train):
    trained = train("tags", "embedding.source=tfidf", "tracking.register_model=true", head={"scheme": "BIOUL"})
    assert trained.scores["accuracy"] > 0.8
    found = find_model("models:/tags@champion")
    (answer,) = Predictor.load(found.folder).predict([["Rome", "is", "New", "York"]])
    assert {tag.partition("-")[0] for tag in answer.tags} <= {"O", "I", "B"}
    (told,) = mlflow.pyfunc.load_model("models:/tags@champion").predict(["Rome is New York"])
    assert told["tags"] == answer.tags


def test_a_biLM_is_fine_tuned_and_kept(train, bilm):
    trained = train("many", "training.fine_tune=true", training={"epochs": 1, "unfreezing": "at_once"})
    before, after = load_bilm(bilm).get_weights(), load_bilm(trained.folder / "bilm").get_weights()
    assert any((one != other).any() for one, other in zip(before, after, strict=True))
    (answer,) = Predictor.load(trained.folder).predict(["a warm day"])
    assert answer.labels is not None


def test_layers_that_are_computed_give_what_stored_ones_give(train, bilm):
    parts = {"before": [[4, "relu"]], "units": 3, "elmo": True, "output": [[4, 2]], "pieces": 2}
    head = {"biattention": parts, "encoder": "lstm", "units": 3, "dropout": 0.1}
    found = []
    for layers in ("stored", "computed"):
        epochs = []
        trained = train("many", f"embedding.layers={layers}", head=head, training={"epochs": 2}, on_epoch=epochs.append)
        _, model, _, _ = load_model(trained.folder)
        found.append(([epoch.loss for epoch in epochs], model.get_weights()))
        for one, other in zip(
            load_bilm(bilm).get_weights(), load_bilm(trained.folder / "bilm").get_weights(), strict=True
        ):
            np.testing.assert_array_equal(one, other)
    (losses, weights), (others, other_weights) = found
    assert losses == pytest.approx(others, abs=1e-4)
    for one, other in zip(weights, other_weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("fine_tune", [False, True])
def test_the_same_seed_gives_the_same_weights_bit_for_bit(train, fine_tune):
    inputs = [{"kind": "elmo"}, {"kind": "words", "dim": 4}, {"kind": "characters", "dim": 4, "filters": 6}]
    head = {"inputs": inputs, "encoder": "lstm", "units": 4, "dropout": 0.3, "word_dropout": 0.1}
    settings = {"epochs": 2, "fine_tune": fine_tune, "unfreezing": "at_once"}
    found = []
    for _ in range(2):
        trained = train("tags", "embedding.weights=random", head=head, training=settings)
        _, model, embedder, _ = load_model(trained.folder)
        found.append([*model.get_weights(), *embedder.bilm.get_weights()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_cannot_be_is_told_before_anything_is_embedded(train, monkeypatch):
    monkeypatch.setattr("pipeline.train.layers_below", None)
    with pytest.raises(ConfigError, match="class_weights: no label 'hot'; expected one of day, warm"):
        train("many", training={"class_weights": {"hot": 2.0}})
    with pytest.raises(ConfigError, match="pairs does not go with biattention, which reads one text"):
        train("pairs", head={"biattention": {}})
    with pytest.raises(InputError, match=r"only the label 'other' among the texts that data\.limit=1 draws; expected"):
        train("pairs", "data.limit=1")
    with pytest.raises(ConfigError, match="word vectors need an input of kind 'words'; there is none"):
        train("many", "embedding.vectors=many-train.csv")
    train.data["tags-test.conll"] = "IBM I-ORG\n"
    with pytest.raises(InputError, match=r"test\.conll line 1: label 'I-ORG' was not seen in training"):
        train("tags")
