"""What a training tells MLflow as it runs, and what is left when it is done."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.seq2seq_metrics import PERCENTAGES
from pipeline import plots
from pipeline.config import TrainConfig
from pipeline.model_checksum import MODEL_CHECKSUM, checksum_of_model
from pipeline.run_report import run_report
from pipeline.tracking import Run

if TYPE_CHECKING:
    from models.epochs import Epoch


@dataclass(frozen=True)
class Trained:
    """A trained model: its folder, the epoch whose weights it has, its scores on the test data, the MLflow run, and its
    version; None if it was not registered, or will be when MLflow answers.
    """

    folder: Path
    kept_epoch: int
    scores: dict[str, float]
    run_id: str
    version: str | None


class EpochLog:
    """Tells a run of each epoch, and keeps them all.

    Args:
        run: that is told.
        on_epoch: called with each epoch, too.
    """

    def __init__(self, run: Run, on_epoch: Callable[["Epoch"], None]):
        self.run = run
        self.epochs: list[Epoch] = []
        self._on_epoch = on_epoch

    def __call__(self, epoch: "Epoch") -> None:
        self.epochs.append(epoch)
        told = {"loss": epoch.loss, "seconds": epoch.seconds, "words_per_second": epoch.words_per_second}
        told |= {f"validation.{name}": value for name, value in epoch.scores.items()}
        for place, weights in (epoch.layer_weights or {}).items():
            told |= {f"layer_weights.{place}.{k}": weight for k, weight in enumerate(weights)}
        self.run.metrics(told, step=epoch.number)
        self._on_epoch(epoch)

    def finish(
        self,
        config: TrainConfig,
        kept: "Epoch",
        scores: dict[str, float],
        example: str | list[str],
        data: Sequence[str] = (),
    ) -> Trained:
        """Log scores and curves of a model whose folder is written, and register it if the config says so.

        Args:
            config: of the training.
            kept: the epoch whose weights the model has.
            scores: on the test data.
            example: a text to try the model with, or a pair of them.
            data: a line about each split.
        """
        run, epochs = self.run, self.epochs
        told = {f"test.{name}": value for name, value in scores.items()}
        run.metrics(told)
        run.metrics({f"kept.validation.{name}": value for name, value in kept.scores.items()})
        run.metrics({"kept_epoch": kept.number})
        curves = {
            name: [epoch.scores[name] / (100 if name in PERCENTAGES else 1) for epoch in epochs] for name in kept.scores
        }
        run.figure("training_curves.png", plots.training_curves, [epoch.loss for epoch in epochs], curves, kept.number)
        if kept.layer_weights:
            weights = {place: [(epoch.layer_weights or {})[place] for epoch in epochs] for place in kept.layer_weights}
            run.figure("layer_weights.png", plots.layer_weights, weights, kept.number)
        run.tags({MODEL_CHECKSUM: checksum_of_model(config.output)})
        version = None
        if config.tracking.register_model:
            version = run.model(config.output, example, config.name, config.tracking.alias, told)
        model = f"models:/{config.name}/{version}" if version else str(config.output)
        run.report(self._report(config, kept, scores, example, data, model))
        return Trained(config.output, kept.number, scores, run.run_id, version)

    def _report(
        self,
        config: TrainConfig,
        kept: "Epoch",
        scores: dict[str, float],
        example: str | list[str],
        data: Sequence[str],
        model: str,
    ) -> str:
        below = config.embedding.source
        above = "TF-IDF with logistic regression" if below == "tfidf" else f"a head above {below}"
        above = "a head that learns its own vectors" if below == "none" else above
        facts = [f"weights of epoch {kept.number} of {len(self.epochs)}", *data, f"written to `{config.output}`"]
        texts = [example] if isinstance(example, str) else example
        commands = [f"telmo serve {model}", f"telmo predict {model} {shlex.quote(chr(9).join(texts))}"]
        what = f"**{config.name}**, {config.task}: {above}, seed {config.seed}."
        return run_report(what, {f"{name} (test)": value for name, value in scores.items()}, facts, commands)
