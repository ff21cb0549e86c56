"""Training on sources of other forms than a biLM folder."""

import csv
import json
import shutil
import tarfile
from dataclasses import replace

import mlflow
import numpy as np
import pytest
import tensorflow as tf

from embeddings.convert import convert_bilm
from embeddings.embedders import copy_stored, find_embedder, load_embedder, shape_of
from embeddings.errors import ConfigError, ModelError, SourceError
from models import Predictor
from pipeline.config import TrainConfig
from pipeline.data_config import Data
from pipeline.train import train_stage

GOOD, BAD = ["fine day", "lovely warm fine", "warm day"], ["grim night", "cold grim", "night cold grim"]


@pytest.fixture(scope="module")
def text_embedding(tmp_path_factory):
    """A SavedModel that gives a text the mean of the vectors of its words."""

    class Model(tf.Module):
        def __init__(self):
            self.vectors = tf.Variable(np.random.default_rng(3).normal(size=(97, 6)).astype("f"))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, texts):
            words = tf.strings.split(texts)
            flat = tf.gather(self.vectors, tf.strings.to_hash_bucket_fast(words.flat_values, 97))
            return tf.reduce_mean(words.with_flat_values(flat), axis=1)

    folder = tmp_path_factory.mktemp("text") / "embedding"
    tf.saved_model.save(Model(), str(folder))
    return folder


@pytest.fixture
def config(tmp_path):
    for split in ("train", "validation", "test"):
        with (tmp_path / f"{split}.csv").open("w") as file:
            rows = [(text, label) for label, texts in (("good", GOOD), ("bad", BAD)) for text in texts]
            csv.writer(file).writerows([("text", "label"), *rows])

    def made(source, task="classification", **embedding):
        return TrainConfig(
            name="moods",
            task=task,
            output=tmp_path / "model",
            data={split: str(tmp_path / f"{split}.csv") for split in ("train", "validation", "test")},
            embedding={"source": str(source)} | embedding,
            head={"encoder": "dense", "units": 16, "dropout": 0.0},
            training={"epochs": 30, "patience": 30, "learning_rate": 0.02},
            tracking={"register_model": False},
        )

    return made


@pytest.fixture(autouse=True)
def tracking(tmp_path, monkeypatch, mlflow_store):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store(tmp_path))


def test_a_classifier_learns_on_a_text_embedding_and_keeps_it(config, text_embedding, tmp_path):
    assert train_stage(config(text_embedding)).scores["accuracy"] == 1.0
    assert (tmp_path / "model/text_embedding/saved_model.pb").is_file()
    good, bad = Predictor.load(tmp_path / "model").predict(["lovely  warm fine", "night cold grim"])
    assert (good.label, bad.label) == ("good", "bad")


def test_a_classifier_learns_on_an_archive(config, tiny_bilm_folder, tmp_path):
    convert_bilm(tiny_bilm_folder, tmp_path / "bilm.zip", "zip")
    trained = train_stage(config(tmp_path / "bilm.zip"))
    assert trained.scores["accuracy"] > 0.5
    assert (tmp_path / "model/bilm/weights.hdf5").is_file()


def test_a_run_on_a_random_biLM_records_its_data(config, tiny_bilm_folder, tmp_path):
    split = {"folds": 3, "fold": 2, "validation": 0.2, "seed": 5}
    data = Data(folder=tmp_path, train=["train.csv", "test.csv"], split=split)
    given = config(tiny_bilm_folder, weights="random").model_copy(update={"data": data})
    given = given.model_copy(update={"training": replace(given.training, epochs=1)})
    run_id = train_stage(given).run_id
    run = mlflow.get_run(run_id)
    assert (run.data.params["data.split.seed"], run.data.params["data.split.folds"]) == ("5", "3")
    assert [run.data.params[f"data.{split}.examples"] for split in ("train", "validation", "test")] == ["6", "2", "4"]
    report = json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/data.json"))
    for split, about in report["splits"].items():
        assert run.data.params[f"data.{split}.sha256"] == about["sha256"]
    first, second = report["files"].values()
    assert first == second and report["splits"]["test"]["seen_in"]["train"] > 0
    assert "drawn with validation 0.2, folds 3, fold 2" in mlflow.artifacts.load_text(f"runs:/{run_id}/data.txt")


def test_what_gives_one_vector_a_text_cannot_tag(config, text_embedding):
    with pytest.raises(ConfigError, match="gives one vector a text; tagging needs one a word"):
        train_stage(config(text_embedding, task="tagging"))
    with pytest.raises(ConfigError, match="'random' is for a biLM"):
        train_stage(config(text_embedding, weights="random"))


def test_sources_are_told_apart(text_embedding, tiny_bilm_folder, tmp_path):
    with tarfile.open(tmp_path / "text.tgz", "w:gz") as archive:
        archive.add(text_embedding, ".")
    found = find_embedder(text_embedding)
    assert shape_of(load_embedder(found)) == (1, 6)
    assert shape_of(load_embedder(find_embedder(tiny_bilm_folder))) == (3, 8)
    (tmp_path / "copy").mkdir()
    copy_stored(find_embedder(tmp_path / "text.tgz"), tmp_path / "copy")
    copy = find_embedder(tmp_path / "copy")
    assert copy.checksum() == found.checksum() == find_embedder(tmp_path / "text.tgz").checksum()
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no biLM in it"):
        find_embedder(tmp_path / "empty")


def test_a_broken_biLM_is_not_taken_for_a_text_embedding(text_embedding, tiny_bilm_folder, tmp_path):
    shutil.copytree(text_embedding, tmp_path / "both")
    for name in ("x", "y"):
        shutil.copytree(tiny_bilm_folder, tmp_path / "both" / name)
    with pytest.raises(SourceError, match=r"expected one biLM, found the options x/options.json, y/options.json"):
        find_embedder(tmp_path / "both")


def test_a_program_in_the_place_of_a_biLM_is_not_run(model_folders, text_embedding, tmp_path):
    folder = shutil.copytree(model_folders["classification"], tmp_path / "model")
    shutil.rmtree(folder / "bilm")
    shutil.copytree(text_embedding, folder / "bilm")
    with pytest.raises(SourceError, match="a SavedModel, but no biLM"):
        Predictor.load(folder)
    folder = shutil.copytree(model_folders["tagging"], tmp_path / "tagger")
    shutil.copytree(text_embedding, folder / "text_embedding")
    with pytest.raises(ModelError, match="gives one vector a text; tagging needs one a word"):
        Predictor.load(folder)
