import itertools

import pytest
from seqeval.metrics.sequence_labeling import get_entities

from models.label_scheme import SCHEMES, allowed_transitions, scheme_of, spans_of_tags, tags_of_spans
from models.metrics import _for_seqeval, score

LABELS = {
    "BIO": ["O", "B-X", "I-X", "B-Y", "I-Y"],
    "IOB1": ["O", "I-X", "B-X", "I-Y"],
    "BIOUL": ["O", "B-X", "I-X", "L-X", "U-X", "I-Y", "L-Y"],
    "BMES": ["B-X", "M-X", "E-X", "S-X", "S-Y", "E-Y"],
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_path_is_allowed_if_it_is_how_the_scheme_writes_its_spans(scheme):
    labels = LABELS[scheme]
    between, begin, end = allowed_transitions(scheme, labels)
    for length in (1, 2, 3, 4):
        for path in itertools.product(range(len(labels)), repeat=length):
            tags = [labels[k] for k in path]
            steps = [begin[path[0]], end[path[-1]], *(between[a][b] for a, b in itertools.pairwise(path))]
            assert all(steps) == (tags == tags_of_spans(spans_of_tags(tags), length, scheme)), tags


def test_spans_are_those_of_seqeval():
    parts = ["O", *(f"{part}-{label}" for part in "BILUMES" for label in "XY")]
    for tags in itertools.product(parts, repeat=3):
        expected = [(label, first, last + 1) for label, first, last in get_entities(_for_seqeval([tags])[0])]
        assert spans_of_tags(tags) == expected, tags


@pytest.mark.parametrize("scheme", SCHEMES)
def test_spans_come_back_from_their_tags(scheme):
    spans = [("X", 0, 1), ("X", 1, 4), ("Y", 4, 6), ("X", 7, 8)]
    tags = tags_of_spans(spans, 9, scheme)
    assert spans_of_tags(tags) == spans
    assert scheme_of(tags) == ("BIO" if scheme == "IOB1" else scheme)


def test_bioul_spans_are_scored_whole():
    gold = [["U-X", "U-X", "B-Y", "I-Y", "L-Y", "B-Y", "L-Y"]]
    predicted = [["U-X", "O", "B-Y", "I-Y", "L-Y", "B-Y", "L-Y"]]
    scores = score("tagging", gold, predicted, ["O", "U-X", "B-Y", "I-Y", "L-Y"])
    assert scores["precision"] == 1 and scores["recall"] == 3 / 4


def test_other_tags_are_in_no_scheme():
    assert scheme_of(["NOUN", "VERB"]) is None and scheme_of(["O"]) is None
    assert spans_of_tags(["NOUN", "X-Y", "B"]) == []
