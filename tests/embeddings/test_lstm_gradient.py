import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from embeddings.cells import ProjectedLSTMCell
from embeddings.recurrent import Recurrent

BATCH, TIME, INPUT, UNITS, CELLS = 3, 6, 4, 5, 7


def layer_of(cell, go_backwards):
    keras.utils.set_random_seed(3)
    layer = Recurrent(cell, go_backwards)
    layer.build((None, None, INPUT))
    for variable in layer.trainable_variables:
        variable.assign(keras.random.normal(variable.shape))
    return layer


def results(layer, random, state, training):
    """Outputs and last state, and the gradient of a sum of them to the inputs, the state and the weights."""
    inputs = ops.convert_to_tensor(random.normal(size=(BATCH, TIME, INPUT)).astype("f4"))
    shapes = [(BATCH, n) for n in layer.cell.state_size]
    initial = [ops.convert_to_tensor(random.normal(size=shape).astype("f4")) for shape in shapes]
    weights = [random.normal(size=shape).astype("f4") for shape in ((BATCH, TIME, UNITS), *shapes)]

    @tf.function
    def run():
        with tf.GradientTape() as tape:
            tape.watch([inputs, initial])
            outputs, last = layer(inputs, initial_state=initial if state else None, training=training)
            loss = sum(ops.sum(x * y) for x, y in zip([outputs, *last], weights, strict=True))
        sources = [inputs, *initial] if state else [inputs]
        return [outputs, *last], tape.gradient(loss, [*sources, *(x.value for x in layer.trainable_variables)])

    return [x.numpy() for x in tf.nest.flatten(run())]


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize(
    ("cells", "cell_clip", "projection_clip"), [(CELLS, 0.6, 0.8), (CELLS, None, None), (UNITS, 0.6, None)]
)
def test_the_gradient_is_that_of_automatic_differentiation(cells, cell_clip, projection_clip, state, go_backwards):
    layer = layer_of(ProjectedLSTMCell(UNITS, cells, cell_clip, projection_clip), go_backwards)
    written, automatic = (results(layer, np.random.default_rng(5), state, training) for training in (True, False))
    assert len(written) == len(automatic)
    for one, other in zip(written, automatic, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5, rtol=1e-4)
    if cell_clip:
        assert np.abs(written[2]).max() == pytest.approx(cell_clip)  # so that the clip is at work


def test_masked_steps_have_no_gradient_in_training(random):
    layer = layer_of(ProjectedLSTMCell(UNITS, CELLS, 3.0, 3.0), False)
    inputs = tf.constant(random.normal(size=(1, TIME, INPUT)).astype("f4"))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs, _ = layer(inputs, mask=np.arange(TIME)[None] < 4, training=True)
        loss = ops.sum(outputs)
    np.testing.assert_allclose(outputs[:, :4], layer(inputs[:, :4], training=True)[0], atol=1e-6)
    assert not tape.gradient(loss, inputs).numpy()[:, 4:].any()


def test_weights_that_are_not_trained_may_be_trained_through(random):
    layer = layer_of(ProjectedLSTMCell(UNITS, CELLS, 3.0, 3.0), False)
    layer.trainable = False
    inputs = tf.constant(random.normal(size=(1, TIME, INPUT)).astype("f4"))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs, _ = layer(inputs, training=True)
    assert tape.gradient(outputs, inputs).numpy().any()
    np.testing.assert_allclose(outputs, layer(inputs)[0], atol=1e-6)
