"""Training epoch by epoch, of which the best is kept."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from embeddings.errors import TrainingError
from models.options import TrainingSettings


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training data gave: the mean loss in nats a text, the validation scores, the seconds it
    took, words a second while it learned, and the weights of the biLM's layers (`models.encoder.layer_weights`)."""

    number: int
    loss: float
    scores: dict[str, float]
    seconds: float
    words_per_second: float = 0.0
    layer_weights: dict[str, list[float]] | None = None


Losses = Iterable[tuple[float, int]]


def best_of_epochs(
    model: Any,
    settings: TrainingSettings,
    words: int,
    learn: Callable[[int], Losses],
    validate: Callable[[], dict[str, float]],
    best: Callable[[Sequence[Epoch]], Epoch],
    layer_weights: Callable[[], dict[str, list[float]]],
    on_epoch: Callable[[Epoch], None],
) -> None:
    """Train until the epochs are over or bring nothing more, and give the model the weights of the best one.

    Args:
        model: compiled.
        settings: of the training.
        words: in the training texts.
        learn: passes over them once, in the epoch of this number; gives each batch's mean loss and its texts.
        validate: the scores of the weights as they are, with their moving average if there is one.
        best: the best of some epochs.
        layer_weights: as `Epoch` has them.
        on_epoch: called after each epoch.

    Raises:
        TrainingError: the loss is infinite or no number.
    """
    epochs: list[Epoch] = []
    trained = model.trainable_variables
    for number in range(1, settings.epochs + 1):
        began = time.perf_counter()
        losses, texts = zip(*learn(number), strict=True)
        loss, speed = float(np.average(losses, weights=texts)), words / (time.perf_counter() - began)
        if not math.isfinite(loss):
            raise TrainingError(f"epoch {number}: the loss is {loss}; lower training.learning_rate or clip_norm")
        last = model.get_weights()
        model.optimizer.finalize_variable_values(trained)
        scores = validate()
        epochs.append(Epoch(number, loss, scores, time.perf_counter() - began, speed, layer_weights()))
        on_epoch(epochs[-1])
        since = number - best(epochs).number
        if not since:
            kept = model.get_weights()
        if since >= settings.patience:
            break
        if settings.average:
            model.set_weights(last)
    model.set_weights(kept)
