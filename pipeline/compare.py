"""Whether one model is better than another on the same texts, or only seems so."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from embeddings.errors import ModelError
from models.examples import Examples
from models.label_scheme import labels_in_scheme, scheme_of, to_scheme
from models.predictor import Predictor
from models.significance import mcnemar, paired_difference
from pipeline.answers import Answers, answers_of

if TYPE_CHECKING:
    from pipeline.evaluate import Evaluation

CHANCE = 0.05
"""A difference that chance alone brings about less often than this is taken for one."""


def compared(asked: "Evaluation", answers: Answers, rival: Predictor, read: Callable[[], Examples]) -> dict[str, Any]:
    """Compare a model's answers with those of another.

    Args:
        asked: what is evaluated, against what.
        answers: of the model.
        rival: the other model.
        read: gives the same texts, split into words as the other model does.

    Returns:
        `against`, the other model; `main`, the metric that decides; the `scores` of each metric: that of the `other`,
        the `difference` with its interval (`low`, `high`) and `p`, by the paired bootstrap over texts; `mcnemar`, the
        exact test on single answers, which are texts or words; and the `verdict` in words. Where one score is the share
        of texts that are right, its p is that of McNemar's test.

    Raises:
        ModelError: the models are for different tasks.
    """
    task = rival.description.task
    if task != answers.task:
        raise ModelError(f"{asked.against}: is for {task}; expected one for {answers.task}, as {asked.model}")
    other = _alike(answers_of(rival, read(), asked.data), answers)
    differences = paired_difference(answers.counts, other.counts, asked.resamples, asked.seed)
    test = mcnemar(np.concatenate(_single(answers)), np.concatenate(_single(other)))
    own = other.counts.scores()
    scores = {
        name: {"other": own[name], "difference": found.value, "low": found.low, "high": found.high, "p": found.p}
        for name, found in differences.items()
    }
    # Where the tags of one model alone mark spans, both are scored word by word.
    main = answers.main if answers.main in scores else next(iter(scores))
    if answers.task != "tagging":
        scores["exact_match" if answers.task == "seq2seq" else "accuracy"]["p"] = test.p
    return {
        "against": asked.against,
        "main": main,
        "scores": scores,
        "mcnemar": asdict(test) | {"of": "words" if answers.task == "tagging" else "texts"},
        "verdict": verdict(asked.model, str(asked.against), main, scores[main]),
    }


def _alike(other: Answers, answers: Answers) -> Answers:
    """The other's answers, beside the same tags where its own are of another scheme."""
    scheme = scheme_of(answers.labels) if answers.task == "tagging" else None
    if scheme in (None, scheme_of(other.labels)):
        return other
    tags = [to_scheme(tags, scheme) for tags in other.predicted]
    # The other may know kinds of spans that these texts and this model do not.
    labels = labels_in_scheme([*answers.labels, *other.labels], scheme)
    return replace(other, examples=answers.examples, predicted=tags, labels=labels)


def _single(answers: Answers) -> list[np.ndarray]:
    """Whether each word, or each text as a whole, is right."""
    return answers.marks if answers.task == "tagging" else [np.atleast_1d(right.all()) for right in answers.marks]


def points_of(metric: str) -> int:
    """How many points a difference of 1 is; BLEU and chrF count in points already."""
    return 1 if metric in ("bleu", "chrf") else 100


def verdict(model: str, other: str, metric: str, found: dict[str, float]) -> str:
    """What a difference means, in words."""
    if found["difference"] == 0:
        return f"{model} and {other} have the same {metric} on these texts."
    better, worse = (model, other) if found["difference"] > 0 else (other, model)
    points = points_of(metric) * (1 if found["difference"] > 0 else -1)
    size, *ends = (points * found[name] for name in ("difference", "low", "high"))
    low, high = sorted(ends)
    chance = "in less than 0.1%" if found["p"] < 0.001 else f"in {100 * found['p']:.1f}%"
    meaning = (
        f"so take {better} for the better one on texts such as these"
        if found["p"] < CHANCE
        else "so these texts do not show which of them is better"
    )
    return (
        f"{better} is {size:.2f} points of {metric} above {worse} (95% interval {low:.2f} to {high:.2f}). Were they "
        f"equally good, chance would bring about a difference as large {chance} of such samples of texts; {meaning}."
    )
