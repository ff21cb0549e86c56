import dataclasses
import json
import shutil

import h5py
import numpy as np
import pytest

from embeddings import load_bilm
from embeddings.bilm import BiLM
from embeddings.errors import SourceError
from embeddings.published import write_published
from embeddings.source import copy_bilm, find_source, random_bilm
from embeddings.spelling import spelling_of
from embeddings.weights import arrays_of, weight_shapes


@pytest.fixture
def folder(tiny_bilm_folder, tmp_path):
    return shutil.copytree(tiny_bilm_folder, tmp_path / "bilm")


def arrays(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def test_a_published_file_survives_reading_and_writing_bit_by_bit(shared, tmp_path):
    copy_bilm(shared / "fixtures/bilm", tmp_path)
    original, written = arrays(shared / "fixtures/bilm/lm_weights.hdf5"), arrays(tmp_path / "weights.hdf5")
    assert original.keys() == written.keys()
    for key in original:
        np.testing.assert_array_equal(written[key], original[key], err_msg=key)


def test_a_folder_and_the_pair_of_its_files_give_the_same(folder):
    pair = load_bilm((folder / "options.json", folder / "weights.hdf5"))
    for one, other in zip(pair.get_weights(), load_bilm(str(folder)).get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_softmax_and_mix_travel_with_the_weights(folder, random, tmp_path):
    stored = find_source(folder)
    assert stored.arrays().keys() == dict(weight_shapes(stored.options)).keys()
    shapes = {"softmax/W": (7, 4), "softmax/b": 7, "aggregation/weights": 3, "aggregation/scaling": ()}
    extras = {key: np.float32(random.normal(size=shape)) for key, shape in shapes.items()}
    write_published(folder, stored.options, stored.arrays() | extras, list("abcdefg"))
    got = find_source(folder)
    assert got.vocabulary == tuple("abcdefg")
    for key, value in extras.items():
        np.testing.assert_array_equal(got.arrays()[key], value)


def test_the_only_layer_may_have_the_name_that_training_gave_it(folder, tiny_options):
    options = dataclasses.replace(tiny_options, layers=1)
    bilm = BiLM(options)
    write_published(folder, options, arrays_of(bilm))
    with h5py.File(folder / "weights.hdf5", "a") as file:
        for direction in ("RNN_0", "RNN_1"):
            file.move(f"{direction}/RNN/MultiRNNCell/Cell0/LSTMCell", f"{direction}/RNN/LSTMCell")
    for one, other in zip(load_bilm(folder).get_weights(), bilm.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_random_biLM_has_the_sizes_of_its_source_and_its_seed_decides(folder):
    first, again, other = (random_bilm(folder, seed).get_weights() for seed in (1, 1, 2))
    assert [w.shape for w in first] == [w.shape for w in load_bilm(folder).get_weights()]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_checksum_changes_with_the_weights(folder):
    before = find_source(folder).checksum()
    with h5py.File(folder / "weights.hdf5", "a") as file:
        file["char_embed"][0, 0] += 1
    assert find_source(folder).checksum() != before


def test_the_checksum_covers_what_gives_words_their_numbers(folder, tiny_options):
    words = ["<S>", "</S>", "<UNK>", "cat", "dog"]
    options = dataclasses.replace(tiny_options, inputs="words", words=5, word_dim=4, filters=())
    write_published(folder, options, arrays_of(BiLM(options, spelling_of(options, words))), words)
    before = find_source(folder).checksum()
    (folder / "vocabulary.txt").write_text("<S>\n</S>\n<UNK>\ndog\ncat\n")
    assert find_source(folder).checksum() != before
    (folder / "vocab.txt").write_text("<S>\n</S>\n<UNK>\ndog\ncat\n")
    with pytest.raises(SourceError, match=r"expected one vocabulary, found vocab.txt, vocabulary.txt"):
        find_source(folder).checksum()


def damage_key(folder):
    with h5py.File(folder / "weights.hdf5", "a") as file:
        del file["CNN_proj/W_proj"]


def damage_shape(folder):
    with h5py.File(folder / "weights.hdf5", "a") as file:
        del file["CNN_proj/b_proj"]
        file["CNN_proj/b_proj"] = np.zeros(3)


def change_options(folder, change):
    options = json.loads((folder / "options.json").read_text())
    change(options)
    (folder / "options.json").write_text(json.dumps(options))


DAMAGE = {
    "no such folder": (shutil.rmtree, "does not exist"),
    "no options": (lambda folder: (folder / "options.json").unlink(), "no biLM"),
    "no weights": (lambda folder: (folder / "weights.hdf5").unlink(), "found none"),
    "two weights": (
        lambda folder: shutil.copy(folder / "weights.hdf5", folder / "more.hdf5"),
        "found more.hdf5, weights.hdf5",
    ),
    "missing key": (damage_key, "key 'CNN_proj/W_proj' is missing"),
    "wrong shape": (damage_shape, r"'CNN_proj/b_proj' has shape \[3\]; the options ask for \[4\]"),
    "no HDF5": (lambda folder: (folder / "weights.hdf5").write_text("no"), "weights.hdf5: cannot be read"),
    "no JSON": (lambda folder: (folder / "options.json").write_text("{"), "options.json: not JSON"),
    "no LSTM": (lambda folder: change_options(folder, lambda o: o.pop("lstm")), "no key 'lstm'"),
    "words only": (
        lambda folder: change_options(folder, lambda o: o.pop("char_cnn")),
        "key 'n_tokens_vocab' is missing",
    ),
    "activation": (
        lambda folder: change_options(folder, lambda o: o["char_cnn"].update(activation="elu")),
        "activation 'elu'",
    ),
    "a list": (lambda folder: (folder / "options.json").write_text("[]"), "expected the options of a biLM"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_source_is_refused_with_the_file_and_the_key(folder, damage, message):
    damage(folder)
    with pytest.raises(SourceError, match=message):
        load_bilm(folder)
