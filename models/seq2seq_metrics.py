"""How good translations are."""

from collections.abc import Sequence

import numpy as np

MAIN = "chrf"
"""The metric that training selects by: it tells early epochs apart, whose translations match nowhere whole."""


PERCENTAGES = ("bleu", "chrf")
"""The metrics that go to 100; the others are shares."""


def translation_scores(references: Sequence[str], predicted: Sequence[str]) -> dict[str, float]:
    """The metrics of translations.

    Args:
        references, predicted: texts, of which runs of white space count as one space.

    Returns:
        `exact_match`, the share that is equal; `bleu` (Papineni et al. 2002) and `chrf` (Popović 2015, chrF2), from 0
        to 100, of the whole corpus and with sacrebleu's own settings, so that they compare with published ones;
        BLEU is 0 where no text has four words.
    """
    from sacrebleu import BLEU, CHRF

    references, predicted = [" ".join(x.split()) for x in references], [" ".join(x.split()) for x in predicted]
    equal = [gold == found for gold, found in zip(references, predicted, strict=True)]
    return {
        "exact_match": float(np.mean(equal)),
        # It warns of text that looks tokenised, which a target of words may well be.
        "bleu": BLEU(force=True).corpus_score(predicted, [references]).score,
        "chrf": CHRF().corpus_score(predicted, [references]).score,
    }
