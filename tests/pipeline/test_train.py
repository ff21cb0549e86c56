"""Training on sources of other forms than a biLM folder."""

import csv
import tarfile

import numpy as np
import pytest
import tensorflow as tf

from embeddings.convert import convert_bilm
from embeddings.embedders import checksum, copy_source, embeds_texts, load_embedder, shape_of
from embeddings.errors import ConfigError, SourceError
from models import Predictor
from pipeline.config import TrainConfig
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
def tracking(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")


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
    train_stage(config(tmp_path / "bilm.zip", weights="random"))


def test_what_gives_one_vector_a_text_cannot_tag(config, text_embedding):
    with pytest.raises(ConfigError, match="gives one vector a text; tagging needs one a word"):
        train_stage(config(text_embedding, task="tagging"))
    with pytest.raises(ConfigError, match="'random' is for a biLM"):
        train_stage(config(text_embedding, weights="random"))


def test_sources_are_told_apart(text_embedding, tiny_bilm_folder, tmp_path):
    with tarfile.open(tmp_path / "text.tgz", "w:gz") as archive:
        archive.add(text_embedding, ".")
    assert embeds_texts(text_embedding) and embeds_texts(str(tmp_path / "text.tgz"))
    assert not embeds_texts(tiny_bilm_folder)
    assert shape_of(load_embedder(text_embedding)) == (1, 6) and shape_of(load_embedder(tiny_bilm_folder)) == (3, 8)
    (tmp_path / "copy").mkdir()
    copy_source(tmp_path / "text.tgz", tmp_path / "copy")
    assert checksum(tmp_path / "copy") == checksum(tmp_path / "text.tgz") == checksum(text_embedding)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no biLM in it"):
        embeds_texts(tmp_path / "empty")
