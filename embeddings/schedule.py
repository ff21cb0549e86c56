"""The learning rate over the steps of a training."""

import keras
from keras import ops

from embeddings.settings import PretrainingSettings

LOWEST = 1 / 20
"""Of the highest rate: where the warm-up begins and where the rate ends."""


@keras.saving.register_keras_serializable("telmo")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up, then one of the usual ways down.

    With t the steps done, w those of the warm-up, T all, r the highest rate, x = (t - w) / (T - w) and m = 1/20:

        warm-up       r (m + (1 - m) t / w)
        cosine        r (m + (1 - m) (1 + cos(pi x)) / 2)   (Loshchilov and Hutter 2017, equation 5)
        linear        r (1 - (1 - m) x)
        exponential   r m^x
        inverse_sqrt  r sqrt(max(w, 1) / max(t, w, 1))      (Vaswani et al. 2017, equation 3)
        constant      r

    Args:
        kind: one of these names.
        rate: r.
        steps: T; after them the rate stays where it is.
        warm_up: w.
    """

    def __init__(self, kind: str, rate: float, steps: int, warm_up: int):
        self.kind, self.rate, self.steps, self.warm_up = kind, rate, steps, warm_up

    @classmethod
    def of(cls, settings: PretrainingSettings, steps: int) -> "Schedule":
        return cls(settings.schedule, settings.learning_rate, steps, round(settings.warm_up * steps))

    def __call__(self, step):
        t, w = ops.cast(step, "float32"), float(self.warm_up)
        x = ops.clip((t - w) / max(1.0, self.steps - w), 0.0, 1.0)
        after = (
            self.rate
            * {
                "cosine": lambda: LOWEST + (1 - LOWEST) * 0.5 * (1 + ops.cos(3.141592653589793 * x)),
                "linear": lambda: 1 - (1 - LOWEST) * x,
                "exponential": lambda: ops.power(LOWEST, x),
                "inverse_sqrt": lambda: ops.sqrt(max(w, 1.0) / ops.maximum(t, max(w, 1.0))),
                "constant": lambda: ops.ones_like(x),
            }[self.kind]()
        )
        rising = self.rate * (LOWEST + (1 - LOWEST) * t / max(w, 1.0))
        return ops.where(t < w, rising, after)

    def get_config(self):
        return {"kind": self.kind, "rate": self.rate, "steps": self.steps, "warm_up": self.warm_up}
