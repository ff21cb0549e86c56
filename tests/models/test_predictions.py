import json

import pytest

from embeddings.errors import InputError
from embeddings.tokenizer import Token
from models.predictions import (
    Attention,
    Classification,
    Hypothesis,
    Path,
    Span,
    Tagging,
    Translation,
    from_json,
    shortened,
    to_json,
)

PREDICTIONS = [
    Classification("a", {"a": 0.75, "b": 0.25}),
    Classification("a", {"a": 0.75, "b": 0.25}, {"a": 1.0, "b": -1.0}, ["a"]),
    Tagging([Token("New", 0, 3), Token("York", 4, 8)], ["B-LOC", "I-LOC"], [Span("LOC", "New York", 0, 8)]),
    Tagging([Token("a", 0, 1)], ["O"], [], [{"O": 1.0}], [Path(["O"], 0.5)], [{"O": 1.0}]),
    Translation("um", [Hypothesis("um", -0.5)]),
    Translation("um", [Hypothesis("um", -0.5)], Attention(["one"], ["um", "</s>"], [[1.0], [1.0]])),
]


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_prediction_survives_the_way_over_json(prediction):
    fields = json.loads(json.dumps(to_json(prediction)))
    assert from_json(fields) == prediction
    assert from_json(fields | {"of_a_later_version": 1}) == prediction


@pytest.mark.parametrize("fields", [{}, {"score": 1}, {"label": "a"}, {"tokens": [["a"]], "tags": [], "spans": []}])
def test_fields_of_no_prediction_make_none(fields):
    with pytest.raises((KeyError, TypeError)):
        from_json(fields)


def test_what_was_not_asked_for_is_left_out():
    label = Classification("a", {"a": 0.6, "b": 0.3, "c": 0.1})
    assert shortened(label, 2).probabilities == {"a": 0.6, "b": 0.3}
    assert shortened(label) == label
    tagging = Tagging([Token("x", 0, 1)], ["B-A"], [Span("A", "x", 0, 1)])
    assert shortened(tagging, spans=False).spans == [] and shortened(tagging) == tagging
    translation = Translation("y", [Hypothesis("y", -1.0), Hypothesis("z", -2.0)])
    assert [one.text for one in shortened(translation, 1).hypotheses] == ["y"]
    with pytest.raises(InputError, match="top_k is 0; expected at least 1"):
        shortened(label, 0)
