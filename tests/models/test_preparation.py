import numpy as np
import pytest

from embeddings.errors import ConfigError, InputError, ModelError
from models import Predictor
from models.baseline import tfidf_predictions, tfidf_probabilities
from models.calibration import Calibration
from models.description import Description
from models.examples import Examples
from models.model_folder import save_model
from models.options import Biattention, CharacterInput, ElmoInput, HeadOptions, TrainingSettings, WordInput
from models.preparation import prepare
from models.texts import Texts
from models.training import predict_labels, train_head

TEXTS = [["The", "cat", "sat"], ["a", "dog", "barked", "loudly"], ["cats"], ["the", "dog"]] * 6
TAGS = [["O", "B-X", "I-X"], ["O", "B-X", "I-X", "I-X"], ["B-X"], ["O", "B-X"]] * 6
SETTINGS = TrainingSettings(epochs=25, patience=25, batch_size=8, learning_rate=0.02)


def examples(targets, pairs=None):
    return Examples(TEXTS, targets, [f"line {k}" for k in range(len(TEXTS))], pairs)


def trained(task, options, data, settings=SETTINGS, **given):
    found = prepare(task, options, data, bilm=False, **given)
    epochs = []
    head = train_head(
        task,
        found.options,
        settings,
        found.labels,
        (data, None),
        (data, None),
        1,
        epochs.append,
        features=found.features,
        vectors=found.vectors,
    )
    predicted = predict_labels(task, head, Texts(None, data, found.options, found.features), found.labels)
    return found, head, predicted, [epoch.loss for epoch in epochs]


def kept(folder, task, found, head, data):
    description = Description("small", task, found.labels, "whitespace", found.options, {}, data.example)
    save_model(folder, description, head, None, found.features)
    return Predictor.load(folder)


def test_without_a_biLM_words_and_characters_stand_in_for_it():
    found = prepare("tagging", HeadOptions(inputs=(ElmoInput(),), elmo_at_output=True), examples(TAGS), bilm=False)
    assert [part.kind for part in found.options.inputs] == ["words", "characters"]
    assert not found.options.uses_bilm
    both = HeadOptions(inputs=(ElmoInput(), WordInput(name="w")), biattention=Biattention(elmo=True))
    alone = prepare("classification", both, examples(["x"] * 24), bilm=False).options
    assert [part.name for part in alone.inputs] == ["w"] and not alone.uses_bilm


def test_vocabularies_hold_what_is_frequent_enough():
    inputs = (WordInput(lowercase=True, min_count=7), CharacterInput(min_count=20))
    features = prepare("tagging", HeadOptions(inputs=inputs), examples(TAGS), bilm=False).features
    # "the" stands 12 times in lower case, and "dog" too.
    assert features.parts["words"].entries == ["dog", "the"]
    assert features.parts["characters"].entries[0] == "a" and "l" not in features.parts["characters"].entries
    begin, *inner, end = features.parts["characters"].character_rows("a?")
    assert inner == [2, 1] and features.parts["characters"].size == end + 1 == begin + 2


def test_a_tagger_of_words_and_characters_learns_is_kept_and_says_what_it_knows(tmp_path):
    inputs = (WordInput(dim=8, min_count=2), CharacterInput(dim=4, filters=6))
    options = HeadOptions(inputs=inputs, units=6, dropout=0.1, word_dropout=0.1, scheme="BIOUL", constraints="BIOUL")
    data = examples(TAGS)
    found, head, predicted, losses = trained("tagging", options, data)
    assert predicted == TAGS and found.options.answers == "BIO"
    again = trained("tagging", options, data)
    assert losses == again[3]
    predictor = kept(tmp_path / "model", "tagging", found, head, data)
    answers = predictor.tag([["The", "cat", "sat"], ["unheard"]], paths=3, marginals=True)
    assert answers[0].tags == TAGS[0] and [span.text for span in answers[0].spans] == ["cat sat"]
    for answer in answers:
        assert answer.paths[0].tags == answer.tags
        ranked = [path.probability for path in answer.paths]
        assert ranked == sorted(ranked, reverse=True) and 0 < sum(ranked) <= 1 + 1e-5
        assert len(answer.marginals) == len(answer.tokens)
        assert all(sum(word.values()) == pytest.approx(1, abs=1e-4) for word in answer.marginals)
    # The best path of one word is its most probable tag.
    assert answers[1].paths[0].probability == pytest.approx(max(answers[1].marginals[0].values()), abs=1e-5)
    with pytest.raises(InputError, match="has no tags"):
        kept(tmp_path / "other", *_classifier()).tag(["a"])


def _classifier():
    data = examples(["x", "y", "x", "y"] * 6)
    options = HeadOptions(inputs=(WordInput(dim=4),), encoder="cnn", units=4, output_dropout=0.2)
    found, head, _, _ = trained("classification", options, data, TrainingSettings(epochs=1))
    return "classification", found, head, data


def test_paths_without_a_crf_are_products_of_the_words(tmp_path):
    data = examples(TAGS)
    options = HeadOptions(inputs=(WordInput(dim=4),), encoder="none", decoder="softmax")
    found, head, _, _ = trained("tagging", options, data, TrainingSettings(epochs=1))
    (answer,) = kept(tmp_path / "model", "tagging", found, head, data).tag([["The", "cat"]], paths=20, marginals=True)
    assert len(answer.paths) == 9
    for path in answer.paths:
        expected = np.prod([word[tag] for word, tag in zip(answer.marginals, path.tags, strict=True)])
        assert path.probability == pytest.approx(expected, rel=1e-3)


def test_pairs_learn_and_are_answered(tmp_path):
    pairs = [["The", "cat", "sat"], ["no"], ["cats"], ["other", "words"]] * 6
    data = examples(["same", "other", "same", "other"] * 6, pairs)
    options = HeadOptions(inputs=(WordInput(dim=8),), encoder="none", pooling="mean", dropout=0.0)
    found, head, predicted, _ = trained("classification", options, data)
    assert found.options.pairs and predicted == data.targets
    predictor = kept(tmp_path / "model", "classification", found, head, data)
    one, other = predictor.predict([("cats", ["cats"]), ["The cat sat", "other words"]])
    assert (one.label, other.label) == ("same", "other")
    for texts, message in ((["cats"], r"texts\[0\] is one text"), ([["a", "b", "c"]], r"texts\[0\] is 3 texts")):
        with pytest.raises(InputError, match=message):
            predictor.predict(texts)
    assert tfidf_predictions("classification", data, data) == data.targets


def test_label_sets_learn_and_are_answered(tmp_path):
    data = examples([("animal", "short"), ("animal",), ("short",), ()] * 6)
    options = HeadOptions(inputs=(WordInput(dim=8),), encoder="none", pooling="attention", dropout=0.0)
    settings = TrainingSettings(**vars(SETTINGS) | {"class_weights": "balanced", "average": 0.5})
    found, head, predicted, _ = trained("classification", options, data, settings)
    assert [tuple(labels) for labels in predicted] == data.targets
    predictor = kept(tmp_path / "model", "classification", found, head, data)
    both, none = predictor.predict([["The", "cat", "sat"], ["the", "dog"]])
    assert set(both.labels) == {"animal", "short"} and none.labels == []
    assert [tuple(labels) for labels in tfidf_predictions("classification", data, data)] == data.targets
    given = tfidf_probabilities(data, data, ["animal", "none", "short"])
    assert given.shape == (24, 3) and not given[:, 1].any()


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.5, "schedule": "inverse_time"},
        {"optimizer": "adadelta", "learning_rate": 1.0, "clip_norm": None},
        {"optimizer": "adagrad", "learning_rate": 0.1, "schedule": "linear", "warm_up": 0.1},
        {"weight_decay": 0.01, "schedule": "cosine", "average": 0.9},
    ],
    ids=lambda settings: settings.get("optimizer", "adam"),
)
def test_every_optimizer_learns(settings):
    data = examples(["x", "y", "x", "y"] * 6)
    options = HeadOptions(inputs=(WordInput(dim=8),), encoder="cnn", units=4, widths=(1, 2), dropout=0.0)
    settings = TrainingSettings(**vars(SETTINGS) | settings)
    _, _, predicted, losses = trained("classification", options, data, settings)
    assert predicted == data.targets and losses[-1] < losses[0] / 2


def test_word_vectors_are_where_words_begin(tmp_path):
    (tmp_path / "vectors.txt").write_text("cat 1 2 3\ndog 4 5 6\nzebra 7 8 9\nhorse 0 0 1\n")
    data = examples(TAGS)
    options = HeadOptions(inputs=(WordInput(trainable=False),), encoder="none", word_dropout=0.2)
    settings = TrainingSettings(epochs=1)
    found, head, _, _ = trained("tagging", options, data, settings, vectors=tmp_path / "vectors.txt")
    table = np.array(head.encoder.features[0].vectors)
    row = found.features.parts["words"].row
    np.testing.assert_array_equal(table[[row("cat"), row("dog"), row("zebra")]], [[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    # Words that no training text has are known all the same, as a text to be tagged may have them.
    np.testing.assert_array_equal(table[row("horse")], [0, 0, 1])
    assert row("lion") == 1
    with pytest.raises(ConfigError, match="need an input of kind 'words'"):
        prepare("tagging", HeadOptions(inputs=(CharacterInput(),)), data, bilm=False, vectors=tmp_path / "vectors.txt")


def test_a_calibration_that_is_none_is_refused(tmp_path):
    task, found, head, data = _classifier()
    head.calibration = Calibration(2.5, 0.75)
    predictor = kept(tmp_path / "model", task, found, head, data)
    assert predictor.description.calibration == head.calibration
    path = tmp_path / "model/model.json"
    good = path.read_text()
    for old, new, message in (
        ("2.5", "0", "'temperature' is 0; expected a number above 0"),
        ("0.75", "1.5", "'surest' is 1.5; expected a number above 0, at most 1"),
    ):
        path.write_text(good.replace(old, new))
        with pytest.raises(ModelError, match=message):
            Predictor.load(tmp_path / "model")
