"""Probabilities that mean what they say (Guo et al. 2017, "On calibration of modern neural networks")."""

from dataclasses import dataclass

import numpy as np


def fit_temperature(logits: np.ndarray, targets: np.ndarray, multi_label: bool = False) -> float:
    """The temperature T > 0 for which the labels are the most probable under softmax(logits / T) (section 4.2).

    Of N answers none is taken for surer than (N + 1) / (N + 2), as Platt 1999 ("Probabilistic outputs for support
    vector machines", section 2.2) does it: a few that are all right are no proof that all others will be.

    Args:
        logits: `[texts, labels]`, of texts that the head has not learned from.
        targets: int `[texts]`, or with many labels to a text 0 and 1 `[texts, labels]`.
        multi_label: the sigmoid in place of the softmax.
    """
    from scipy.optimize import minimize_scalar

    logits = logits.astype(np.float64)
    one_hot = targets > 0 if multi_label else np.arange(logits.shape[1]) == targets[:, None]
    doubt = 1 / (2 + (targets.size if multi_label else len(targets)))
    truth = np.where(one_hot, 1 - doubt, doubt / (1 if multi_label else max(1, logits.shape[1] - 1)))

    def loss(logarithm: float) -> float:
        z = logits / np.exp(logarithm)
        if multi_label:
            return float(np.mean(np.logaddexp(0, z) - truth * z))
        z = z - z.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(z).sum(axis=1)) - (truth * z).sum(axis=1)))

    # Beyond a hundredfold either way nothing changes any more.
    found = minimize_scalar(loss, bounds=(-np.log(100), np.log(100)), method="bounded")
    return float(np.exp(found.x))


def expected_calibration_error(given: np.ndarray, targets: np.ndarray, bins: int = 15) -> float:
    """The mean distance between the probability of an answer and how often such answers are right (equation 3).

    Args:
        given: probabilities `[texts, labels]`.
        targets: int `[texts]`, or with many labels to a text 0 and 1 `[texts, labels]`, where each label of each text
            is an answer of its own.
        bins: of equal width between 0 and 1.
    """
    if targets.ndim > 1:
        return reliability(given.ravel(), targets.ravel() > 0, bins).error
    return reliability(given.max(axis=1), given.argmax(axis=1) == targets, bins).error


@dataclass(frozen=True)
class Reliability:
    """Answers by their probability, in bins of equal width between 0 and 1: how many, the sum of their probabilities,
    and how many of them are right."""

    answers: np.ndarray
    confidence: np.ndarray
    right: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error."""
        return float(np.abs(self.confidence - self.right).sum() / self.answers.sum())


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> Reliability:
    """What a reliability diagram shows (section 2).

    Args:
        confidence: the probability of each answer.
        right: whether it is right.
        bins: how many.
    """
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return Reliability(*(np.bincount(place, weights, bins) for weights in (None, confidence, right)))
