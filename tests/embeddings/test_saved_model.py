import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from embeddings import BiLMOptions, Elmo, ElmoEncoder, load_elmo
from embeddings.bilm import BiLM
from embeddings.errors import OutputError, SourceError
from embeddings.graph_spelling import graph_spelling
from embeddings.saved_model import export_saved_model
from embeddings.source import copy_bilm, find_source
from embeddings.spelling import Bytes, Dictionaries, Words, spelling_of

pytestmark = pytest.mark.slow

WORDS = ["<S>", "</S>", "<UNK>", "the", "cat", "Ш", "x" * 48]
CHARACTERS = ["<bos>", "<eos>", "<oov>", "<pad>", "<bow>", "<eow>", "t", "h", "e", "é", "", "c"]
INPUTS = {
    "characters": {},
    "words": {"inputs": "words", "words": len(WORDS), "word_dim": 4, "filters": ()},
    "dictionaries": {"inputs": "dictionaries", "words": len(WORDS), "word_dim": 5, "characters": len(CHARACTERS)},
    "characters of a dictionary": {"inputs": "dictionaries", "characters": len(CHARACTERS)},
}
TEXTS = ["the cat", "", "Ш x the", "thé ccc " + "x" * 60]


@pytest.fixture
def encoder(request):
    """A small ELMo of random numbers."""
    keras.utils.set_random_seed(4)
    kind = getattr(request, "param", "characters")
    options = BiLMOptions(**{"projection": 4, "cells": 6, "filters": ((1, 3), (2, 4))} | INPUTS[kind])
    words = [] if not options.words else WORDS if kind == "words" else ["<oov>", *WORDS[1:]]
    spelling = spelling_of(options, words, CHARACTERS)
    encoder = ElmoEncoder(BiLM(options, spelling))
    encoder.elmo.w.assign([0.5, -1.0, 0.25])
    encoder.elmo.gamma.assign(1.5)
    return encoder


@pytest.fixture(scope="module")
def exported(shared, tmp_path_factory):
    """The fixture's module as Telmo exports it."""
    folder = tmp_path_factory.mktemp("exported") / "elmo"
    export_saved_model(folder, shared / "fixtures/hub_elmo/module")
    return folder


@pytest.fixture(scope="module")
def loaded(exported):
    return tf.saved_model.load(str(exported))


def run_without_telmo(code, folder):
    """Run Python in a folder where Telmo cannot be imported, be they installed or not."""
    environment = {"PATH": "", "HOME": str(folder), "TF_CPP_MIN_LOG_LEVEL": "3"}
    missing = "import sys\nsys.modules |= dict.fromkeys(['embeddings', 'models', 'serve', 'pipeline'])\n"
    subprocess.run([sys.executable, "-c", missing + code], cwd=folder, env=environment, capture_output=True, check=True)


def test_a_process_without_telmo_gets_the_published_outputs(exported, shared, tmp_path):
    run_without_telmo(
        f"""
import numpy as np, tensorflow as tf, tensorflow_hub as hub
lines = open({str(shared / "fixtures/sentences.txt")!r}, encoding="utf-8").read().splitlines()
words = tf.ragged.constant([line.split(" ") for line in lines])
tokens, lengths = words.to_tensor(""), tf.cast(words.row_lengths(), tf.int32)
for name, load in {{"hub": hub.load, "tf": tf.saved_model.load}}.items():
    model = load({str(exported)!r})
    np.savez(f"{{name}}-default.npz", **model.signatures["default"](strings=tf.constant(lines)))
    np.savez(f"{{name}}-tokens.npz", **model.signatures["tokens"](tokens=tokens, sequence_len=lengths))
    np.savez(f"{{name}}-called.npz", default=model(lines))
""",
        tmp_path,
    )
    expected = np.load(shared / "fixtures/hub_elmo/expected.npz")
    files = sorted(tmp_path.glob("*.npz"))
    assert len(files) == 6
    for file in files:
        got = np.load(file)
        assert set(got) == ({"default"} if "called" in file.name else set(expected) - {"sequence_len"})
        for name in got:
            assert got[name].dtype == np.float32
            np.testing.assert_allclose(got[name], expected[name], atol=1e-5, err_msg=f"{file.name} {name}")


def test_what_is_loaded_can_be_trained(exported):
    loaded = tf.saved_model.load(str(exported))
    texts, losses = tf.constant(["The cat sat", "Привет , мир !"]), []
    for _ in range(3):
        with tf.GradientTape() as tape:
            losses.append(tf.reduce_mean((loaded(texts) - 1) ** 2))
        gradients = tape.gradient(losses[-1], loaded.trainable_variables)
        assert len(gradients) == 39
        for variable, gradient in zip(loaded.trainable_variables, gradients, strict=True):
            assert gradient is not None and np.any(tf.convert_to_tensor(gradient)), variable.name
            variable.assign_sub(0.05 * tf.convert_to_tensor(gradient))
    assert losses[2] < losses[1] < losses[0]


@pytest.mark.parametrize("encoder", INPUTS, indirect=True)
def test_every_kind_of_biLM_gives_what_the_layer_gives_and_is_read_back_bit_by_bit(encoder, tmp_path):
    folder = tmp_path / "model"
    export_saved_model(folder, encoder)
    got = tf.saved_model.load(str(folder)).signatures["default"](strings=tf.constant(TEXTS))
    for name, value in encoder.outputs(encoder.ids(text.split() for text in TEXTS)).items():
        np.testing.assert_allclose(got[name], value, atol=1e-5, err_msg=name)
    again = load_elmo(folder)
    assert again.bilm.options == encoder.bilm.options
    assert again.bilm.get_config() | {"name": ""} == encoder.bilm.get_config() | {"name": ""}
    for new, old in zip(again.get_weights(), encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_the_mix_keeps_its_normalisation(encoder, tmp_path):
    normalising = ElmoEncoder(encoder.bilm, Elmo(layer_norm=True))
    export_saved_model(tmp_path / "model", normalising)
    assert load_elmo(tmp_path / "model").elmo.layer_norm
    got = tf.saved_model.load(str(tmp_path / "model"))(tf.constant(["the cat"]))
    np.testing.assert_allclose(got, normalising.outputs(normalising.ids([["the", "cat"]]))["default"], atol=1e-5)


def test_numbers_survive_the_way_through_every_form(shared, tmp_path):
    first = find_source(shared / "fixtures/hub_elmo/module").arrays()
    export_saved_model(tmp_path / "exported", load_elmo(shared / "fixtures/hub_elmo/module"))
    (tmp_path / "published").mkdir()
    copy_bilm(tmp_path / "exported", tmp_path / "published")
    export_saved_model(tmp_path / "again", load_elmo(tmp_path / "published"))
    last = find_source(tmp_path / "again").arrays()
    assert first.keys() == last.keys()
    for key in first:
        np.testing.assert_array_equal(last[key], first[key], err_msg=key)


SPELLINGS = {
    "bytes": Bytes(50, 3),
    "short bytes": Bytes(6, 3),
    "words": Words(WORDS),
    "dictionaries": Dictionaries(CHARACTERS, ["<oov>", "the", "", "thé", "ccc", "<bos>"], 7, 2),
    "characters": Dictionaries(CHARACTERS, [], 50, 2),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_a_graph_spells_as_python_does(spelling):
    words = ["", "the", "thé", "thé" * 40, "Привет", "日本語" * 17, "a b", "a\0b", "ccc", "cccccccc", "🙂🙂"]
    words += ["x" * 47, "x" * 48, "x" * 49, "x" * 200, "x" * 47 + "é"]
    if not isinstance(spelling, Bytes):
        words += ["<S>", "</S>", "<UNK>", "<bos>", "<eos>", "<oov>", "<pad>"]
    graph = graph_spelling(spelling)
    np.testing.assert_array_equal(graph.ids(tf.constant(words)), spelling.ids(words))
    np.testing.assert_array_equal(graph.frame, spelling.ids(["<S>", "</S>"]))
    trimmed = graph.trim(graph.ids(tf.constant(["the", "ccc"]))[None])
    np.testing.assert_array_equal(trimmed[0], spelling.trim(spelling.ids(["the", "ccc"])))


def test_words_are_taken_as_the_module_takes_them(exported, loaded):
    """What the module of TensorFlow 1 does was asked of it: only spaces part words, `<S>` is three characters, a byte
    that is no UTF-8 counts, and a word is cut after 48 bytes."""

    def same(one, other):
        got = loaded(tf.constant([one, other]))
        return np.allclose(got[0], got[1], atol=1e-6)

    assert same(" One  two ", "One two")
    assert not same("One\ttwo", "One two")
    assert same("x" * 48, "x" * 200) and not same("x" * 47, "x" * 48)
    assert not same(b"\xff", b"\xfe")
    spelled = np.full((1, 3, 50), 261, np.int32)
    begin, end = Bytes(50, 1).ids(["<S>", "</S>"])
    spelled[0, 0], spelled[0, 2], spelled[0, 1, :5] = begin, end, [259, *(byte + 1 for byte in b"<S>"), 260]
    np.testing.assert_allclose(loaded(tf.constant(["<S>"])), load_elmo(exported).outputs(spelled)["default"], atol=1e-5)


def test_tokens_beyond_their_number_are_padding(loaded):
    tokens = loaded.signatures["tokens"]

    def ask(words, numbers):
        return {name: value.numpy() for name, value in tokens(tokens=tf.constant(words), sequence_len=numbers).items()}

    got = ask([["One", "two", "three"], ["a b", "", "x"]], tf.constant([2, 0]))
    alone = ask([["One", "two"]], tf.constant([2]))
    for name in got:
        if name != "default":
            np.testing.assert_allclose(got[name][:1, :2], alone[name], atol=1e-6)
    np.testing.assert_allclose(got["default"][:1], alone["default"], atol=1e-6)
    assert not got["elmo"][0, 2:].any() and not got["elmo"][1].any() and not got["default"][1].any()
    np.testing.assert_allclose(got["word_emb"][1], np.tile(got["word_emb"][0, 2], (3, 1)), atol=1e-6)
    # More than there are count as all, and a number for each row is needed.
    np.testing.assert_allclose(
        ask([["One", "two"]], tf.constant([9]))["elmo"], ask([["One", "two"]], tf.constant([2]))["elmo"]
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="a sequence_len for each row"):
        ask([["One"], ["two"]], tf.constant([1]))


def test_texts_without_words_have_vectors_of_zeros(loaded):
    assert not np.any(loaded(tf.constant(["", "   "])))
    assert loaded.signatures["default"](strings=tf.constant([""]))["elmo"].shape == (1, 0, 32)


def test_an_earlier_export_is_replaced_and_another_folder_is_not(encoder, tmp_path):
    for _ in range(2):
        export_saved_model(tmp_path / "model", encoder)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    tf.saved_model.save(tf.train.Checkpoint(v=tf.Variable(1.0)), str(tmp_path / "other"))
    with pytest.raises(OutputError, match="holds something else"):
        export_saved_model(tmp_path / "other", encoder)


def test_a_damaged_export_is_refused_with_the_file(encoder, tmp_path):
    folder = tmp_path / "model"
    export_saved_model(folder, encoder)
    description = folder / "assets.extra/telmo.json"
    whole = description.read_text()
    for text, message in {
        whole[:50]: "telmo.json: not JSON",
        "[]": "telmo.json: holds a list",
        whole.replace('"options"', '"sizes"'): "telmo.json: no key 'lstm'",
        whole.replace('"words": []', '"words": [1]'): "telmo.json: key 'words' holds no list of words",
        whole.replace('"dim": 6', '"dim": 6000000'): "the options ask for|more than can be read",
        whole.replace('"dim": 6', '"dim": 7'): r"variables.index: key .* has shape|the options ask for",
    }.items():
        description.write_text(text)
        with pytest.raises(SourceError, match=message):
            load_elmo(folder)


def test_only_tensorflow_writes_it(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(OutputError, match="set KERAS_BACKEND=tensorflow"):
        export_saved_model(tmp_path / "model", encoder)
