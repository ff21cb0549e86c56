"""Optimizers that say what they saw of the gradient."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from embeddings.schedule import Schedule
from embeddings.settings import PretrainingSettings


@dataclass(frozen=True)
class GradientNorms:
    """Of one update.

    Args:
        norm: of the whole gradient, before clipping.
        clipped: likewise, after clipping.
        by_variable: before clipping, of each variable by its path.
    """

    norm: float
    clipped: float
    by_variable: dict[str, float]

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
        shape = (len(variables),)
        self.norms = self.add_variable(shape, "zeros", name="norms")
        self.clipped_norm = self.add_variable((), "zeros", name="clipped_norm")
        self.paths = [variable.path for variable in variables]

    def _clip_gradients(self, grads):
        self.norms.assign(ops.stack([_norm(gradient) for gradient in grads]))
        clipped = super()._clip_gradients(grads)
        self.clipped_norm.assign(ops.norm(ops.stack([_norm(gradient) for gradient in clipped])))
        return clipped

    def last_norms(self) -> GradientNorms:
        """What the last update saw."""
        norms = ops.convert_to_numpy(self.norms).astype(float)
        by_variable = dict(zip(self.paths, norms.tolist(), strict=True))
        return GradientNorms(float(np.linalg.norm(norms)), float(self.clipped_norm), by_variable)


def _norm(gradient):
    # A gradient of rows alone (tf.IndexedSlices) has them in `values`.
    values = getattr(gradient, "values", gradient)
    return ops.sqrt(ops.sum(ops.square(ops.cast(values, "float32"))))


class WatchedAdam(Watching, keras.optimizers.Adam):
    """Kingma and Ba 2015."""


class WatchedAdagrad(Watching, keras.optimizers.Adagrad):
    """Duchi et al. 2011; bilm-tf trains with it."""


class WatchedSGD(Watching, keras.optimizers.SGD):
    """Stochastic gradient descent."""


def build_optimizer(settings: PretrainingSettings, steps: int) -> Watching:
    """The optimizer that settings describe.

    Args:
        settings: of the training.
        steps: updates in all, over which the rate runs its course.
    """
    options = {
        "learning_rate": Schedule.of(settings, steps),
        "global_clipnorm": settings.clip_norm,
        "clipvalue": settings.clip_value,
        "gradient_accumulation_steps": settings.accumulate if settings.accumulate > 1 else None,
    }
    if settings.optimizer == "adagrad":
        return WatchedAdagrad(initial_accumulator_value=1.0, **options)
    if settings.optimizer == "sgd":
        return WatchedSGD(momentum=settings.momentum, **options)
    return WatchedAdam(**options)
