"""Probabilities that mean what they say (Guo et al. 2017, "On calibration of modern neural networks")."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Calibration(NamedTuple):
    """How logits become probabilities.

    Args:
        temperature: that the logits are divided by.
        surest: the highest probability of an answer.
    """

    temperature: float = 1.0
    surest: float = 1.0

    def probabilities(self, logits: np.ndarray, multi_label: bool = False) -> np.ndarray:
        """Of each label, in the shape of the logits `[..., labels]`."""
        given = probabilities(logits / self.temperature, multi_label)
        if multi_label:
            return np.clip(given, 1 - self.surest, self.surest)
        most = given.max(axis=-1, keepdims=True)
        first = given == most
        # What the surest label has too much goes to the others in their proportions.
        others = np.where(first, 0.0, np.maximum(given, np.finfo(np.float64).tiny))
        others *= (1 - self.surest) / np.maximum(others.sum(axis=-1, keepdims=True), np.finfo(np.float64).tiny)
        return np.where(most > self.surest, np.where(first, self.surest, others), given)


def fit_calibration(logits: np.ndarray, targets: np.ndarray, multi_label: bool = False) -> Calibration:
    """The temperature T > 0 for which the labels are the most probable under softmax(logits / T) (section 4.2).

    A few texts that are answered right are no proof that all others will be. Of N answers the next is therefore taken
    to be right with (N + 1) / (N + 2) at most, by Laplace's rule of succession: as the target of the fit (as in Platt
    1999, "Probabilistic outputs for support vector machines", section 2.2), and as a bound on each answer.

    Args:
        logits: `[texts, labels]`, of texts that the head has not learned from.
        targets: int `[texts]`, or with many labels to a text 0 and 1 `[texts, labels]`.
        multi_label: the sigmoid in place of the softmax.
    """
    from scipy.optimize import minimize_scalar

    logits = logits.astype(np.float64)
    one_hot = targets > 0 if multi_label else np.arange(logits.shape[1]) == targets[:, None]
    doubt = 1 / (2 + len(targets))
    truth = np.where(one_hot, 1 - doubt, doubt / (1 if multi_label else max(1, logits.shape[1] - 1)))

    def loss(logarithm: float) -> float:
        z = logits / np.exp(logarithm)
        if multi_label:
            return float(np.mean(np.logaddexp(0, z) - truth * z))
        z = z - z.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(z).sum(axis=1)) - (truth * z).sum(axis=1)))

    # Beyond a hundredfold either way nothing changes any more.
    found = minimize_scalar(loss, bounds=(-np.log(100), np.log(100)), method="bounded")
    return Calibration(float(np.exp(found.x)), 1 - doubt)


def probabilities(logits: np.ndarray, multi_label: bool = False) -> np.ndarray:
    """The softmax over the last axis, or with many labels to a text the sigmoid of each."""
    if multi_label:
        return np.exp(-np.logaddexp(0, -logits))
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


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
