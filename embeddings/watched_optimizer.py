"""Optimizers that say what they saw of the gradient."""

from dataclasses import dataclass

import numpy as np
from keras import ops

from embeddings.row_updates import RowAdagrad, RowAdam, RowSGD, dense_part, scaled
from embeddings.schedule import Schedule
from embeddings.settings import PretrainingSettings


@dataclass(frozen=True)
class GradientNorms:
    """Of one update.

    Args:
        norm: of the whole gradient, before clipping.
        clipped: likewise, after clipping.
        by_variable: before clipping, of each variable by its path.
        clipped_by_variable: likewise, after clipping.
    """

    norm: float
    clipped: float
    by_variable: dict[str, float]
    clipped_by_variable: dict[str, float]

    @property
    def was_clipped(self) -> bool:
        return self.clipped < self.norm * (1 - 1e-6)

    @property
    def first_not_finite(self) -> str | None:
        """The first variable whose gradient is infinite or no number, or None."""
        return next((path for path, norm in self.by_variable.items() if not np.isfinite(norm)), None)


class Watching:
    """A mixin for Keras's optimizers: keeps the norms of the last update's gradient, as part of its state, so that it
    works on every backend."""

    def build(self, variables):
        super().build(variables)
        # Before clipping, and after.
        self.norms = [self.add_variable((len(variables),), "zeros", name=f"{name}norms") for name in ("", "clipped_")]
        self.paths = [variable.path for variable in variables]

    def _clip_gradients(self, grads):
        before = ops.stack([_norm(gradient) for gradient in grads])
        if self.global_clipnorm:
            # All that Keras would find out in two more passes over the gradient.
            scale = self.global_clipnorm / ops.maximum(ops.norm(before), self.global_clipnorm)
            clipped = [scaled(gradient, scale) for gradient in grads]
            after = before * scale
        else:
            clipped = super()._clip_gradients(grads)
            after = ops.stack([_norm(gradient) for gradient in clipped])
        for norms, found in zip(self.norms, (before, after), strict=True):
            norms.assign(found)
        return clipped

    def last_norms(self) -> GradientNorms:
        """What the last update saw."""
        before, after = (ops.convert_to_numpy(norms).astype(float) for norms in self.norms)
        by_variable, clipped = (dict(zip(self.paths, x.tolist(), strict=True)) for x in (before, after))
        return GradientNorms(float(np.linalg.norm(before)), float(np.linalg.norm(after)), by_variable, clipped)


def _norm(gradient):
    # A product with itself needs no array of squares.
    numbers = ops.ravel(ops.cast(dense_part(gradient), "float32"))
    return ops.sqrt(ops.dot(numbers, numbers))


class WatchedAdam(Watching, RowAdam):
    """Kingma and Ba 2015; a row of a table without a gradient rests."""


class WatchedAdagrad(Watching, RowAdagrad):
    """Duchi et al. 2011; bilm-tf trains with it."""


class WatchedSGD(Watching, RowSGD):
    """Stochastic gradient descent."""


def build_optimizer(settings: PretrainingSettings, batches: int) -> Watching:
    """The optimizer that settings describe.

    Args:
        settings: of the training.
        batches: in all, over which the rate runs its course; Keras counts them, however many make one update.
    """
    options = {
        "learning_rate": Schedule.of(settings, batches),
        "global_clipnorm": settings.clip_norm,
        "clipvalue": settings.clip_value,
        "gradient_accumulation_steps": settings.accumulate if settings.accumulate > 1 else None,
    }
    if settings.optimizer == "adagrad":
        # As in bilm-tf, where it is 1 for a loss that is the sum over the steps and not the mean.
        return WatchedAdagrad(initial_accumulator_value=settings.steps**-2, **options)
    if settings.optimizer == "sgd":
        return WatchedSGD(momentum=settings.momentum, **options)
    return WatchedAdam(**options)
