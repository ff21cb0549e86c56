import tarfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from embeddings.archive import open_tree
from embeddings.elmo_encoder import load_elmo
from embeddings.errors import InputError, SourceError
from embeddings.saved_model import export_saved_model
from embeddings.text_embedding import is_text_embedding, load_text_embedder

TEXTS = [["the", "cat"], [], ["Привет", ",", "мир"], ["the"]]


class Hashing(tf.Module):
    """The mean of a vector for each word, as NNLM of TF-Hub."""

    def __init__(self, dim=5):
        super().__init__()
        self.vectors = tf.Variable(np.random.default_rng(3).normal(size=(17, dim)).astype("f"))

    def mean(self, texts):
        words = tf.strings.split(texts)
        vectors = tf.ragged.map_flat_values(
            lambda flat: tf.gather(self.vectors, tf.strings.to_hash_bucket_fast(flat, 17)), words
        )
        lengths = tf.cast(words.row_lengths(), tf.float32)[:, None]
        return tf.math.divide_no_nan(tf.reduce_sum(vectors, axis=1), lengths)


def callable_model(folder):
    model = Hashing()
    model.__call__ = tf.function(model.mean, input_signature=[tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(model, str(folder))
    return model.mean


def open_rank_model(folder):
    """As the Universal Sentence Encoder: any rank goes in, and nobody says what comes out."""
    model = Hashing()

    @tf.function(input_signature=[tf.TensorSpec(None, tf.string)])
    def call(texts):
        return tf.ensure_shape(model.mean(tf.reshape(texts, [-1])), [None, 5])

    model.__call__ = call
    tf.saved_model.save(model, str(folder))
    return model.mean


def signature_model(folder):
    model = Hashing()
    serve = tf.function(
        lambda texts: {"outputs": model.mean(texts)}, input_signature=[tf.TensorSpec([None], tf.string, "texts")]
    )
    model.serve = serve
    tf.saved_model.save(model, str(folder), signatures={"default": serve})
    return model.mean


def keras_model(folder):
    hashing = keras.layers.TextVectorization(vocabulary=["the", "cat", "мир"])
    texts = keras.Input((), dtype="string")
    vectors = keras.layers.Embedding(5, 4)(hashing(texts))
    model = keras.Model(texts, keras.layers.GlobalAveragePooling1D()(vectors))
    model.export(folder, verbose=False)
    return model


MODELS = [callable_model, open_rank_model, signature_model, keras_model]


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_a_text_embedding_gives_one_vector_for_a_text(make, tmp_path):
    expected = make(tmp_path / "model")(tf.constant([" ".join(words) for words in TEXTS]))
    assert is_text_embedding(open_tree(tmp_path / "model"))
    embedder = load_text_embedder(tmp_path / "model")
    got = list(embedder.embed(iter(TEXTS)))
    assert all(vector.shape == (1, 1, embedder.dim) and vector.dtype == np.float32 for vector in got)
    np.testing.assert_allclose(np.concatenate(got)[:, 0], expected, atol=1e-6)


def test_batches_change_nothing_and_are_read_as_they_are_needed(tmp_path):
    callable_model(tmp_path / "model")
    texts = [[word] for word in "abcdefg"]
    whole = list(load_text_embedder(tmp_path / "model").embed(texts))
    small = load_text_embedder(tmp_path / "model", batch_size=3)
    np.testing.assert_allclose(list(small.embed(texts)), whole, atol=1e-6)
    read = []
    vectors = small.embed(read.append(text) or text for text in texts)
    next(vectors)
    assert len(read) == 3
    assert not list(small.embed([]))
    with pytest.raises(InputError, match="split it into words first"):
        list(small.embed(["a text"]))


def test_an_archive_is_read_as_its_folder(tmp_path):
    expected = callable_model(tmp_path / "model")(tf.constant(["the cat"]))
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "model", "use")
    embedder = load_text_embedder(tmp_path / "model.tar.gz")
    np.testing.assert_allclose(next(embedder.embed([["the", "cat"]]))[0], expected, atol=1e-6)


def test_an_exported_elmo_is_a_text_embedding_too(tiny_bilm_folder, tmp_path):
    elmo = load_elmo(tiny_bilm_folder)
    export_saved_model(tmp_path / "elmo", elmo)
    embedder = load_text_embedder(tmp_path / "elmo")
    expected = elmo.outputs(elmo.ids([["the", "cat"]]))["default"]
    np.testing.assert_allclose(next(embedder.embed([["the", "cat"]]))[0], expected, atol=1e-5)


def numbers(folder):
    model = tf.Module()
    model.__call__ = tf.function(lambda x: 2 * x, input_signature=[tf.TensorSpec([None, 3], tf.float32)])
    tf.saved_model.save(model, str(folder))


def preprocessor(folder):
    model = tf.Module()
    model.__call__ = tf.function(
        lambda x: {"ids": tf.strings.length(x), "mask": tf.strings.length(x)},
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    tf.saved_model.save(model, str(folder))


def a_vector_a_word(folder):
    model = Hashing()
    serve = tf.function(
        lambda texts: {"outputs": model.mean(texts)[:, None]}, input_signature=[tf.TensorSpec([None], tf.string, "s")]
    )
    tf.saved_model.save(model, str(folder), signatures=serve)


def nothing(folder):
    tf.saved_model.save(tf.train.Checkpoint(v=tf.Variable(1.0)), str(folder))


def broken(folder):
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"\xff" * 20)


def no_model(folder):
    folder.mkdir()


OTHERS = {
    numbers: r"saved_model.pb: no text embedding; .* found __call__ takes float32 \[\?, 3\] and gives float32 \[\?",
    preprocessor: r"takes string \[\?\] and gives int32 \[\?\], int32 \[\?\]",
    a_vector_a_word: r"signature 'serving_default' takes string \[\?\] and gives float32 \[\?, 1, 5\]",
    nothing: "found nothing to call",
    broken: "saved_model.pb: not a SavedModel",
    no_model: "0 files saved_model.pb; expected one SavedModel",
}


@pytest.mark.parametrize(("make", "message"), OTHERS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_another_model_is_refused_with_what_was_found(make, message, tmp_path):
    make(tmp_path / "model")
    assert not is_text_embedding(open_tree(tmp_path / "model"))
    with pytest.raises(SourceError, match=message):
        load_text_embedder(tmp_path / "model")


def test_a_module_of_tensorflow_1_is_refused(shared):
    module = shared / "fixtures/hub_elmo/module"
    assert not is_text_embedding(open_tree(module))
    with pytest.raises(SourceError, match=r"SavedModel of TensorFlow 1; expected one of TensorFlow 2"):
        load_text_embedder(module)


def test_variables_that_are_missing_are_an_error_of_the_source(tmp_path):
    callable_model(tmp_path / "model")
    for path in (tmp_path / "model/variables").iterdir():
        path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(SourceError, match=r"saved_model.pb: cannot be loaded"):
        load_text_embedder(tmp_path / "model")
