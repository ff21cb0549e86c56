import json

import pytest

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
