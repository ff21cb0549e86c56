import math
from collections import Counter

import pytest

from models.seq2seq_metrics import translation_scores

REFERENCES = ["o gato dorme na casa velha", "a casa nova é bem grande hoje"]
PREDICTED = ["o gato dorme na casa", "a casa nova é muito grande hoje"]


def grams(units, n):
    return Counter(tuple(units[k : k + n]) for k in range(len(units) - n + 1))


def matches(references, predicted, n, units):
    """How many n-grams are in both, in the predictions, and in the references."""
    pairs = [(grams(units(gold), n), grams(units(found), n)) for gold, found in zip(references, predicted, strict=True)]
    both = sum(sum((gold & found).values()) for gold, found in pairs)
    return both, sum(sum(found.values()) for _, found in pairs), sum(sum(gold.values()) for gold, _ in pairs)


def bleu(references, predicted):
    """Papineni et al. 2002, section 2.3."""
    counts = [matches(references, predicted, n, str.split) for n in (1, 2, 3, 4)]
    brevity = min(1, math.exp(1 - counts[0][2] / counts[0][1]))
    return 100 * brevity * math.prod(both / found for both, found, _ in counts) ** (1 / 4)


def chrf(references, predicted):
    """Popović 2015, with beta 2 and characters without white space."""
    counts = [matches(references, predicted, n, lambda text: text.replace(" ", "")) for n in range(1, 7)]
    precision = sum(both / found for both, found, _ in counts) / 6
    recall = sum(both / gold for both, _, gold in counts) / 6
    return 100 * 5 * precision * recall / (4 * precision + recall)


def test_bleu_and_chrf_are_those_of_the_papers():
    scores = translation_scores(REFERENCES, PREDICTED)
    assert scores["bleu"] == pytest.approx(bleu(REFERENCES, PREDICTED), abs=1e-6)
    assert scores["chrf"] == pytest.approx(chrf(REFERENCES, PREDICTED), abs=0.5)
    assert scores["exact_match"] == 0


def test_the_same_text_is_a_match_whatever_its_white_space():
    scores = translation_scores([*REFERENCES, "x"], ["o  gato dorme na casa velha ", *REFERENCES[1:], "y"])
    assert scores["exact_match"] == pytest.approx(2 / 3)
    assert translation_scores(REFERENCES, REFERENCES) == pytest.approx({"exact_match": 1, "bleu": 100, "chrf": 100})
