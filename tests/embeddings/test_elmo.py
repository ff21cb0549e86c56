import keras
import numpy as np

from embeddings import Elmo


def test_a_fresh_mix_is_the_mean_of_the_layers(random):
    layers = random.normal(size=(2, 3, 5, 4)).astype("f4")
    np.testing.assert_allclose(Elmo()(layers), layers.mean(axis=1), atol=1e-6)


def test_the_mix_is_gamma_times_the_softmax_weighted_sum(random):
    layers, elmo = random.normal(size=(2, 3, 5, 4)).astype("f4"), Elmo()
    elmo.build(layers.shape)
    w = np.array([0.3, -1.0, 2.0], "f4")
    elmo.set_weights([w, np.array(1.7, "f4")])
    s = np.exp(w) / np.exp(w).sum()
    expected = 1.7 * (s[0] * layers[:, 0] + s[1] * layers[:, 1] + s[2] * layers[:, 2])
    np.testing.assert_allclose(elmo(layers), expected, atol=1e-5)
    np.testing.assert_allclose(elmo.layer_weights(), s, atol=1e-6)


def test_layer_norm_sees_only_the_words_of_the_mask(random):
    layers = random.normal(2.0, 3.0, size=(2, 3, 5, 4)).astype("f4")
    mask = np.arange(5) < np.array([[5], [2]])
    got = keras.ops.convert_to_numpy(Elmo(layer_norm=True)(layers, mask=mask))
    for text, words, row in zip(layers, (5, 2), got, strict=True):
        expected = np.mean([(x - x.mean()) / x.std() for x in text[:, :words]], axis=0)
        np.testing.assert_allclose(row[:words], expected, atol=1e-4)


def test_dropout_is_for_training_only():
    layers, elmo = np.ones((1, 2, 50, 8), "f4"), Elmo(dropout=0.5)
    assert np.all(elmo(layers) == 1)
    assert np.any(elmo(layers, training=True) == 0)
