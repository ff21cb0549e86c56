"""The optimizer that settings describe."""

import math
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from embeddings.row_updates import RowAdagrad, RowAdam, RowSGD, is_rows
from embeddings.schedule import Schedule
from models.options import TrainingSettings


class InverseTime(keras.optimizers.schedules.LearningRateSchedule):
    """r / (1 + decay * epochs) (Ma and Hovy 2016, "End-to-end sequence labeling via bi-directional LSTM-CNNs-CRF",
    section 3.2), step by step.

    Args:
        rate: r.
        decay: for each epoch.
        steps: of an epoch.
    """

    def __init__(self, rate: float, decay: float, steps: int):
        self.rate, self.decay, self.steps = rate, decay, steps

    def __call__(self, step):
        return self.rate / (1.0 + self.decay * ops.cast(step, "float32") / self.steps)

    def get_config(self):
        return {"rate": self.rate, "decay": self.decay, "steps": self.steps}


class Rates:
    """A mixin for Keras's optimizers: variables learn at rates of their own.

    Attributes:
        rates: by the number of a variable in the optimizer, what its learning rate is multiplied by; 1 for those that
            it lacks.
    """

    rates: Mapping[int, float] = {}

    def update_step(self, gradient, variable, learning_rate):
        rate = self.rates.get(self._get_variable_index(variable), 1.0)  # type: ignore[attr-defined]
        super().update_step(gradient, variable, learning_rate * rate)  # type: ignore[misc]


class UnbiasedAverage:
    """A mixin for Keras's optimizers: the moving average of the weights is of those after each step alone.

    Keras's own counts the weights after the first step as if there had been many such steps, so that after a short
    training most of the average is what has learned nothing. That is corrected as Kingma and Ba 2015, section 7.2, do.
    """

    def _update_model_variables_moving_average(self, trainable_variables):
        momentum = self.ema_momentum  # type: ignore[attr-defined]
        step = ops.cast(self.iterations + 1, "float32")  # type: ignore[attr-defined]
        # 1 - momentum ** step, without the loss of digits where that is near 1.
        share = (momentum - 1) / ops.expm1(step * math.log(momentum))
        averages = self._model_variables_moving_average  # type: ignore[attr-defined]
        for variable, average in zip(trainable_variables, averages, strict=True):
            average.assign(average + ops.cast(share, average.dtype) * (variable - average))


class HeadAdam(Rates, UnbiasedAverage, RowAdam):
    """Kingma and Ba 2015."""


class HeadAdagrad(Rates, UnbiasedAverage, RowAdagrad):
    """Duchi et al. 2011."""


class HeadSGD(Rates, UnbiasedAverage, RowSGD):
    """Stochastic gradient descent."""


class HeadAdadelta(Rates, UnbiasedAverage, keras.optimizers.Adadelta):
    """Zeiler 2012, "ADADELTA: an adaptive learning rate method"; what it remembers moves every row at every step."""

    def _clip_gradients(self, grads):
        return super()._clip_gradients([_dense(gradient) if is_rows(gradient) else gradient for gradient in grads])


def _dense(gradient):
    import tensorflow as tf

    return tf.convert_to_tensor(gradient)


def build_optimizer(settings: TrainingSettings, model: keras.Model, steps: int, rates: Mapping[str, float]):
    """The optimizer of a model's training, built for all weights that are trainable now.

    Args:
        settings: of the training.
        model: to train.
        steps: of an epoch.
        rates: by the path of a variable, what its learning rate is multiplied by; 1 for those that it lacks.
    """
    options = {
        "learning_rate": _rate(settings, steps),
        "global_clipnorm": settings.clip_norm,
        "weight_decay": settings.weight_decay or None,
        "use_ema": bool(settings.average),
        "ema_momentum": settings.average or 0.99,
    }
    if settings.optimizer == "sgd":
        options["momentum"] = settings.momentum
    kinds = {"adam": HeadAdam, "adagrad": HeadAdagrad, "adadelta": HeadAdadelta, "sgd": HeadSGD}
    optimizer: Any = kinds[settings.optimizer](**options)
    optimizer.rates = {k: rates[w.path] for k, w in enumerate(model.trainable_variables) if w.path in rates}
    if settings.weight_decay:
        kernels = [w for w in model.trainable_variables if len(w.shape) > 1 and w.name not in _NO_DECAY]
        optimizer.exclude_from_weight_decay(
            [w for w in model.trainable_variables if not any(w is kernel for kernel in kernels)]
        )
    optimizer.build(model.trainable_variables)
    return optimizer


_NO_DECAY = ("vectors", "transitions")


def _rate(settings: TrainingSettings, steps: int):
    if settings.schedule == "inverse_time":
        return InverseTime(settings.learning_rate, settings.decay, steps)
    if settings.schedule == "constant" and not settings.warm_up:
        return settings.learning_rate
    every = steps * settings.epochs
    return Schedule(settings.schedule, settings.learning_rate, every, round(settings.warm_up * every))
