import numpy as np
import pytest

from embeddings.errors import ConfigError, InputError, TrainingError
from embeddings.store import Store
from models.examples import Examples
from models.metrics import main_metric, score
from models.options import Biattention, CharacterInput, HeadOptions, TrainingSettings
from models.preparation import prepare
from models.texts import Texts
from models.training import predict_labels, train_head

VECTOR_OF_WORD = {"good": [1, 0], "bad": [-1, 0], "New": [0, 1], "York": [0, 1], "is": [0, 0]}


def data(sentences, targets, folder):
    vectors = [np.array([[VECTOR_OF_WORD[word] for word in sentence]] * 2, "f4") for sentence in sentences]
    places = [f"data line {k}" for k in range(len(sentences))]
    return Examples(sentences, targets, places), Store.write(folder, vectors)


def test_a_classifier_learns_what_can_be_told(tmp_path):
    sentences = [["is", "good"], ["is", "bad", "is"], ["good"], ["bad"]] * 10
    labelled = data(sentences, ["yes", "no", "yes", "no"] * 10, tmp_path / "store")
    epochs = []
    settings = TrainingSettings(epochs=30, patience=30, batch_size=4, learning_rate=0.05)
    options = HeadOptions(encoder="none", dropout=0.0)
    head = train_head("classification", options, settings, ["no", "yes"], labelled, labelled, 1, epochs.append)
    assert predict_labels("classification", head, labelled[1], ["no", "yes"]) == labelled[0].targets
    assert epochs[-1].loss < epochs[0].loss and len(epochs) == 30


def test_a_tagger_learns_spans_and_the_same_seed_gives_the_same(tmp_path):
    labelled = data(
        [["New", "York", "is", "good"], ["is", "New", "York"], ["bad"]] * 10,
        [["B-X", "I-X", "O", "O"], ["O", "B-X", "I-X"], ["O"]] * 10,
        tmp_path / "store",
    )
    runs = []
    for _ in range(2):
        epochs = []
        settings = TrainingSettings(epochs=20, patience=20, batch_size=4, learning_rate=0.05)
        labels = labelled[0].label_set()
        options = HeadOptions(encoder="lstm", units=4, dropout=0.1)
        head = train_head("tagging", options, settings, labels, labelled, labelled, 1, epochs.append)
        runs.append([epoch.loss for epoch in epochs])
        assert labels == ["O", "B-X", "I-X"]
        assert predict_labels("tagging", head, labelled[1], labels) == labelled[0].targets
    assert runs[0] == runs[1]


def test_a_batch_may_have_a_word_of_any_length():
    texts = [["a", "b" * 300], ["b", "a"], ["a", "b" * 3000], ["b"]]
    examples = Examples(texts, [["X", "O"], ["O", "X"], ["X", "O"], ["O"]], [""] * 4)
    prepared = prepare("tagging", HeadOptions(inputs=(CharacterInput(dim=4),), units=3), examples, bilm=False)
    settings = TrainingSettings(epochs=1, batch_size=1)
    both = (examples, None), (examples, None)
    head = train_head("tagging", prepared.options, settings, prepared.labels, *both, 1, features=prepared.features)
    found = predict_labels("tagging", head, Texts(None, examples, prepared.options, prepared.features), ["X", "O"])
    assert [len(tags) for tags in found] == [2, 2, 2, 1]


def test_other_heads_learn_too(tmp_path):
    settings = TrainingSettings(epochs=20, patience=5, batch_size=4, learning_rate=0.05)
    texts = [["New", "York", "is"], ["is", "New"], ["bad"], ["good"]] * 8
    tagged = data(texts, [["B-X", "I-X", "O"], ["O", "B-X"], ["O"], ["O"]] * 8, tmp_path / "tags")
    labels = tagged[0].label_set()
    for options in (
        HeadOptions(units=4, dropout=0.0, decoder="softmax", bidirectional=False, feedforward=((4, "tanh"),)),
        HeadOptions(units=4, dropout=0.0, constraints="BIO", boundaries=False),
    ):
        head = train_head("tagging", options, settings, labels, tagged, tagged, 1)
        assert predict_labels("tagging", head, tagged[1], labels) == tagged[0].targets
    told = data(texts, ["x", "x", "y", "z"] * 8, tmp_path / "labels")
    parts = Biattention(before=((4, "relu"),), units=3, elmo=True, output=((4, 2),), pieces=2)
    options = HeadOptions(units=3, dropout=0.0, biattention=parts)
    head = train_head("classification", options, settings, ["x", "y", "z"], told, told, 1)
    assert predict_labels("classification", head, told[1], ["x", "y", "z"]) == told[0].targets


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("tagging", HeadOptions(multi_label=True), "multi_label is for classification; this is tagging"),
        ("classification", HeadOptions(scheme="BIO"), "scheme 'BIO' is for tagging; this is classification"),
        ("tagging", HeadOptions(constraints="BIO"), "constraints 'BIO' do not fit the label 'NOUN'"),
        ("tagging", HeadOptions(biattention=Biattention()), "biattention is for classification; this is tagging"),
        ("classification", HeadOptions(constraints="BIO"), "constraints 'BIO' is for tagging"),
        (
            "classification",
            HeadOptions(biattention=Biattention(dense=((7, "linear"),))),
            "the last layer of biattention.dense has 7 units; there are 2 labels",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(tmp_path, task, options, message):
    targets = [["NOUN"], ["O"]] if task == "tagging" else ["NOUN", "O"]
    labelled = data([["good"], ["bad"]], targets, tmp_path / "store")
    with pytest.raises(ConfigError, match=message):
        train_head(task, options, TrainingSettings(), ["O", "NOUN"], labelled, labelled, 1)


def test_training_stops_early_and_keeps_the_best_epoch(tmp_path, monkeypatch):
    labelled = data([["good"], ["bad"]], ["yes", "no"], tmp_path / "store")
    given = iter([0.5, 0.9, 0.1, 0.2, 0.3])
    weights = []
    monkeypatch.setattr("models.training.score", lambda *_: {"accuracy": next(given)})
    monkeypatch.setattr("models.training.predict_labels", lambda task, head, *_: weights.append(head.get_weights()))
    settings = TrainingSettings(epochs=9, patience=2)
    head = train_head("classification", HeadOptions(encoder="none"), settings, ["no", "yes"], labelled, labelled, 1)
    assert len(weights) == 4
    for kept, best in zip(head.get_weights(), weights[1], strict=True):
        np.testing.assert_array_equal(kept, best)


@pytest.mark.parametrize("task", ["classification", "tagging"])
def test_a_training_that_diverges_is_stopped(tmp_path, task):
    targets = ["yes", "no"] if task == "classification" else [["yes"], ["no"]]
    labelled = data([["good"], ["bad"]], targets, tmp_path / "store")
    settings = TrainingSettings(optimizer="sgd", clip_norm=None, learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"epoch 2: the loss is (nan|inf); lower training"):
        train_head(task, HeadOptions(encoder="none", pooling="mean"), settings, ["no", "yes"], labelled, labelled, 1)


def test_a_label_unseen_in_training_is_named_with_its_place():
    with pytest.raises(InputError, match=r"line 7: label 'bird' was not seen in training; known labels: cat, dog"):
        Examples([["a"]], ["bird"], ["f.csv line 7"]).numbered(["cat", "dog"])
    with pytest.raises(InputError, match="label 'B-Y'"):
        Examples([["a", "b"]], [["O", "B-Y"]], ["f line 1"]).numbered(["O", "B-X"])


def test_batches_hold_every_text_once(tmp_path, random):
    words = ["good", "bad", "is"]
    sentences = [[words[k % 3]] * (1 + k % 5) for k in range(23)]
    examples, store = data(sentences, [["O"] * len(sentence) for sentence in sentences], tmp_path / "store")
    for shuffled in (None, np.random.default_rng(1)):
        seen = []
        for positions, x, y in Texts(store).batches(examples.numbered(["O"]), 4, shuffled):
            assert len(positions) <= 4
            assert x["mask"].sum(axis=1).tolist() == [len(sentences[k]) for k in positions]
            assert y.shape == x["mask"].shape
            for row, k in zip(x["layers"], positions, strict=True):
                np.testing.assert_array_equal(row[:, : len(sentences[k])], store[k])
            seen += list(positions)
        assert sorted(seen) == list(range(23))


def test_scores_are_those_of_the_definitions():
    assert score("classification", ["a", "a", "b", "c"], ["a", "b", "b", "b"], ["a", "b", "c"]) == pytest.approx(
        {"accuracy": 0.5, "macro_f1": (2 / 3 + 0.5 + 0) / 3}
    )
    gold = [["B-X", "I-X", "O", "B-Y"], ["O"]]
    predicted = [["B-X", "I-X", "O", "B-X"], ["B-Y"]]
    # One of three predicted spans is right, and one of two true ones is found.
    expected = {"accuracy": 3 / 5, "precision": 1 / 3, "recall": 1 / 2, "f1": 0.4}
    assert score("tagging", gold, predicted, ["O", "B-X", "I-X", "B-Y"]) == pytest.approx(expected)
    assert score("tagging", [["NOUN", "VERB"]], [["NOUN", "NOUN"]], ["NOUN", "VERB"]) == {"accuracy": 0.5}
    # A split without a span still has a score for spans.
    assert score("tagging", [["O"]], [["O"]], ["O", "B-X"])["f1"] == 0
    assert main_metric("tagging", ["O", "B-X"]) == "f1" and main_metric("tagging", ["NOUN"]) == "accuracy"
