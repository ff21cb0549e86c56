"""Counts of texts give the scores that scikit-learn, seqeval and sacrebleu give, of all texts and of any draw."""

import pytest

from models.counts import counts_of, f1_by_kind
from models.metrics import score, span_scores
from models.seq2seq_metrics import translation_counts, translation_scores

TAGS = {
    "BIO": ["O", "B-X", "I-X", "B-Y", "I-Y"],
    "BIOUL": ["O", "B-X", "I-X", "L-X", "U-X", "U-Y"],
    "parts of speech": ["NOUN", "VERB", "O"],
}


def tagged(random, labels):
    """Thirty texts with tags, and answers that are often right."""
    gold = [list(random.choice(labels, size=random.integers(1, 9))) for _ in range(30)]
    return gold, [[tag if random.random() < 0.7 else random.choice(labels) for tag in tags] for tags in gold]


def drawn(random, rows):
    return [rows[k] for k in random.integers(len(rows), size=len(rows))]


@pytest.mark.parametrize("labels", TAGS.values(), ids=TAGS)
def test_sums_of_a_tagger_give_the_scores_of_any_draw(random, labels):
    gold, predicted = tagged(random, labels)
    for _ in range(5):
        gold, predicted = zip(*drawn(random, list(zip(gold, predicted, strict=True))), strict=True)
        assert counts_of("tagging", gold, predicted, labels).scores() == pytest.approx(
            score("tagging", gold, predicted, labels)
        )


def test_spans_are_counted_by_kind_as_seqeval_does(random):
    gold, predicted = tagged(random, TAGS["BIO"])
    expected = {kind: found["f1"] for kind, found in span_scores(gold, predicted).items()}
    assert f1_by_kind("tagging", gold, predicted, TAGS["BIO"]).scores() == pytest.approx(expected)


def test_sums_of_a_classifier_give_the_scores_of_any_draw(random):
    labels = ["a", "b", "c", "never"]
    gold, predicted = (list(random.choice(labels[:3], size=40)) for _ in range(2))
    for _ in range(5):
        gold, predicted = zip(*drawn(random, list(zip(gold, predicted, strict=True))), strict=True)
        assert counts_of("classification", gold, predicted, labels).scores() == pytest.approx(
            score("classification", gold, predicted, labels)
        )


def test_sums_of_label_sets_give_the_scores(random):
    labels = ["a", "b", "c", "never"]
    gold, predicted = (
        [tuple(label for label in labels[:3] if random.random() < 0.5) for _ in range(30)] for _ in range(2)
    )
    assert counts_of("classification", gold, predicted, labels).scores() == pytest.approx(
        score("classification", gold, predicted, labels)
    )


def test_sums_of_translations_give_the_scores(random):
    words = ["the", "cat", "sat", "on", "a", "mat", "today"]
    gold = [" ".join(random.choice(words, size=8)) for _ in range(12)]
    predicted = [text if k % 3 else text.replace("cat", "dog") for k, text in enumerate(gold)]
    counts = translation_counts(gold, predicted)
    assert counts.scores() == pytest.approx(translation_scores(gold, predicted))
    some = [1, 2, 2, 5]
    expected = translation_scores([gold[k] for k in some], [predicted[k] for k in some])
    assert counts.part(some).scores() == pytest.approx(expected)
