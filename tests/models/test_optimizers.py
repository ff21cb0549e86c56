import keras
import numpy as np
import pytest

from models.optimizers import build_optimizer
from models.options import TrainingSettings


class OneVector(keras.Model):
    def __init__(self):
        super().__init__()
        self.vector = self.add_weight(name="vector", shape=(2,), initializer="ones")
        self.built = True


@pytest.mark.parametrize("steps", [1, 3, 400])
def test_the_moving_average_is_of_the_weights_after_each_step(random, steps):
    """Kingma and Ba 2015, section 7.2, written out."""
    model = OneVector()
    settings = TrainingSettings(optimizer="sgd", learning_rate=0.1, clip_norm=None, average=0.99)
    optimizer = build_optimizer(settings, model, steps, {})
    seen = []
    for gradient in random.normal(size=(steps, 2)).astype("f4"):
        optimizer.apply([keras.ops.convert_to_tensor(gradient)])
        seen.append(np.array(model.vector))
    optimizer.finalize_variable_values(model.trainable_variables)
    counts = 0.99 ** np.arange(steps)[::-1]
    np.testing.assert_allclose(np.array(model.vector), np.average(seen, axis=0, weights=counts), rtol=1e-4, atol=1e-6)
