import json
from dataclasses import replace

import numpy as np
import pytest
from reference import numpy_bilm

from embeddings.bilm import BiLM
from embeddings.errors import SourceError
from embeddings.fill import substitutes
from embeddings.stored_softmax import StoredFullSoftmax
from embeddings.word_predictor import WordPredictor

BEFORE, AFTER = ["the", "cat"], ["on", "the", "mat"]
MARKS = {"<S>", "</S>", "<UNK>"}


@pytest.fixture(scope="module")
def predictor(language_model_folder):
    return WordPredictor.load(language_model_folder)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum()


COUNTS = [9, 9, 4, 1, 7, 0, 30, 2, 5]


@pytest.mark.parametrize(
    ("prior", "counts"), [(0.0, None), (0.5, None), (1.0, None), (0.0, COUNTS), (0.5, COUNTS), (1.0, COUNTS)]
)
def test_substitutes_are_ranked_as_by_brute_force(predictor, language_model_folder, prior, counts):
    """Each direction in NumPy, over the whole sentence with any word in the blank: neither direction sees it."""
    predictor = WordPredictor(predictor.bilm, predictor.softmax, predictor.vocabulary, counts)
    options = json.loads((language_model_folder / "options.json").read_text())
    top = numpy_bilm.layers([*BEFORE, "anything", *AFTER], language_model_folder / "weights.hdf5", options)[-1]
    forward = softmax(top[1, :4] @ predictor.softmax.kernel.T + predictor.softmax.bias)
    backward = softmax(top[3, 4:] @ predictor.softmax.kernel.T + predictor.softmax.bias)
    scores = {
        word: forward[k] * backward[k] / (max(1, counts[k]) if counts else 1 / (k + 1)) ** prior
        for k, word in enumerate(predictor.vocabulary)
        if word not in MARKS
    }
    found = substitutes(predictor, BEFORE, AFTER, prior)
    assert [one.word for one in found] == sorted(scores, key=scores.get, reverse=True)
    for one in found:
        k = predictor.vocabulary.index(one.word)
        expected = scores[one.word] / sum(scores.values()), forward[k], backward[k]
        assert (one.probability, one.forward, one.backward) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("before", "after"), [([], AFTER), (BEFORE, []), ([], [])])
def test_a_blank_may_begin_or_end_the_sentence(predictor, before, after):
    found = substitutes(predictor, before, after)
    assert {one.word for one in found} == set(predictor.vocabulary) - MARKS
    assert sum(one.probability for one in found) == pytest.approx(1)
    assert found != substitutes(predictor, BEFORE, AFTER)


def test_a_biLM_of_one_direction_is_refused(tiny_options):
    bilm = BiLM(replace(tiny_options, bidirectional=False))
    predictor = WordPredictor(bilm, StoredFullSoftmax(np.ones((4, 4)), np.ones(4)), ["<S>", "</S>", "<UNK>", "a"])
    with pytest.raises(SourceError, match="one direction only"):
        substitutes(predictor, BEFORE, AFTER)
