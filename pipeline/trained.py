"""What a training tells MLflow as it runs, and what is left when it is done."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.seq2seq_metrics import PERCENTAGES
from pipeline import plots
from pipeline.config import TrainConfig
from pipeline.tracking import Run
from serve.registry import log_model

if TYPE_CHECKING:
    from models.epochs import Epoch


@dataclass(frozen=True)
class Trained:
    """A trained model: its folder, the epoch whose weights it has, its scores on the test data, the MLflow run, and its
    version if it was registered.
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

    def finish(self, config: TrainConfig, kept: "Epoch", scores: dict[str, float], example: str | list[str]) -> Trained:
        """Log scores and curves of a model whose folder is written, and register it if the config says so.

        Args:
            config: of the training.
            kept: the epoch whose weights the model has.
            scores: on the test data.
            example: a text to try the model with, or a pair of them.
        """
        run, epochs = self.run, self.epochs
        run.metrics({f"test.{name}": value for name, value in scores.items()})
        run.metrics({f"kept.validation.{name}": value for name, value in kept.scores.items()})
        run.metrics({"kept_epoch": kept.number})
        curves = {
            name: [epoch.scores[name] / (100 if name in PERCENTAGES else 1) for epoch in epochs] for name in kept.scores
        }
        run.figure(plots.training_curves([epoch.loss for epoch in epochs], curves), "training_curves.png")
        if kept.layer_weights:
            weights = {place: [(epoch.layer_weights or {})[place] for epoch in epochs] for place in kept.layer_weights}
            run.figure(plots.layer_weights(weights, kept.number), "layer_weights.png")
        version = None
        if config.tracking.register_model:
            version = log_model(config.output, example, config.name, config.tracking.alias)
        return Trained(config.output, kept.number, scores, run.run_id, version)
