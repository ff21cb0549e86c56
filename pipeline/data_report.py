"""What a person should know of labelled data before a head is trained on them."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from models.examples import Examples
from models.metrics import flat_labels
from models.options import Task
from pipeline import plots
from pipeline.data import DataSet
from pipeline.tracking import Run

QUANTILES = (0, 5, 25, 50, 75, 95, 100)
CLASSES_SHOWN = 30


def report_of(task: Task, data_set: DataSet) -> dict[str, Any]:
    """Sizes, lengths, classes, duplicates and checksums, as JSON.

    Returns:
        `splits`: for each its `files`, `sha256`, `examples`, `words`, the quantiles of the `lengths` in words (and of
        `target_lengths` for seq2seq), `repeated` examples whose text an earlier one of the split has, `contradicting`
        ones of these that have another label than the first, and `seen_in` other splits. `labels`: how often each
        stands in each split, of texts or words, but for seq2seq. `files`: the SHA-256 of each. `drawn`: how splits
        were drawn, with the seed.
    """
    splits = {}
    texts = {split: _texts(examples) for split, examples in data_set.splits.items()}
    checksums = data_set.checksums()
    for split, examples in data_set.splits.items():
        lengths = [len(sentence) for sentence in examples.sentences]
        targets = [len(words) for words in examples.targets] if examples.references else []
        splits[split] = {
            "files": data_set.names[split],
            "sha256": checksums[split],
            "examples": len(examples),
            "words": sum(lengths),
            "lengths": _quantiles(lengths),
            **({"target_lengths": _quantiles(targets)} if targets else {}),
            **_repeated(texts[split], examples.targets),
            "seen_in": _seen(texts, split),
        }
    labels = {} if data_set.splits["train"].references else _labels(data_set.splits)
    return {"task": task, "splits": splits, "labels": labels, "files": data_set.files, "drawn": data_set.drawn}


def lines_of(report: dict[str, Any]) -> list[str]:
    """A report for a person."""
    splits = report["splits"]
    lines = []
    for split, about in splits.items():
        lines.append(f"{split}: {about['examples']:,} examples, {about['words']:,} words, sha256 {_start(about)}")
        lines.append(f"  from {', '.join(about['files'])}")
        lines.append(f"  {_length_line('words a text', about['lengths'])}")
        if "target_lengths" in about:
            lines.append(f"  {_length_line('words a target', about['target_lengths'])}")
        lines.append(f"  {_duplicate_line(about)}")
    for name, about in report["files"].items():
        detected = f", detected as {about['encoding']}" if "encoding" in about else ""
        lines.append(f"{name}: sha256 {_start(about)}{detected}")
    if report["drawn"]:
        lines.append("drawn with " + ", ".join(f"{name} {value}" for name, value in report["drawn"].items()))
    if report["labels"]:
        lines += _class_table(report["labels"], splits)
    return lines


def _texts(examples: Examples) -> list[tuple]:
    """What makes two examples the same, but for the label."""
    seconds: Iterable[Sequence[str]] = examples.pairs or [()] * len(examples)
    return [(tuple(first), tuple(second)) for first, second in zip(examples.sentences, seconds, strict=True)]


def _quantiles(lengths: Sequence[int]) -> dict[str, int]:
    # A length that a text has, not one between two.
    values = np.percentile(lengths, QUANTILES, method="inverted_cdf")
    return {f"{share}%": int(value) for share, value in zip(QUANTILES, values, strict=True)}


def _repeated(texts: Sequence[tuple], targets: Sequence) -> dict[str, int]:
    first: dict[tuple, Any] = {}
    repeated = contradicting = 0
    for text, target in zip(texts, targets, strict=True):
        if text in first:
            repeated += 1
            contradicting += first[text] != target
        first.setdefault(text, target)
    return {"repeated": repeated, "contradicting": contradicting}


def _seen(texts: dict[str, list[tuple]], split: str) -> dict[str, int]:
    """How many examples of a split have a text that stands in each of the others."""
    known = {other: set(found) for other, found in texts.items() if other != split}
    return {other: sum(text in found for text in texts[split]) for other, found in known.items()}


def _labels(splits: dict[str, Examples]) -> dict[str, dict[str, int]]:
    counts = {split: Counter(flat_labels(examples.targets)) for split, examples in splits.items()}
    order = sum(counts.values(), Counter()).most_common()
    return {label: {split: count[label] for split, count in counts.items()} for label, _ in order}


def _start(about: dict[str, Any]) -> str:
    return about["sha256"][:16]


def _length_line(title: str, lengths: dict[str, int]) -> str:
    return f"{title}: " + ", ".join(f"{length:,} at {share}" for share, length in lengths.items())


def _duplicate_line(about: dict[str, Any]) -> str:
    seen = ", ".join(f"{count:,} stand in {other}, too" for other, count in about["seen_in"].items())
    repeated = f"{about['repeated']:,} repeat an earlier text, {about['contradicting']:,} with other labels"
    return f"duplicates: {repeated}; {seen}"


def _class_table(labels: dict[str, dict[str, int]], splits: dict[str, Any]) -> list[str]:
    """A line a label with its number and share in each split, the frequent ones first."""
    shown = dict(list(labels.items())[:CLASSES_SHOWN])
    width = max(len("label"), *map(len, shown))
    totals = {split: sum(counts[split] for counts in labels.values()) or 1 for split in splits}
    lines = [f"{'label':{width}}" + "".join(f"{split:>18}" for split in splits)]
    for label, counts in shown.items():
        cells = [f"{counts[split]:,} {100 * counts[split] / totals[split]:5.1f}%" for split in splits]
        lines.append(f"{label:{width}}" + "".join(f"{cell:>18}" for cell in cells))
    if len(labels) > len(shown):
        lines.append(f"... and {len(labels) - len(shown):,} more labels")
    return lines


def log_data(run: Run, task: Task, data: DataSet) -> list[str]:
    """Let a run record its data: names, checksums and sizes of the splits, the report and the lengths as a figure.

    Returns:
        A line a split.
    """
    if not run.is_tracked:
        return []
    report = report_of(task, data)
    lines = []
    for split, about in report["splits"].items():
        sizes = {"num_rows": about["examples"], "words": about["words"]}
        run.data_set(about["files"], about["sha256"], split, sizes)
        run.params({f"data.{split}.examples": about["examples"]})
        counted = f"{about['examples']:,} examples, {about['words']:,} words"
        lines.append(f"{split}: {counted}, from {', '.join(about['files'])} (sha256 {_start(about)})")
    run.text(json.dumps(report, indent=2, ensure_ascii=False), "data.json")
    run.text("\n".join(lines_of(report)), "data.txt")
    lengths = {split: [len(words) for words in examples.sentences] for split, examples in data.splits.items()}
    run.figure("lengths.png", plots.lengths, lengths)
    return lines
