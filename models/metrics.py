"""How good predictions are."""

import warnings
from collections.abc import Sequence

import numpy as np

from models.label_scheme import marks_spans, split_tag


def score(task: str, gold: Sequence, predicted: Sequence, labels: Sequence[str]) -> dict[str, float]:
    """The metrics of a task.

    Args:
        task: `"classification"` or `"tagging"`.
        gold, predicted: a label for each text, or the tags of each text.
        labels: the label set of the model, which tells whether tags mark spans.

    Returns:
        For classification `accuracy` and `macro_f1`. For tagging `accuracy` by word, and where the tags mark spans
        (`models.label_scheme`) `precision`, `recall` and `f1` of whole spans, by the CoNLL definition (seqeval).
    """
    return (
        classification_scores(gold, predicted) if task == "classification" else tagging_scores(gold, predicted, labels)
    )


def main_metric(task: str, labels: Sequence[str]) -> str:
    """The metric that training selects by."""
    return "f1" if task == "tagging" and marks_spans(labels) else "accuracy"


def flat_labels(labels: Sequence[str] | Sequence[Sequence[str]]) -> list[str]:
    """The labels of texts as they are, or the tags of all their words in one list."""
    return [tag for label in labels for tag in ([label] if isinstance(label, str) else label)]


def classification_scores(gold: Sequence[str], predicted: Sequence[str]) -> dict[str, float]:
    from sklearn.metrics import accuracy_score, f1_score

    return {
        "accuracy": float(accuracy_score(gold, predicted)),
        "macro_f1": float(f1_score(gold, predicted, average="macro", zero_division=0)),
    }


def tagging_scores(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], labels: Sequence[str]
) -> dict[str, float]:
    from seqeval.metrics import f1_score, precision_score, recall_score

    right = [g == p for tags, others in zip(gold, predicted, strict=True) for g, p in zip(tags, others, strict=True)]
    scores = {"accuracy": float(np.mean(right))}
    if marks_spans(labels):
        gold, predicted = _for_seqeval(gold), _for_seqeval(predicted)
        with warnings.catch_warnings():
            # seqeval warns where a score is not defined and gives 0, as wanted.
            warnings.simplefilter("ignore")
            for name, metric in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
                scores[name] = float(metric(gold, predicted))
    return scores


def _for_seqeval(sentences: Sequence[Sequence[str]]) -> list[list[str]]:
    """The tags in the letters that seqeval knows: it takes the `U` and `L` of BIOUL for a middle and loses spans."""
    letters = {"U": "S", "L": "E", "M": "I"}
    split = [[split_tag(tag) for tag in tags] for tags in sentences]
    return [[f"{letters.get(part, part)}-{label}" if part != "O" else "O" for part, label in tags] for tags in split]
