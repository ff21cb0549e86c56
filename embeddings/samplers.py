"""How a word is drawn from what a language model expects."""

import math

import numpy as np


class Sampler:
    """Draws a word's number from logits: the temperature first, then the `top_k` most probable words, then of these
    the fewest whose probabilities reach `top_p` (Holtzman et al. 2020, "The curious case of neural text
    degeneration", section 3). Of words as probable as each other those with the lower number go first.

    Args:
        temperature: the logits are divided by it; 0 takes the most probable word.
        top_k: most words to draw from, or None for all.
        top_p: the probability that these words have at least in all, or None for all words.
        seed: of the draws; the same seed draws the same words. None for another one each time.

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> Sampler(top_k=2).probabilities(np.log([0.5, 0.1, 0.3, 0.1]))
        array([0.625, 0.   , 0.375, 0.   ])
        >>> Sampler(temperature=0).sample(np.log([0.5, 0.1, 0.3, 0.1]))
        0
    """

    def __init__(
        self,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ):
        if not 0 <= temperature < math.inf:
            raise ValueError(f"temperature {temperature}; expected 0 or more")
        if top_k is not None and top_k < 1:
            raise ValueError(f"top_k {top_k}; expected at least 1")
        if top_p is not None and not 0 < top_p <= 1:
            raise ValueError(f"top_p {top_p}; expected more than 0 and at most 1")
        self.temperature, self.top_k, self.top_p = temperature, top_k, top_p
        self._random = np.random.default_rng(seed)

    def sample(self, logits: np.ndarray) -> int:
        """A word's number; logits `[words]`, of which those at minus infinity are never drawn."""
        if self.temperature == 0:
            return int(np.argmax(logits))
        probabilities = self.probabilities(logits)
        # Not the first number whose sum is reached, which could be one that is left out.
        drawn = np.searchsorted(np.cumsum(probabilities), self._random.random() * probabilities.sum(), side="right")
        return int(min(drawn, np.flatnonzero(probabilities)[-1]))

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """What `sample` draws from, float64 `[words]`; 0 for the words that are left out."""
        logits = np.asarray(logits, np.float64)
        if self.temperature == 0:
            return np.eye(1, len(logits), int(np.argmax(logits)))[0]
        with np.errstate(over="ignore"):
            weights = np.exp((logits - logits.max()) / self.temperature)
        if self.top_k is None and self.top_p in (None, 1):
            return weights / weights.sum()
        # Stable, so that ties stay in the order of the vocabulary.
        order = np.argsort(-logits, kind="stable")[: self.top_k]
        kept = weights[order] / weights[order].sum()
        if self.top_p not in (None, 1):
            # The sums of probabilities such as 0.1 miss the number that they stand for by a few roundings.
            fewest = int(np.searchsorted(np.cumsum(kept), self.top_p * (1 - 1e-12))) + 1
            order, kept = order[:fewest], kept[:fewest]
        probabilities = np.zeros_like(weights)
        probabilities[order] = kept / kept.sum()
        return probabilities
