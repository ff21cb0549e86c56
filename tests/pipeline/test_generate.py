import json
from dataclasses import replace

import keras
import numpy as np
import pytest

from embeddings.bilm import BiLM
from embeddings.published import write_published
from embeddings.tokenizer import SPACE
from embeddings.weights import SOFTMAX, arrays_of
from pipeline.cli import main
from pipeline.diagnose import lines_of

KNOWN = {"the", "cat", "sat", "on", "mat", "."}


@pytest.fixture
def telmo(capsys, tmp_path, monkeypatch):
    """Run a command in an empty folder; gives its exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def refused(result, message, code=1):
    found, out, err = result
    return found == code and out == "" and message in " ".join(err.replace("│", " ").split()) and "Traceback" not in err


@pytest.fixture(scope="module")
def character_model(tiny_options, tmp_path_factory):
    """A random language model of characters in one direction."""
    folder = tmp_path_factory.mktemp("characters")
    options = replace(tiny_options, bidirectional=False)
    keras.utils.set_random_seed(5)
    words = ["<S>", "</S>", "<UNK>", SPACE, *"abc."]
    softmax = dict(zip(SOFTMAX, (np.eye(8, 4, dtype="f4"), np.zeros(8, "f4")), strict=True))
    write_published(folder, options, arrays_of(BiLM(options)) | softmax, words)
    return folder


def test_a_text_goes_on_from_the_prompt(telmo, language_model_folder):
    arguments = ["generate", language_model_folder, "--prompt", "The cat", "--words", 40, "--seed", 2]
    code, out, err = telmo(*arguments)
    assert code == 0 and out.startswith("The cat ") and out.endswith("\n") and err == "seed 2\n"
    first, *others = out[:-1].split("\n")
    words = [*first.split(" ")[2:], *(word for line in others for word in line.split(" ") if word)]
    assert set(words) <= KNOWN and len(words) + len(others) == 40
    assert telmo(*arguments)[1] == out
    assert telmo(*arguments[:-1], 3)[1] != out


def test_a_seed_that_was_not_given_is_shown_and_repeats_the_text(telmo, language_model_folder):
    arguments = "generate", language_model_folder, "--words", 30, "--temperature", 3
    _, out, err = telmo(*arguments)
    assert telmo(*arguments, "--seed", err.split()[1])[1] == out


def test_the_text_is_shown_word_by_word(telmo, language_model_folder, monkeypatch):
    shown = []
    monkeypatch.setattr("builtins.print", lambda *text, **options: shown.append((text, options)))
    telmo("generate", language_model_folder, "--prompt", "the", "--words", 5, "--seed", 1)
    *words, _, _ = shown
    assert len(words) == 6 and all(options == {"end": "", "flush": True} for _, options in words)


def test_characters_make_a_text_without_spaces_between_them(telmo, character_model):
    code, out, _ = telmo("generate", character_model, "--prompt", "a  b\nc ", "--words", 300, "--seed", 1)
    assert code == 0 and out.startswith("a  b\nc ") and set(out) == set("abc. \n") and "ab" in out
    assert len(out) == len("a  b\nc ") + 300 + 1


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--temperature", "-1"), "--temperature: -1.0; expected 0 or more"),
        (("--temperature", "nan"), "--temperature: nan"),
        (("--top-k", "0"), "--top-k: 0; expected at least 1"),
        (("--top-p", "1.5"), "--top-p: 1.5; expected more than 0 and at most 1"),
        (("--tokenizer", "nltk"), "expected one of spacy, whitespace, characters"),
        (("--words", "0"), "'--words'"),
        (("--seed", "-1"), "'--seed'"),
    ],
)
def test_wrong_usage_is_told(telmo, language_model_folder, option, message):
    assert refused(telmo("generate", language_model_folder, *option), message, code=2)


def test_what_is_no_language_model_is_refused(telmo, tiny_bilm_folder):
    assert refused(telmo("generate", "nowhere"), "nowhere: does not exist")
    assert refused(telmo("generate", tiny_bilm_folder), "brings no softmax; expected a language model")
    assert refused(telmo("fill", tiny_bilm_folder, "a ___ b"), "brings no softmax; expected a language model")


def test_a_prompt_that_is_no_text_is_refused(telmo, language_model_folder):
    assert refused(telmo("generate", language_model_folder, "--prompt", "\udce9"), "bytes that are not UTF-8")
    assert refused(telmo("fill", language_model_folder, "\udce9 ___"), "bytes that are not UTF-8")


def test_words_are_ranked_for_a_blank(telmo, language_model_folder):
    code, out, _ = telmo("fill", language_model_folder, "the cat ___ on the mat.", "--top", 3)
    head, *rows = out.splitlines()
    assert code == 0 and head.split() == ["word", "probability", "forward", "backward"] and len(rows) == 3
    probabilities = [float(row.split()[1]) for row in rows]
    assert probabilities == sorted(probabilities, reverse=True) and {row.split()[0] for row in rows} < KNOWN
    _, out, _ = telmo("fill", language_model_folder, "the cat ___ on the mat.", "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert [one["word"] for one in found[:3]] == [row.split()[0] for row in rows]
    assert {one["word"] for one in found} == KNOWN and sum(one["probability"] for one in found) == pytest.approx(1)
    _, prior, _ = telmo("fill", language_model_folder, "the cat ___ on the mat.", "--json", "--prior", 1)
    assert prior != out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the cat sat", "'the cat sat': no blank; expected one ___"),
        ("the ___ sat on ____", "2 blanks; expected one ___"),
        ("", "no blank"),
    ],
)
def test_a_text_without_one_blank_is_refused(telmo, language_model_folder, text, message):
    assert refused(telmo("fill", language_model_folder, text), message)


def test_a_model_of_one_direction_cannot_fill(telmo, character_model):
    assert refused(telmo("fill", character_model, "a ___ b"), "reads in one direction only")


def test_the_gradient_flow_is_drawn_and_told(telmo, tmp_path, language_model_folder, monkeypatch):
    (tmp_path / "a.txt").write_text("The cat sat on the mat.\n\n" * 5)
    # What is found twice takes twice as long.
    kept = []
    monkeypatch.setattr("pipeline.diagnose.lines_of", lambda found: kept.append(found) or lines_of(found))
    code, out, _ = telmo("diagnose", language_model_folder, "a.txt", "--lags", 4)
    assert code == 0 and (tmp_path / "gradient-flow.png").read_bytes().startswith(b"\x89PNG")
    assert "backward layer 2" in out and "rnn, weights x 3" in out and "gradient-flow.png" in out
    monkeypatch.setattr("pipeline.diagnose.diagnose_stage", lambda *asked: kept[0])
    found = json.loads(telmo("diagnose", language_model_folder, "a.txt", "--json")[1])
    assert len(found["layers"]) == 8 and len(found["cells"]) == 3 * (2 * 3 + 2)
    assert all(len(row["median"]) == 5 and row["median"][0] == 1 for row in found["layers"] + found["cells"])


def test_a_text_that_cannot_be_diagnosed_is_refused(telmo, tmp_path, language_model_folder):
    (tmp_path / "a.txt").write_text("The cat sat.\n")
    assert refused(telmo("diagnose", language_model_folder, "a.txt"), "6 words with the frames of its sentences")
    assert refused(telmo("diagnose", language_model_folder, "b.txt"), "b.txt: no such file")
    assert refused(telmo("diagnose", language_model_folder, "a.txt", "--plot", "a.jpg"), "ends in .png", code=2)
    assert not list(tmp_path.glob("*.png"))
