from itertools import islice

import keras
import numpy as np
import pytest
from keras import ops

from embeddings import Elmo, ElmoEncoder, load_bilm, load_elmo
from embeddings.errors import InputError
from embeddings.published import write_published
from embeddings.source import find_source

SENTENCES = [["the", "cat"], ["One"], [], ["a", "b", "c", "d"]]


@pytest.fixture
def encoder(tiny_bilm_folder):
    return load_elmo(tiny_bilm_folder)


@pytest.fixture(scope="module")
def module(shared):
    return shared / "fixtures/hub_elmo/module"


def test_the_layer_is_the_mix_of_what_the_biLM_gives_for_the_words_alone(encoder, tiny_bilm_folder):
    encoder.elmo.w.assign([0.3, -1.0, 2.0])
    encoder.elmo.gamma.assign(1.5)
    mixed = ops.convert_to_numpy(encoder(encoder.ids(SENTENCES)))
    assert mixed.shape == (4, 4, 8)
    s = np.exp([0.3, -1.0, 2.0]) / np.exp([0.3, -1.0, 2.0]).sum()
    bilm = load_bilm(tiny_bilm_folder)
    for k, sentence in enumerate(SENTENCES):
        layers = ops.convert_to_numpy(bilm(bilm.spelling.ids(["<S>", *sentence, "</S>"])[None].astype("int32")))[0]
        expected = 1.5 * np.einsum("l,ltd->td", s, layers[:, 1:-1])
        np.testing.assert_allclose(mixed[k, : len(sentence)], expected, atol=1e-6)
        assert not mixed[k, len(sentence) :].any()


def test_layers_above_get_the_mask_of_the_words(encoder):
    ids = encoder.ids(SENTENCES, time=5)
    mixed = encoder(ids)
    np.testing.assert_array_equal(ops.convert_to_numpy(encoder.compute_mask(ids)).sum(axis=1), [2, 1, 0, 4])
    pooled = keras.layers.GlobalAveragePooling1D()(mixed)
    np.testing.assert_allclose(pooled[3], ops.mean(mixed[3, :4], axis=0), atol=1e-6)


def test_ids_are_padded_to_the_longest_sentence_or_cut_to_the_time_asked_for(encoder):
    assert encoder.ids(SENTENCES).shape == (4, 6, 50)
    assert encoder.ids([]).shape == (0, 2, 50)
    cut = encoder.ids(SENTENCES, time=2)
    np.testing.assert_array_equal(cut[3], encoder.ids([["a", "b"]])[0])
    with pytest.raises(InputError, match="split it into words first"):
        encoder.ids(["a text"])


def test_a_source_brings_its_mix(tiny_bilm_folder, tmp_path):
    stored = find_source(tiny_bilm_folder)
    mix = {"aggregation/weights": np.float32([0.5, -0.25, 2.0]), "aggregation/scaling": np.float32(1.75)}
    write_published(tmp_path, stored.options, stored.arrays() | mix)
    elmo = load_elmo(tmp_path).elmo
    np.testing.assert_array_equal(elmo.w, mix["aggregation/weights"])
    assert float(elmo.gamma) == 1.75
    assert not np.any(load_elmo(tiny_bilm_folder).elmo.w)


def test_the_module_gives_its_published_outputs(module, shared):
    expected = np.load(shared / "fixtures/hub_elmo/expected.npz")
    encoder = load_elmo(module)
    lines = (shared / "fixtures/sentences.txt").read_text("utf-8").splitlines()
    got = encoder.outputs(encoder.ids(line.split(" ") for line in lines))
    assert set(got) == set(expected) - {"sequence_len"}
    for name, value in got.items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5, err_msg=name)


def test_saving_and_loading_changes_nothing(encoder, tmp_path):
    model = keras.Sequential([keras.Input((None, 50), dtype="int32"), encoder, keras.layers.GlobalAveragePooling1D()])
    ids = encoder.ids(SENTENCES)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(ids), model(ids))
    copied = ElmoEncoder.from_config(encoder.get_config())
    copied.set_weights(encoder.get_weights())
    np.testing.assert_array_equal(copied(ids), encoder(ids))


def test_what_is_frozen_is_not_trained(encoder):
    assert len(encoder.trainable_weights) == len(encoder.weights)
    encoder.bilm.trainable = False
    assert [weight.name for weight in encoder.trainable_weights] == ["w", "gamma"]
    encoder.trainable = False
    assert not encoder.trainable_weights


def test_dropout_and_normalisation_are_those_of_the_mix(tiny_bilm_folder):
    encoder = ElmoEncoder.load(tiny_bilm_folder, layer_norm=True, dropout=0.5)
    ids = encoder.ids(SENTENCES)
    plain = ops.convert_to_numpy(encoder(ids, training=False))
    dropped = ops.convert_to_numpy(encoder(ids, training=True))
    assert (dropped[0, :2] == 0).any() and not np.allclose(plain, dropped)
    normalised = Elmo(layer_norm=True)(encoder.bilm(encoder.ids([["the", "cat"]]))[:, :, 1:-1])
    np.testing.assert_allclose(plain[0, :2], normalised[0], atol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a GradientTape is TensorFlow's")
def test_a_gradient_reaches_every_weight(module):
    import tensorflow as tf

    encoder = load_elmo(module)
    ids = encoder.ids([["The", "cat", "sat"], ["Привет", ",", "мир"]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(encoder(ids) ** 2)
    weights = encoder.trainable_weights
    assert len(weights) == 39
    for weight, gradient in zip(weights, tape.gradient(loss, [weight.value for weight in weights]), strict=True):
        assert gradient is not None and np.any(tf.convert_to_tensor(gradient)), weight.path


def subjectivity(shared, count):
    """Sentences and labels of the data set subj, as many of each label."""
    texts, labels = [], []
    for label, name in enumerate(("plot.tok.gt9.5000", "quote.tok.gt9.5000")):
        with (shared / "data/subj" / name).open(encoding="latin-1") as file:
            lines = [line.split() for line in islice(file, count // 2)]
        texts += lines
        labels += [label] * len(lines)
    return texts, np.array(labels)


def test_an_epoch_of_fine_tuning_lowers_the_loss(module, shared):
    texts, labels = subjectivity(shared, 200)
    keras.utils.set_random_seed(1)
    encoder = load_elmo(module)
    model = keras.Sequential([encoder, keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss)
    ids, before_training = encoder.ids(texts, time=12), encoder.bilm.get_weights()
    before = model.evaluate(ids, labels, batch_size=20, verbose=0)
    model.fit(ids, labels, epochs=1, batch_size=20, verbose=0)
    after = model.evaluate(ids, labels, batch_size=20, verbose=0)
    assert after < before
    assert all(np.any(new != old) for new, old in zip(encoder.bilm.get_weights(), before_training, strict=True))


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="this is the backend already")
def test_the_layer_is_the_same_on_jax(encoder, tiny_bilm_folder, on_jax, tmp_path):
    code = f"""
import numpy as np
from embeddings import load_elmo
encoder = load_elmo({str(tiny_bilm_folder)!r})
np.savez("jax.npz", **encoder.outputs(encoder.ids({SENTENCES!r})))
"""
    on_jax(code, tmp_path)
    found = np.load(tmp_path / "jax.npz")
    for name, value in encoder.outputs(encoder.ids(SENTENCES)).items():
        np.testing.assert_allclose(found[name], value, atol=1e-5, err_msg=name)
