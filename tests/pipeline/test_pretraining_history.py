"""A training that goes on tells nothing twice, and draws nothing of what it is about to do again."""

import json

import pytest

from pipeline.pretraining_history import REPORT_EVERY, PretrainingHistory, told_every

SEEN = {"loss": 2.0, "words_per_second": 1.0, "gradient_norm": 1.0, "gradient_norm_clipped": 0.5}


@pytest.fixture
def path(tmp_path):
    """Of what a training noted that was killed while it wrote the report of batch 30, and has a checkpoint of 10."""
    history = PretrainingHistory(tmp_path / "history.jsonl", 0, False)
    for batch in (10, 20):
        history.trained(batch, SEEN, {})
    history.measured(20, {"forward_perplexity": 9.0})
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write('{"batch": 30, "lo')
    return tmp_path / "history.jsonl"


def known(history):
    return [(what, batch) for what in ("trained", "measured") for batch in (10, 20, 30) if history.has(what, batch)]


def test_what_comes_to_the_same_again_is_known_however_often_the_training_breaks_off(path):
    for _ in range(2):
        history = PretrainingHistory(path, 10, True)
        assert known(history) == [("trained", 10), ("trained", 20), ("measured", 20)]
    history.trained(20, SEEN | {"loss": 2.5}, {})
    assert [row["loss"] for row in history._rows] == [2.0, 2.5]
    # Each once.
    again = PretrainingHistory(path, 20, True)
    assert [(row["batch"], "loss" in row) for row in again._rows] == [(10, True), (20, True), (20, False)]


def test_what_comes_to_something_else_or_to_another_run_is_not_known(path):
    assert known(PretrainingHistory(path, 10, False)) == [("trained", 10)]
    assert known(PretrainingHistory(path, 10, True)) == [("trained", 10)]
    assert known(PretrainingHistory(path, 0, False)) == [] and not path.exists()


def test_each_row_is_a_line(path):
    PretrainingHistory(path, 10, True)
    assert [json.loads(line)["batch"] for line in path.read_text().splitlines()] == [10, 20, 20]


def test_a_long_training_tells_mlflow_less_and_less():
    told = [batch for batch in range(REPORT_EVERY, 5000, REPORT_EVERY) if batch % told_every(batch) == 0]
    assert told == [*range(10, 1000, 10), *range(1000, 2000, 20), *range(2000, 4000, 40), *range(4000, 5000, 80)]
