import keras
import numpy as np
import pytest
import tensorflow as tf

from models import lstm
from models.lstm import LSTM, Bidirectional


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("time", [1, 6])
def test_states_and_gradients_are_those_of_keras(random, bidirectional, time):
    layer = keras.layers.LSTM(4, return_sequences=True, bias_initializer="random_normal")
    theirs = keras.layers.Bidirectional(layer) if bidirectional else layer
    ours = LSTM(4, return_sequences=True)
    ours = Bidirectional(ours) if bidirectional else ours
    for one in (theirs, ours):
        one.build((None, None, 3))
    ours.set_weights(theirs.get_weights())
    x = tf.constant(random.normal(size=(5, time, 3)).astype("f4"))
    mask = tf.constant(np.arange(time) < np.array([[time], [1], [min(3, time)], [time], [1]]))
    factor = random.normal(size=(5, time, 8 if bidirectional else 4)).astype("f4") * mask[..., None].numpy()

    def gradients(layer):
        with tf.GradientTape() as tape:
            tape.watch(x)
            states = layer(x, mask=mask) * factor
        return states, tape.gradient(states, [x, *(w.value for w in layer.trainable_variables)])

    (states, found), (expected_states, expected) = gradients(ours), gradients(theirs)
    np.testing.assert_allclose(states, expected_states, atol=1e-6)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert not np.array(ours(x, mask=mask))[~mask.numpy()].any()


def test_weights_of_keras_are_read_and_its_loop_is_there_for_other_machines(random, tmp_path, monkeypatch):
    theirs = keras.Sequential([keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True))])
    ours = keras.Sequential([Bidirectional(LSTM(4, return_sequences=True))])
    x = random.normal(size=(2, 5, 3)).astype("f4")
    expected = theirs(x)
    theirs.save_weights(tmp_path / "x.weights.h5")
    ours(x)
    ours.load_weights(tmp_path / "x.weights.h5")
    np.testing.assert_allclose(ours(x), expected, atol=1e-6)
    monkeypatch.setattr(lstm, "_on_processor", lambda: False)
    np.testing.assert_allclose(ours(x), expected, atol=1e-6)
