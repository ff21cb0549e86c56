"""What an evaluation says of models: of answers made up here, and of untrained models."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from embeddings.errors import ConfigError, InputError, ModelError
from models.description import Description
from models.examples import Examples
from models.metrics import score
from models.options import HeadOptions
from models.predictor import Predictor
from models.significance import paired_difference
from pipeline.answers import Answers, answers_of
from pipeline.breakdown import by_frequency, by_length
from pipeline.cli import main
from pipeline.compare import _alike, verdict
from pipeline.data_config import DataConfig
from pipeline.evaluate import Evaluation, evaluate_stage
from pipeline.evaluation_report import html_of, lines_of
from pipeline.mistakes import confusions, worst

TAGS = ["O", "B-X", "I-X"]
WORDS = [["a", "b"], ["a", "c", "d"], ["a"], ["b", "a", "e", "f"]]
GOLD = [["B-X", "I-X"], ["O", "B-X", "O"], ["O"], ["B-X", "O", "B-X", "I-X"]]
FOUND = [["B-X", "I-X"], ["O", "O", "B-X"], ["B-X"], ["B-X", "O", "B-X", "O"]]
SURE = [[0.9, 0.9], [0.9, 0.8, 0.6], [0.95], [0.9, 0.9, 0.9, 0.5]]


def made(task, words, gold, found, labels, sure, **options):
    """Answers without a model; what is true has the rest of the probability."""
    description = Description("a", task, labels, "whitespace", HeadOptions(**options), {}, "")
    examples = Examples(words, gold, [f"line {k}" for k in range(1, len(words) + 1)])
    probabilities = [np.array(row, float) for row in sure]
    return Answers(description, examples, labels, found, probabilities, [1 - row for row in probabilities])


@pytest.fixture
def tagged():
    return made("tagging", WORDS, GOLD, FOUND, TAGS, SURE)


def test_spans_fall_into_groups_by_their_rarest_word(tagged):
    """In the training texts `a` stands seven times and `b` twice. The spans: a b is right; c, and e f cut to e, are
    missed; d, a alone and e alone are too many; b is right."""
    groups = by_frequency(tagged, [["a"] * 7, ["b", "b"]], 100, seed=1)
    expected = {"unseen": (2, 0.0), "1 to 5 times": (2, 1.0)}
    assert {group["group"]: (group["size"], group["value"]) for group in groups} == expected


def test_without_training_texts_words_are_counted_in_the_texts_themselves(tagged):
    groups = by_frequency(tagged, None, 100, seed=1)
    # Four times a, alone, too many; twice the spans a b and b, both right; once c and e f, of which none is found.
    assert [(group["group"], group["size"]) for group in groups] == [("once", 2), ("2 to 5 times", 2)]
    assert [group["value"] for group in groups] == pytest.approx([0.0, 2 * 2 / (3 + 2)])


def test_tags_that_mark_no_spans_are_grouped_word_by_word():
    gold = [["N", "V"], ["N", "N", "V"], ["N"], ["V", "N", "V", "V"]]
    found = [["N", "N"], ["N", "N", "N"], ["N"], ["V", "N", "V", "V"]]
    answers = made("tagging", WORDS, gold, found, ["N", "V"], SURE)
    groups = by_frequency(answers, [["a", "b"]], 100, seed=1)
    assert [(group["group"], group["size"]) for group in groups] == [("unseen", 4), ("1 to 5 times", 6)]
    assert [group["value"] for group in groups] == pytest.approx([3 / 4, 5 / 6])


def test_groups_by_length_have_the_score_of_their_texts(tagged):
    groups = by_length(tagged, 100, seed=1)
    assert [(group["group"], group["size"]) for group in groups] == [("1", 1), ("2", 1), ("3", 1), ("4", 1)]
    alone = [score("tagging", [g], [p], TAGS)["f1"] for g, p in zip(GOLD, FOUND, strict=True)]
    assert [group["value"] for group in groups] == pytest.approx([alone[k] for k in (2, 0, 1, 3)])
    assert all(group["low"] == group["value"] == group["high"] for group in groups)


def test_texts_to_classify_are_grouped_by_their_unseen_words():
    answers = made("classification", WORDS, list("xyxy"), list("xxxx"), ["x", "y"], [[1]] * 4)
    groups = by_frequency(answers, [["a", "b"]], 100, seed=1)
    assert [(group["group"], group["size"], group["value"]) for group in groups] == [("none", 2, 1.0), ("two", 2, 0.0)]


def test_the_worst_mistakes_are_those_of_which_the_model_was_most_sure(tagged):
    found = worst(tagged, most=10)
    assert [(one["place"], one["sure"]) for one in found] == [("line 3", 0.95), ("line 2", 0.8), ("line 4", 0.5)]
    assert found[1]["gold"] == GOLD[1] and found[1]["predicted"] == FOUND[1]
    assert found[0]["gold_probability"] == pytest.approx(0.05)
    assert len(worst(tagged, most=1)) == 1


def test_what_is_taken_for_what_is_counted(tagged):
    assert confusions(tagged)[0] == {"gold": "O", "predicted": "B-X", "count": 2}
    assert {(one["gold"], one["predicted"]) for one in confusions(tagged)} == {
        ("O", "B-X"),
        ("B-X", "O"),
        ("I-X", "O"),
    }


def test_of_label_sets_what_is_missing_and_what_is_too_much_is_counted():
    gold, found = [("x",), ("x", "y"), (), ("y",)], [["x"], ["x"], ["y"], ["y"]]
    sure = [[0.9, 0.9], [0.9, 0.7], [0.9, 0.8], [0.9, 0.9]]
    answers = made("classification", WORDS, gold, found, ["x", "y"], sure, multi_label=True)
    assert confusions(answers) == [
        {"gold": "y", "predicted": "", "count": 1},
        {"gold": "", "predicted": "y", "count": 1},
    ]
    assert [(one["place"], one["sure"]) for one in worst(answers, 5)] == [("line 3", 0.8), ("line 2", 0.7)]
    assert answers.main == "micro_f1"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"difference": 0.02, "low": 0.01, "high": 0.03, "p": 0.01}, "one is 2.00 points of f1 above other"),
        ({"difference": -0.02, "low": -0.03, "high": -0.01, "p": 0.01}, "other is 2.00 points of f1 above one"),
        ({"difference": -0.02, "low": -0.03, "high": -0.01, "p": 0.01}, "interval 1.00 to 3.00"),
        ({"difference": 0.02, "low": -0.01, "high": 0.03, "p": 0.2}, "do not show which of them is better"),
        ({"difference": 0.02, "low": 0.01, "high": 0.03, "p": 0.01}, "in 1.0% of such samples of texts; so take one"),
        ({"difference": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}, "one and other have the same f1"),
    ],
)
def test_a_difference_is_told_in_words(found, said):
    assert said in verdict("one", "other", "f1", found)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Labelled texts for the untrained models, and an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    rows = [f"A <b>{word}</b> & {k} more .,{('cat', 'dog', 'fish')[k % 3]}" for k, word in enumerate(["x", "y"] * 6)]
    (tmp_path / "texts.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    tags = [{"words": ["A", "<i>", f"w{k}"], "tags": ["O", "B-X", "I-X"]} for k in range(8)]
    (tmp_path / "tags.jsonl").write_text("".join(json.dumps(row) + "\n" for row in tags))
    return tmp_path


@pytest.mark.parametrize(("task", "data"), [("classification", "texts.csv"), ("tagging", "tags.jsonl")])
def test_a_report_holds_what_a_page_and_lines_show(files, model_folders, task, data):
    asked = Evaluation(model="tiny", data=data, against="itself", resamples=100)
    report = evaluate_stage(asked, model_folders[task], model_folders[task], page=files / "page.html")
    assert json.loads(json.dumps(report)) == report
    assert sum(group["size"] for group in report["lengths"]) == report["examples"] in (12, 8)
    assert all(found["low"] <= found["value"] <= found["high"] for found in report["scores"].values())
    bins = report["calibration"]["bins"]
    assert sum(one["answers"] for one in bins) == (12 if task == "classification" else 24)
    sure = [mistake["sure"] for mistake in report["mistakes"]]
    assert sure == sorted(sure, reverse=True) and len(sure) == report["wrong"] > 0
    assert {of["difference"] for of in report["comparison"]["scores"].values()} == {0.0}
    assert report["comparison"]["verdict"].startswith("tiny and itself have the same")
    lines = "\n".join(lines_of(report))
    assert f"tiny on {report['examples']} examples of {data}" in lines and "95% interval" in lines

    page = (files / "page.html").read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>") and report["mistakes"][0]["place"] in page
    without_images = re.sub(r'data:image/png;base64,[^"]+', "", page)
    assert not re.search(r'https?:|src="[^"]|url\(|<script|<link|<[bi]>', without_images)
    assert set(re.findall(r'src="(.{22})', page)) == {"data:image/png;base64,"}
    if task == "tagging":
        assert re.search(r'<span class="word bad">&lt;i&gt;<small class="gold">B-X</small><small class="wrong">', page)


def test_a_tagger_is_as_sure_of_a_tag_as_its_marginals_say(files, model_folders):
    predictor = Predictor.load(model_folders["tagging"])
    examples = Examples([["A", "cat"], ["No"]], [["O", "B-X"], ["I-X"]], ["a", "b"])
    answers = answers_of(predictor, examples, "data")
    for text, words in enumerate(examples.sentences):
        (found,) = predictor.tag([words], marginals=True)
        given = [of[tag] for of, tag in zip(found.marginals, found.tags, strict=True)]
        true = [of[tag] for of, tag in zip(found.marginals, examples.targets[text], strict=True)]
        np.testing.assert_allclose(answers.sure[text], given, atol=1e-6)
        np.testing.assert_allclose(answers.of_gold[text], true, atol=1e-6)


def test_the_data_of_a_config_are_its_splits(files, model_folders):
    split = {"train": "texts.csv", "split": {"test": 0.25, "validation": 0.25}}
    config = DataConfig(task="classification", data=split)
    asked = Evaluation(model="tiny", data="config.yaml", config=config, resamples=100)
    report = evaluate_stage(asked, model_folders["classification"])
    assert (report["examples"], report["data"]) == (3, "config.yaml, test")
    assert report["frequency_in"] == "the training texts of config.yaml"
    report = evaluate_stage(asked.model_copy(update={"split": "train"}), model_folders["classification"])
    assert report["examples"] == 6
    with pytest.raises(ConfigError, match=r"config\.yaml: 'task' is classification; tiny-tagging is for tagging"):
        evaluate_stage(asked, model_folders["tagging"])


def test_models_for_different_tasks_are_not_compared(files, model_folders):
    asked = Evaluation(model="tiny", data="texts.csv", against="other", resamples=100)
    with pytest.raises(ModelError, match="other: is for tagging; expected one for classification, as tiny"):
        evaluate_stage(asked, model_folders["classification"], model_folders["tagging"])


@pytest.mark.parametrize("labels", [["O", "B-X", "I-X", "B-Z", "I-Z"], ["NOUN", "VERB"]])
def test_a_tagger_is_compared_with_one_of_other_labels(tagged, labels):
    """Of another scheme and more kinds of spans, and of tags that mark none."""
    tags = [["B-Z", "I-Z"], ["O"]] if "O" in labels else [["NOUN", "VERB"], ["NOUN"]]
    examples = Examples([["a", "b"], ["c"]], [["B-X", "L-X"], ["U-X"]], ["1", "2"])
    own = replace(
        tagged, examples=examples, labels=["O", "B-X", "I-X", "L-X", "U-X"], predicted=[["B-X", "L-X"], ["O"]]
    )
    other = replace(tagged, examples=examples, labels=labels, predicted=tags)
    found = paired_difference(own.counts, _alike(other, own).counts, 100, seed=1)
    assert found["accuracy"].value == pytest.approx(2 / 3)
    if "O" in labels:
        assert found["f1"].value == pytest.approx(2 / 3)


def test_texts_of_another_form_than_the_model_reads_are_refused(model_folders):
    predictor = Predictor.load(model_folders["classification"])
    examples = Examples([["A"]], [("cat", "dog")], ["a"])
    with pytest.raises(InputError, match="several labels a text; the model tiny-classification expects one"):
        answers_of(predictor, examples, "data.csv")
    with pytest.raises(InputError, match="pairs of texts an example; the model tiny-classification reads one text"):
        answers_of(predictor, replace(examples, targets=["cat"], pairs=[["B"]]), "data.csv")


def test_the_command_gives_json_and_files(files, model_folders, capsys):
    folder = str(model_folders["classification"])
    arguments = ["evaluate", folder, "texts.csv", "--json", "--resamples", "100", "--train", "texts.csv"]
    for _ in range(2):
        # The second time earlier results are replaced.
        with pytest.raises(SystemExit) as end:
            main([*arguments, "--report", "page.html", "--plot", "confusion.png"])
        assert not end.value.code
        report = json.loads(capsys.readouterr().out)
    assert report["frequencies"][0]["group"] == "none" and (files / "page.html").is_file()
    assert (files / "confusion.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--report", "page.txt"], "expected a file that ends in .html"),
        (["--report", "mine.html"], "mine.html: holds something else"),
        (["--split", "all"], "expected one of train, validation, test"),
        (["--format", "xls"], "expected one of text, csv"),
        (["--set", "a=1"], "changes a config; texts.csv is none"),
        (["--train", "none.csv"], "none.csv: no such file"),
        (["--against", "none"], "none: no such folder"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_loaded(files, model_folders, capsys, arguments, message):
    (files / "mine.html").write_text("my page")
    with pytest.raises(SystemExit) as end:
        main(["evaluate", str(model_folders["classification"]), "texts.csv", *arguments])
    assert end.value.code and message in capsys.readouterr().err


def test_a_page_shows_translations_without_labels():
    report = {
        "model": "m", "data": "d", "task": "seq2seq", "examples": 1, "words": 2, "sha256": "0" * 64, "level": 0.95,
        "resamples": 100, "main": "chrf", "scores": {"chrf": {"value": 1.0, "low": 1.0, "high": 1.0}}, "labels": {},
        "lengths": [], "frequencies": [], "frequency_in": "these texts", "calibration": None, "confusions": [],
        "wrong": 1, "mistakes": [{"place": "p", "words": ["eins"], "gold": "one", "predicted": "two", "sure": -0.5}],
    }  # fmt: skip
    page = html_of(report, {})
    assert "score -0.500" in page and "one" in page and "two" in page and "<img" not in page
