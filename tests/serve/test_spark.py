"""Registered models as functions of Spark, whose result types come from the signatures."""

import os
import shutil
import sys

import mlflow
import pytest

from models import Predictor
from serve.registry import log_model

pyspark = pytest.importorskip("pyspark")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("java"), reason="Spark runs on Java")]

TEXTS = ["The cat isn't here.", "A dog ."]


@pytest.fixture(scope="module")
def spark(shared_tracking_uri):
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    session = builder.config("spark.sql.shuffle.partitions", "1").getOrCreate()
    yield session
    session.stop()


@pytest.fixture(scope="module")
def answers(spark, model_folders, tiny_bilm_folder):
    """Asks a model for the texts."""
    with mlflow.start_run():
        for task, folder in model_folders.items():
            log_model(folder, TEXTS[0], task)
        log_model(tiny_bilm_folder, TEXTS[0], "bilm", tokenizer="spacy")
    frame = spark.createDataFrame([(text,) for text in TEXTS], ["text"])

    def ask(name, params=None, result_type=None):
        function = mlflow.pyfunc.spark_udf(
            spark, f"models:/{name}/1", params=params, result_type=result_type, env_manager="local"
        )
        return [row.answer for row in frame.withColumn("answer", function("text")).collect()]

    return ask


def test_a_classification_is_a_struct_with_a_map(answers, model_folders):
    expected = Predictor.load(model_folders["classification"]).predict(TEXTS)
    found = answers("classification", {"top_k": 2})
    assert [row.label for row in found] == [one.label for one in expected]
    for row, one in zip(found, expected, strict=True):
        assert row.probabilities == pytest.approx(dict(list(one.probabilities.items())[:2]))


def test_a_tagging_is_a_struct_with_arrays(answers, model_folders):
    expected = Predictor.load(model_folders["tagging"]).predict(TEXTS)
    found = answers("tagging")
    assert [row.tags for row in found] == [one.tags for one in expected]
    assert [[(s.label, s.start) for s in row.spans] for row in found] == [
        [(s.label, s.start) for s in one.spans] for one in expected
    ]
    paths = "struct<paths: array<struct<tags: array<string>, probability: double>>>"
    found = answers("tagging", {"top_k": 2, "return_spans": False}, paths)
    assert [row.paths[0].tags for row in found] == [one.tags for one in expected] and len(found[0].paths) == 2


def test_a_bilm_gives_arrays_of_numbers(answers):
    assert [len(row) for row in answers("bilm", {"layers": "0,1"})] == [16, 16]
