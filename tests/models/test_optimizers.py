from pathlib import Path

import keras
import numpy as np
import pytest

from models.optimizers import build_optimizer
from models.options import TrainingSettings


class TwoVectors(keras.Model):
    def __init__(self):
        super().__init__()
        self.vectors = [self.add_weight(name=name, shape=(2,), initializer="ones") for name in ("learned", "still")]
        self.built = True


def averages(momentum: float, steps: int) -> tuple[list, list]:
    """The moving averages of two vectors, of which one has no gradient but 0, and those of Kingma and Ba 2015, section
    7.2, written out."""
    model = TwoVectors()
    settings = TrainingSettings(optimizer="sgd", learning_rate=0.1, clip_norm=None, average=momentum)
    optimizer = build_optimizer(settings, model, steps, {})
    seen = []
    for gradient in np.random.default_rng(7).normal(size=(steps, 2)).astype("f4"):
        optimizer.apply([keras.ops.convert_to_tensor(gradient), keras.ops.zeros(2)])
        seen.append([np.array(vector) for vector in model.vectors])
    optimizer.finalize_variable_values(model.trainable_variables)
    counts = momentum ** np.arange(steps, dtype="f8")[::-1]
    return [np.array(vector) for vector in model.vectors], np.average(seen, axis=0, weights=counts)


@pytest.mark.parametrize("momentum", [0.5, 0.999, 0.99999])
@pytest.mark.parametrize("steps", [1, 3, 400])
def test_the_moving_average_is_of_the_weights_after_each_step(momentum, steps):
    np.testing.assert_allclose(*averages(momentum, steps), rtol=1e-5, atol=1e-6)


def test_it_is_so_on_jax(on_jax, tmp_path):
    code = "import numpy as np\nfrom test_optimizers import averages\n"
    on_jax(code + "np.testing.assert_allclose(*averages(0.999, 50), rtol=1e-5)", tmp_path, [Path(__file__).parent])
