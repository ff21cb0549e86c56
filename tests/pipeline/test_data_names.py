"""Data have a name and a place of which MLflow keeps all, however many files they are."""

import json

import mlflow
import pytest
from mlflow.utils.validation import MAX_DATASET_NAME_SIZE, MAX_DATASET_SOURCE_SIZE

from pipeline.config import Tracking
from pipeline.data_names import LONGEST_NAME, LONGEST_SOURCE, name_of_data, source_of_data
from pipeline.tracking import start_run


def test_of_several_files_the_first_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("a")
    assert name_of_data(["texts/a.txt", "texts/b.txt"]) == "a.txt … (2 files)"
    assert name_of_data(["hub:imdb:train", "a.txt"]) == "hub:imdb:train … (2 files)"
    assert name_of_data(["a.txt", "a.txt"]) == name_of_data("a.txt") == "a.txt"
    assert source_of_data(["a.txt", "b.txt"]) == f"{tmp_path / 'a.txt'}, b.txt"


def test_mlflow_keeps_what_is_longest():
    assert (LONGEST_NAME, LONGEST_SOURCE) == (MAX_DATASET_NAME_SIZE, MAX_DATASET_SOURCE_SIZE)


@pytest.mark.usefixtures("quick_outbox")
@pytest.mark.parametrize("letter", ["a", '"', "ä"])
def test_many_files_with_long_names_reach_mlflow(letter, tracking_uri, capsys):
    names = [f"{letter * 240}-{number:04}.txt" for number in range(400)]
    with start_run(Tracking(), "embed", "many", Tracking()) as run:
        run.data_set(names, "ab" * 32, "embed")
        run.data_set("docs:" + letter * 600, "cd" * 32, "test")
    many, one = sorted(mlflow.get_run(run.run_id).inputs.dataset_inputs, key=lambda data: data.dataset.digest)
    assert many.dataset.name == f"{names[0]} … (400 files)" and names[20] in json.loads(many.dataset.source)["uri"]
    assert one.dataset.name == ("docs:" + letter * 600)[:500] and capsys.readouterr().err == ""
