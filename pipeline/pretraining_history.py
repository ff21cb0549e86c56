"""What a pretraining's figures show, kept beside its checkpoints, so that they show all of it, broken off or not."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pipeline import plots
from pipeline.tracking import Run

HISTORY = "history.jsonl"

REPORT_EVERY = 10
"""Batches between two reports of a training."""


def told_every(batch: int) -> int:
    """Batches between two reports that MLflow is told: as many as between two reports up to batch 1,000, and twice as
    many after each doubling, so that a long training has charts that are soon drawn. The history has all."""
    return REPORT_EVERY << (batch // 1000).bit_length()


class PretrainingHistory:
    """Losses, norms of the gradient and perplexities by batch.

    Args:
        path: of the file; what it has of later batches than `batch`, from where the training goes on, no figure shows.
        repeats: whether the run has these already, and the training comes to the same again.
    """

    def __init__(self, path: Path, batch: int, repeats: bool):
        self._path = path
        before = path.read_text().splitlines() if path.exists() else []
        self._rows: list[dict[str, Any]] = []
        self._told: set[tuple[str, int]] = set()
        path.unlink(missing_ok=True)
        # The last line may be half of one.
        with suppress(ValueError):
            for row in map(json.loads, before):
                what = ("trained" if "loss" in row else "measured", row["batch"])
                if what in self._told or not (repeats or row["batch"] <= batch):
                    continue
                self._told.add(what)
                self._write(row)
                if row["batch"] <= batch:
                    self._rows.append(row)

    def has(self, what: Literal["trained", "measured"], batch: int) -> bool:
        """Whether the run was told a report, or a measurement, by the process that broke off."""
        return (what, batch) in self._told

    def trained(self, batch: int, seen: dict[str, float], layers: dict[str, float]) -> None:
        """Note a report of the training."""
        norms = {"before": seen["gradient_norm"], "after": seen["gradient_norm_clipped"], "layers": layers}
        told = {name: seen[name] for name in ("loss", "words_per_second")}
        self._add({"batch": batch} | told | norms)

    def measured(self, batch: int, scores: dict[str, float]) -> None:
        """Note the perplexities on the validation text."""
        self._add({"batch": batch} | scores)

    def draw(self, run: Run) -> None:
        """Give a run the figures."""
        trained = [row for row in self._rows if "loss" in row]
        measured = [row for row in self._rows if "loss" not in row]
        if trained:
            run.figure("training_curves.png", plots.pretraining_curves, trained, measured)
            run.figure("gradient_norms.png", plots.gradient_norms, trained)

    def _add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        self._write(row)

    def _write(self, row: dict[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")
