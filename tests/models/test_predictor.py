import json
import math
import shutil

import numpy as np
import pytest

from embeddings.errors import InputError, ModelError
from embeddings.tokenizer import Token
from models import Predictor
from models.description import Description
from models.features import Feature, Features
from models.model_folder import save_model
from models.options import CharacterInput, HeadOptions, WordInput
from models.predictions import Span, spans_of, to_json
from models.training import build_head

TEXTS = ["The cat isn't here.", "  Two\n words  ", "😀 naïve", "x" * 500]


@pytest.fixture(scope="module")
def predictors(model_folders):
    return {task: Predictor.load(folder) for task, folder in model_folders.items()}


def test_a_classification_has_every_label_with_its_probability(predictors):
    for prediction in predictors["classification"].predict(TEXTS):
        assert set(prediction.probabilities) == {"cat", "dog", "fish"}
        assert sum(prediction.probabilities.values()) == pytest.approx(1)
        assert prediction.label == max(prediction.probabilities, key=prediction.probabilities.get)


def test_tokens_and_spans_stand_where_they_say(predictors):
    for text, prediction in zip(TEXTS, predictors["tagging"].predict(TEXTS), strict=True):
        assert len(prediction.tokens) == len(prediction.tags)
        assert all(text[token.start : token.end] == token.text for token in prediction.tokens)
        assert all(text[span.start : span.end] == span.text for span in prediction.spans)


@pytest.mark.parametrize("task", ["classification", "tagging"])
def test_an_answer_does_not_depend_on_its_neighbours(predictors, task):
    together = predictors[task].predict(TEXTS, batch_size=2)
    for text, answer in zip(TEXTS, together, strict=True):
        (alone,) = predictors[task].predict([text])
        if task == "tagging":
            assert alone == answer
        else:
            assert alone.probabilities == pytest.approx(answer.probabilities, abs=1e-5)


def test_words_are_taken_as_they_are(predictors):
    (prediction,) = predictors["tagging"].predict([["isn't", "here."]])
    assert prediction.tokens == [Token("isn't", 0, 5), Token("here.", 6, 11)]


@pytest.mark.parametrize("texts", [["fine", ""], ["fine", " \n "], [["fine"], []], [["fine"], [" "]]])
def test_a_text_without_words_is_named(predictors, texts):
    with pytest.raises(InputError, match=r"texts\[1\] has no words"):
        predictors["classification"].predict(texts)


def test_one_text_in_place_of_a_list_is_refused(predictors):
    with pytest.raises(InputError, match="expected a list of texts"):
        predictors["classification"].predict("one text")


def test_what_is_no_text_is_named(predictors):
    with pytest.raises(InputError, match=r"texts\[1\] is of the type NoneType; expected a text or its words"):
        predictors["tagging"].predict(["a", None])


def test_no_texts_give_no_answers(predictors):
    assert predictors["tagging"].predict([]) == []


def test_a_text_of_20_000_words_is_answered(predictors):
    (prediction,) = predictors["tagging"].predict([["long"] * 20_000])
    assert len(prediction.tags) == 20_000


def test_logits_are_given_if_asked_for(predictors):
    (answer,) = predictors["classification"].predict(["A cat ."], logits=True)
    powers = [math.exp(x) for x in answer.logits.values()]
    labels = predictors["classification"].description.labels
    expected = {label: power / sum(powers) for label, power in zip(labels, powers, strict=True)}
    assert answer.probabilities == pytest.approx(expected)
    short, long = predictors["tagging"].predict([["one"], ["one", "two"]], logits=True)
    assert [len(row) for row in long.logits] == [3, 3] and len(short.logits) == 1
    (without,) = predictors["tagging"].predict([["one"]])
    assert without.logits is None and "logits" not in to_json(without) and "logits" in to_json(short)


def test_a_model_folder_of_before_the_newer_options_is_read(predictors, model_folders, tmp_path):
    folder = shutil.copytree(model_folders["tagging"], tmp_path / "model")
    description = json.loads((folder / "model.json").read_text())
    description["head"] = {key: description["head"][key] for key in ("encoder", "units", "depth", "pooling")}
    (folder / "model.json").write_text(json.dumps(description))
    assert Predictor.load(folder).predict(TEXTS) == predictors["tagging"].predict(TEXTS)


def test_a_model_without_a_bilm_answers(tmp_path):
    inputs = (WordInput(dim=3), CharacterInput(dim=3, widths=(2,), filters=4))
    options = HeadOptions(encoder="gru", units=3, inputs=inputs, decoder="softmax")
    features = Features({"words": Feature(["the", "cat"]), "characters": Feature(list("thecat"))})
    head = build_head("tagging", options, 2, None, {"words": 4, "characters": 8})
    description = Description("small", "tagging", ["A", "B"], "whitespace", options, {}, "the cat")
    save_model(tmp_path / "model", description, head, None, features)
    assert not (tmp_path / "model/bilm").exists()
    predictor = Predictor.load(tmp_path / "model")
    (answer,) = predictor.predict(["the cat sat"], logits=True)
    x = {"mask": np.ones((1, 3), bool), "features": features.arrays(options, [["the", "cat", "sat"]])}
    logits = [list(word.values()) for word in answer.logits]
    np.testing.assert_allclose(logits, head.predict_on_batch(x)[0], atol=1e-6)
    (tmp_path / "model/features.json").write_text('{"words": {"entries": [1]}}')
    with pytest.raises(ModelError, match=r"features\.json: not the features of a model"):
        Predictor.load(tmp_path / "model")
    (tmp_path / "model/features.json").unlink()
    with pytest.raises(ModelError, match=r"features\.json: cannot be read"):
        Predictor.load(tmp_path / "model")


def test_a_wrong_option_of_a_head_is_named(model_folders, tmp_path):
    description = json.loads((model_folders["tagging"] / "model.json").read_text())
    description["head"]["inputs"] = [{"kind": "elmo", "projection": 0}]
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(ModelError, match=r"'head\.inputs\.0\.elmo\.projection'"):
        Predictor.load(tmp_path)


def test_nothing_in_a_model_folder_is_pickled(model_folders):
    for folder in model_folders.values():
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert {path.suffix for path in files} <= {".json", ".h5", ".hdf5", ".txt"}


def test_a_folder_that_is_no_model_is_refused(model_folders, tmp_path):
    with pytest.raises(ModelError, match="no such folder"):
        Predictor.load(tmp_path / "missing")
    with pytest.raises(ModelError, match=r"no model\.json"):
        Predictor.load(tmp_path)
    description = json.loads((model_folders["tagging"] / "model.json").read_text())
    for change, message in (
        ({"format": 9}, "format 9"),
        ({"head": {"depht": 1}}, "not the description"),
        ({"labels": None}, "not the desc"),
    ):
        (tmp_path / "model.json").write_text(json.dumps(description | change))
        with pytest.raises(ModelError, match=message):
            Predictor.load(tmp_path)


def test_damaged_head_weights_are_named(model_folders, tmp_path):
    folder = shutil.copytree(model_folders["tagging"], tmp_path / "model")
    (folder / "head.weights.h5").write_bytes(b"no")
    with pytest.raises(ModelError, match=r"head\.weights\.h5: cannot be read"):
        Predictor.load(folder)


def test_spans_follow_the_conll_definition():
    tokens = [Token(word, 2 * k, 2 * k + 1) for k, word in enumerate("abcdef")]
    tags = ["I-X", "I-X", "B-X", "I-Y", "O", "B-Y"]
    assert [(span.label, span.start, span.end) for span in spans_of("a b c d e f", tokens, tags)] == [
        ("X", 0, 3),
        ("X", 4, 5),
        ("Y", 6, 7),
        ("Y", 10, 11),
    ]
    assert spans_of("a b", tokens[:2], ["NOUN", "VERB"]) == []
    assert spans_of("a", tokens[:1], ["B-X"]) == [Span("X", "a", 0, 1)]


def test_weights_are_read_back_as_written(predictors, model_folders):
    again = Predictor.load(model_folders["classification"])
    for one, other in zip(again._head.get_weights(), predictors["classification"]._head.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
