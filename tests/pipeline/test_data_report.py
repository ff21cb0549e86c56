import json

import pytest
import yaml

from models.examples import Examples
from pipeline.cli import main
from pipeline.data import DataSet, checksum_of_examples
from pipeline.data_report import lines_of, report_of


def examples(texts, targets, **more):
    return Examples([text.split() for text in texts], targets, ["line"] * len(texts), **more)


@pytest.fixture
def report():
    train = examples(["a b", "a b", "c", "a b", "d e f g"], ["x", "x", "y", "y", "x"])
    splits = {"train": train, "validation": examples(["c", "h"], ["y", "z"]), "test": examples(["a b"], ["x"])}
    names = {split: [f"{split}.csv"] for split in splits}
    return report_of(
        "classification", DataSet(splits, names, {"train.csv": {"sha256": "0" * 64, "encoding": "cp1250"}})
    )


def test_a_report_counts_examples_words_labels_and_duplicates(report):
    train = report["splits"]["train"]
    assert (train["examples"], train["words"], train["repeated"], train["contradicting"]) == (5, 11, 2, 1)
    assert train["lengths"] == {"0%": 1, "5%": 1, "25%": 2, "50%": 2, "75%": 2, "95%": 4, "100%": 4}
    assert train["seen_in"] == {"validation": 1, "test": 3}
    assert report["splits"]["test"]["seen_in"] == {"train": 1, "validation": 0}
    assert report["labels"] == {
        "x": {"train": 3, "validation": 0, "test": 1},
        "y": {"train": 2, "validation": 1, "test": 0},
        "z": {"train": 0, "validation": 1, "test": 0},
    }
    assert json.loads(json.dumps(report)) == report


def test_a_report_is_lines_for_a_person(report):
    lines = lines_of(report)
    assert lines[0].startswith("train: 5 examples, 11 words, sha256 ")
    assert lines[1:4] == [
        "  from train.csv",
        "  words a text: 1 at 0%, 1 at 5%, 2 at 25%, 2 at 50%, 2 at 75%, 4 at 95%, 4 at 100%",
        "  duplicates: 2 repeat an earlier text, 1 with other labels; 1 stand in validation, too, 3 stand in test, too",
    ]
    assert "train.csv: sha256 0000000000000000, detected as cp1250" in lines
    assert [line.split() for line in lines[-4:-2]] == [
        ["label", "train", "validation", "test"],
        ["x", "3", "60.0%", "0", "0.0%", "1", "100.0%"],
    ]


def test_pairs_are_the_same_if_both_texts_are():
    train = examples(["a", "a"], ["x", "x"], pairs=[["b"], ["c"]])
    test = examples(["a"], ["x"], pairs=[["c"]])
    data_set = DataSet({"train": train, "test": test}, {"train": [], "test": []}, {})
    found = report_of("classification", data_set)["splits"]
    assert found["train"]["repeated"] == 0 and found["train"]["seen_in"] == {"test": 1}
    assert checksum_of_examples(train) != checksum_of_examples(examples(["a", "a"], ["x", "x"]))


def test_seq2seq_has_lengths_of_targets_in_place_of_labels():
    part = examples(["a b"], [["c", "d", "e"]], references=["c d e"])
    found = report_of("seq2seq", DataSet({"train": part}, {"train": ["a.tsv"]}, {}))
    assert found["labels"] == {} and found["splits"]["train"]["target_lengths"]["50%"] == 3


def test_the_command_reports_on_any_training_config(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"w{k},{'xy'[k % 2]}\n" for k in range(20)))
    config = tmp_path / "c.yaml"
    data = {"folder": str(tmp_path), "train": "a.csv", "split": {"validation": 0.1, "test": 0.1}}
    config.write_text(yaml.safe_dump({"name": "a", "task": "classification", "data": data, "head": {"of": "any"}}))
    with pytest.raises(SystemExit, match="0"):
        main(["data", str(config), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [about["examples"] for about in found["splits"].values()] == [16, 2, 2]
    with pytest.raises(SystemExit, match="0"):
        main(["data", str(config), "--set", "data.split.seed=3"])
    assert "validation: 2 examples, 2 words" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main(["data", str(config), "--set", "tasks=1"])
    assert "--set tasks=1: unknown key 'tasks'; did you mean 'task'?" in capsys.readouterr().err
