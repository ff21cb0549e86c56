import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from embeddings.pooled_convolution import pooled_convolution


@pytest.mark.parametrize("width", [1, 3, 5])
def test_values_and_gradients_are_those_of_automatic_differentiation(random, width):
    layer = keras.layers.Conv1D(6, width)
    layer.build((None, None, 4))
    layer.bias.assign(random.normal(size=6))
    vectors = tf.constant(random.normal(size=(7, 5, 4)).astype("f4"))
    weights = tf.constant(random.normal(size=(7, 6)).astype("f4"))

    def results(function):
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            pooled = function()
            loss = ops.sum(weights * pooled)
        return [pooled, *tape.gradient(loss, [vectors, layer.kernel.value, layer.bias.value])]

    written = results(lambda: pooled_convolution(vectors, layer.kernel + 0.0, layer.bias + 0.0))
    automatic = results(lambda: ops.max(layer(vectors), axis=1))
    for one, other in zip(written, automatic, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_windows_beyond_a_word_are_not_seen(random):
    vectors, kernel, bias = (random.normal(size=shape).astype("f4") for shape in ((3, 6, 4), (2, 4, 5), (5,)))
    lengths = np.array([6, 2, 3])
    found = pooled_convolution(vectors, kernel, bias, lengths)
    for row, length, word in zip(np.array(found), lengths, vectors, strict=True):
        windows = [word[t : t + 2].reshape(-1) @ kernel.reshape(8, 5) for t in range(length - 1)]
        np.testing.assert_allclose(row, np.max(windows, axis=0) + bias, atol=1e-5)


def test_equal_windows_share_the_gradient():
    """As the windows of nothing but padding do, or those of a word such as "------"."""
    vectors, kernel = tf.ones((1, 4, 2)), tf.ones((2, 2, 1))
    with tf.GradientTape() as tape:
        tape.watch([vectors, kernel])
        pooled = pooled_convolution(vectors, kernel, tf.zeros(1))
    to_vectors, to_kernel = tape.gradient(pooled, [vectors, kernel])
    np.testing.assert_allclose(to_vectors[0, :, 0], np.array([1, 2, 2, 1]) / 3, rtol=1e-6)
    np.testing.assert_allclose(to_kernel, np.ones((2, 2, 1)))
