"""How good translations are."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

from models.counts import Counts

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


def translation_counts(references: Sequence[str], predicted: Sequence[str]) -> Counts:
    """The counts whose scores are those of `translation_scores`, which takes the same arguments."""
    from sacrebleu import BLEU, CHRF

    references, predicted = [" ".join(x.split()) for x in references], [" ".join(x.split()) for x in predicted]
    metrics = {"bleu": BLEU(force=True), "chrf": CHRF()}
    # What sacrebleu itself draws texts from anew for its own intervals.
    parts = {name: np.array(m._extract_corpus_statistics(predicted, [references])) for name, m in metrics.items()}
    equal = [[float(gold == found), 1.0] for gold, found in zip(references, predicted, strict=True)]
    ends = np.cumsum([2, *(part.shape[1] for part in parts.values())])

    def scores_of(sums: np.ndarray) -> dict[str, np.ndarray]:
        scores = {"exact_match": sums[:, 0] / sums[:, 1]}
        for (name, metric), first, end in zip(metrics.items(), ends, ends[1:], strict=False):
            rows = sums[:, first:end].astype(int).tolist()
            scores[name] = np.array([metric._compute_score_from_stats(row).score for row in rows])
        return scores

    return Counts(csr_array(np.hstack([equal, *parts.values()])), scores_of)
