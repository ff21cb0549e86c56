"""How good predictions are."""

import warnings
from collections.abc import Collection, Sequence

import numpy as np

from models.label_scheme import marks_spans, split_tag


def score(task: str, gold: Sequence, predicted: Sequence, labels: Sequence[str]) -> dict[str, float]:
    """The metrics of a task.

    Args:
        task: `"classification"` or `"tagging"`.
        gold, predicted: a label for each text, or the tags of each text, or its labels where it may have many.
        labels: the label set of the model, which tells whether tags mark spans.

    Returns:
        For classification `accuracy` and `macro_f1`; with many labels to a text `accuracy` of whole label sets,
        `micro_f1` and `macro_f1`. For tagging `accuracy` by word, and where the tags mark spans
        (`models.label_scheme`) `precision`, `recall` and `f1` of whole spans, by the CoNLL definition (seqeval).
    """
    if task == "tagging":
        return tagging_scores(gold, predicted, labels)
    many = len(gold) and not isinstance(gold[0], str)
    return multi_label_scores(gold, predicted, labels) if many else classification_scores(gold, predicted)


def main_metric(task: str, labels: Sequence[str], scores: Collection[str] = ()) -> str:
    """The metric that training selects by.

    Args:
        task, labels: of the model.
        scores: the metrics there are.
    """
    if task == "tagging":
        return "f1" if marks_spans(labels) else "accuracy"
    return "micro_f1" if "micro_f1" in scores else "accuracy"


def flat_labels(labels: Sequence[str] | Sequence[Sequence[str]]) -> list[str]:
    """The labels of texts as they are, or the tags of all their words in one list."""
    return [tag for label in labels for tag in ([label] if isinstance(label, str) else label)]


def classification_scores(gold: Sequence[str], predicted: Sequence[str]) -> dict[str, float]:
    from sklearn.metrics import accuracy_score, f1_score

    return {
        "accuracy": float(accuracy_score(gold, predicted)),
        "macro_f1": float(f1_score(gold, predicted, average="macro", zero_division=0)),
    }


def multi_label_scores(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], labels: Sequence[str]
) -> dict[str, float]:
    from sklearn.metrics import f1_score
    from sklearn.preprocessing import MultiLabelBinarizer

    present = MultiLabelBinarizer(classes=list(labels))
    y, other = present.fit_transform(gold), present.fit_transform(predicted)
    scores = {f"{kind}_f1": float(f1_score(y, other, average=kind, zero_division=0)) for kind in ("micro", "macro")}
    return {"accuracy": float(np.mean((y == other).all(axis=1)))} | scores


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


def span_scores(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, dict[str, float]]:
    """`precision`, `recall` and `f1` of the spans of each kind, by the CoNLL definition (seqeval), and `support`, how
    many there are."""
    from seqeval.metrics import classification_report

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = classification_report(_for_seqeval(gold), _for_seqeval(predicted), output_dict=True)
    names = {"f1-score": "f1"}
    return {
        kind: {names.get(name, name): float(value) for name, value in values.items()}
        for kind, values in report.items()
        if not kind.endswith(" avg")
    }


def scores_by_label(
    task: str, gold: Sequence, predicted: Sequence, labels: Sequence[str]
) -> dict[str, dict[str, float]]:
    """`precision`, `recall`, `f1` and `support` of each label; of taggers whose tags mark spans of each kind of span.

    Args:
        task, gold, predicted, labels: as for `score`.
    """
    if task == "tagging" and marks_spans(labels):
        return span_scores(gold, predicted)
    from sklearn.metrics import precision_recall_fscore_support
    from sklearn.preprocessing import MultiLabelBinarizer

    many = task == "classification" and not isinstance(gold[0], str)
    y, other = (gold, predicted) if many else ([[x] for x in flat_labels(gold)], [[x] for x in flat_labels(predicted)])
    present = MultiLabelBinarizer(classes=list(labels))
    found = precision_recall_fscore_support(present.fit_transform(y), present.transform(other), zero_division=0)
    names = ("precision", "recall", "f1", "support")
    rows = zip(*found, strict=True)
    return {label: dict(zip(names, map(float, row), strict=True)) for label, row in zip(labels, rows, strict=True)}


def _for_seqeval(sentences: Sequence[Sequence[str]]) -> list[list[str]]:
    """The tags in the letters that seqeval knows: it takes the `U` and `L` of BIOUL for a middle and loses spans."""
    letters = {"U": "S", "L": "E", "M": "I"}
    split = [[split_tag(tag) for tag in tags] for tags in sentences]
    return [[f"{letters.get(part, part)}-{label}" if part != "O" else "O" for part, label in tags] for tags in split]
