"""Words for a blank, from what stands on both sides of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embeddings.characters import SENTENCE_BEGIN, SENTENCE_END
from embeddings.errors import SourceError
from embeddings.spelling import UNKNOWN
from embeddings.word_predictor import BACKWARD, FORWARD, WordPredictor


@dataclass(frozen=True)
class Substitute:
    """A word for the blank: its probability among all substitutes, and that of the word after what is on the left
    and before what is on the right."""

    word: str
    probability: float
    forward: float
    backward: float


def substitutes(
    predictor: WordPredictor, before: Sequence[str], after: Sequence[str], prior: float = 0.0
) -> list[Substitute]:
    """Rank the words of the vocabulary for a blank in a sentence.

    If the left and the right were independent given the word w, Bayes' rule would give
    p(w | left, right) ~ p(w | left) p(w | right) / p(w). p(w) is the share of the word in the text of the training
    where the vocabulary brings its counts; a word that never occurred counts as if it had once. Without counts Zipf's
    law serves, one over the rank, for the vocabulary stands in the order of frequency. Amrami and Goldberg (2018, "Word
    sense induction with neural biLM and symmetric patterns") take substitutes from both directions of a biLM likewise.

    Args:
        predictor: a language model of two directions.
        before, after: the words of the sentence on both sides of the blank; either may be empty.
        prior: power of p(w) by which the product is divided; 0 leaves it out, 1 is Bayes' rule.

    Returns:
        All words but the marks `<S>`, `</S>` and `<UNK>`, the most probable first; their probabilities sum to 1.

    Raises:
        SourceError: the language model has one direction.
    """
    if predictor.bilm.options.directions < 2:
        raise SourceError("the language model reads in one direction only; expected a biLM of two, to fill a blank")
    left, _ = predictor.read(FORWARD, [SENTENCE_BEGIN, *before])
    right, _ = predictor.read(BACKWARD, [*after, SENTENCE_END])
    forward, backward = predictor.log_probabilities(left[-1]), predictor.log_probabilities(right[0])
    words = predictor.vocabulary
    frequency = 1 / np.arange(1, len(words) + 1) if predictor.counts is None else np.maximum(predictor.counts, 1)
    score = forward + backward - prior * np.log(frequency)
    score[[words.index(mark) for mark in (SENTENCE_BEGIN, SENTENCE_END, UNKNOWN)]] = -np.inf
    probabilities = np.exp(score - score.max())
    probabilities /= probabilities.sum()
    return [
        Substitute(words[k], float(probabilities[k]), float(np.exp(forward[k])), float(np.exp(backward[k])))
        for k in np.argsort(-score, kind="stable")
        if score[k] > -np.inf
    ]
