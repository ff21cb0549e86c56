import numpy as np
import pytest

from embeddings.errors import ConfigError, InputError
from models.examples import Examples
from models.label_scheme import labels_in_scheme, scheme_of_texts, to_scheme
from models.labels import answers, class_weights, label_set, numbered_targets, resolve_options
from models.metrics import score, span_scores
from models.options import HeadOptions

SPANS = {
    "BIO": ["B-X", "I-X", "B-X", "O", "B-Y"],
    "IOB1": ["I-X", "I-X", "B-X", "O", "I-Y"],
    "BIOUL": ["B-X", "L-X", "U-X", "O", "U-Y"],
}


def examples(targets, sentences=None):
    sentences = sentences or [["w"] * len(tags) for tags in targets]
    return Examples(sentences, targets, [f"f line {k}" for k in range(len(targets))])


@pytest.mark.parametrize("own", SPANS)
@pytest.mark.parametrize("other", SPANS)
def test_tags_are_brought_from_any_scheme_to_any_other(own, other):
    assert to_scheme(SPANS[own], other) == SPANS[other]


@pytest.mark.parametrize("own", SPANS)
def test_the_scheme_of_data_is_told(own):
    assert scheme_of_texts([["O"], SPANS[own]]) == own
    assert scheme_of_texts([["NOUN"]]) is None
    # A slip in BIO makes no IOB1 of it.
    assert scheme_of_texts([["O", "I-X"], ["B-X"]]) == "BIO"


@pytest.mark.parametrize("own", SPANS)
def test_a_tagger_learns_one_scheme_and_answers_in_that_of_the_data(own):
    train = examples([SPANS[own]])
    options = resolve_options("tagging", HeadOptions(scheme="BIOUL"), train)
    labels = label_set(options, train)
    # All tags of the scheme, for those that the training data lack by chance.
    assert labels == ["O", *(f"{part}-{kind}" for kind in "XY" for part in "BILU")]
    (target,) = numbered_targets(options, labels, train)
    assert [labels[k] for k in target] == SPANS["BIOUL"]
    assert answers(options, labels, target) == SPANS[own]


def test_words_in_no_span_stay_so_in_every_scheme():
    assert labels_in_scheme(["B-X", "I-X"], "BMES") == ["B-X", "E-X", "M-X", "S-X"]
    assert labels_in_scheme(["O", "B-X"], "IOB1") == ["O", "B-X", "I-X"]
    with pytest.raises(ConfigError, match="'BIO' does not fit the label 'NOUN'"):
        resolve_options("tagging", HeadOptions(scheme="BIO"), examples([["O", "NOUN"]]))


@pytest.mark.parametrize("own", SPANS)
@pytest.mark.parametrize("asked", SPANS)
def test_constraints_are_those_of_the_tags_that_are_learned(own, asked):
    train = examples([["O"], SPANS[own]])
    options = HeadOptions(constraints=asked)
    if own == asked:
        assert resolve_options("tagging", options, train) == options
    else:
        with pytest.raises(ConfigError, match=f"'{asked}' does not fit the tags, which are in {own}; expected '{own}'"):
            resolve_options("tagging", options, train)
    both = resolve_options("tagging", HeadOptions(constraints=asked, scheme=asked), train)
    assert both.answers == own


def test_label_sets_become_ones_and_zeros():
    train = examples([("a", "c"), (), ("b",)], [["w"]] * 3)
    options = resolve_options("classification", HeadOptions(), train)
    assert options.multi_label and not options.pairs
    labels = label_set(options, train)
    np.testing.assert_array_equal(numbered_targets(options, labels, train), [[1, 0, 1], [0, 0, 0], [0, 1, 0]])
    with pytest.raises(InputError, match="f line 0: label 'd' was not seen"):
        numbered_targets(options, labels, examples([("d",)]))
    with pytest.raises(InputError, match=r"f line 0: one label 'a'; .* expects a list"):
        numbered_targets(options, labels, examples(["a"]))
    weights = class_weights("balanced", options, labels, numbered_targets(options, labels, train))
    np.testing.assert_allclose(weights, [2, 2, 2])
    # A label of all texts is learned, too.
    weights = class_weights("balanced", options, labels, [np.array([1, 1, 0]), np.array([1, 0, 0])])
    np.testing.assert_allclose(weights, [0.5, 1, 2])


def test_class_weights_balance_the_labels():
    targets = [np.array(k) for k in (0, 0, 0, 1)]
    options, labels = HeadOptions(), ["a", "b"]
    np.testing.assert_allclose(class_weights("balanced", options, labels, targets), [4 / 6, 2])
    np.testing.assert_allclose(class_weights({"b": 5.0}, options, labels, targets), [1, 5])
    assert class_weights("none", options, labels, targets) is None
    with pytest.raises(ConfigError, match="no label 'x'; expected one of a, b"):
        class_weights({"x": 1.0}, options, labels, targets)


def test_label_sets_are_scored_by_their_definitions():
    gold, predicted = [("a", "b"), (), ("c",)], [["a"], [], ["b"]]
    # One of two answers is right, one of three labels found.
    scores = score("classification", gold, predicted, ["a", "b", "c"])
    assert scores == pytest.approx({"accuracy": 1 / 3, "micro_f1": 2 / 5, "macro_f1": 1 / 3})


def test_spans_are_scored_by_kind():
    scores = span_scores([["B-X", "I-X", "O", "U-Y"]], [["B-X", "I-X", "O", "U-X"]])
    assert scores["X"] == pytest.approx({"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "support": 1})
    assert scores["Y"] == {"precision": 0, "recall": 0, "f1": 0, "support": 1}
