"""What a model took for what, and the mistakes that it was most sure of."""

from collections import Counter
from typing import Any

import numpy as np

from models.metrics import flat_labels
from pipeline.answers import Answers


def confusions(answers: Answers, most: int = 20) -> list[dict[str, Any]]:
    """Which label stands most often in the place of which: `gold`, `predicted` and `count`, of texts or of words. With
    many labels to a text, those that are missing are taken for none, and none for those that are too many."""
    counts: Counter[tuple[str, str]] = Counter()
    if answers.many:
        for there, found in zip(answers.gold, answers.predicted, strict=True):
            counts.update((label, "") for label in set(there) - set(found))
            counts.update(("", label) for label in set(found) - set(there))
    else:
        counts.update(zip(flat_labels(answers.gold), flat_labels(answers.predicted), strict=True))
        counts = Counter({pair: count for pair, count in counts.items() if pair[0] != pair[1]})
    return [{"gold": g, "predicted": p, "count": count} for (g, p), count in counts.most_common(most)]


def worst(answers: Answers, most: int) -> list[dict[str, Any]]:
    """The texts with a wrong answer, those first in which the model was most sure of something wrong.

    Returns:
        For each its `place` in the data, its `words`, and those of the second text of a pair, `pair`; what is true and
        what was answered, `gold` and `predicted`; how `sure` the model was of what is wrong, a probability, and
        `gold_probability`, how sure of what is true there. Of a translation `sure` is its score.
    """
    ranked = []
    for text, (right, sure) in enumerate(zip(answers.marks, answers.sure, strict=True)):
        wrong = np.flatnonzero(~right)
        if len(wrong):
            place = wrong[np.argmax(sure[wrong])] if answers.task != "seq2seq" else 0
            ranked.append((float(sure[place]), text, int(place)))
    ranked.sort(key=lambda one: (-one[0], one[1]))
    return [_mistake(answers, *one) for one in ranked[:most]]


def _mistake(answers: Answers, sure: float, text: int, place: int) -> dict[str, Any]:
    examples, gold, predicted = answers.examples, answers.gold[text], answers.predicted[text]
    found = {
        "place": examples.places[text],
        "words": list(examples.sentences[text]),
        **({"pair": list(examples.pairs[text])} if examples.pairs else {}),
        "gold": gold if isinstance(gold, str) else list(gold),
        "predicted": predicted if isinstance(predicted, str) else list(predicted),
        "sure": sure,
    }
    return found | ({"gold_probability": float(answers.of_gold[text][place])} if answers.of_gold else {})
