import json

import h5py
import numpy as np
import pytest

from embeddings.errors import OutputError
from embeddings.store import Store
from embeddings.store_hdf5 import write_hdf5

SENTENCES = [["a", "b"], [], ["Ünï"], ["a", "b"]]


@pytest.fixture
def vectors(random):
    return [random.normal(size=(3, len(sentence), 4)).astype("f4") for sentence in SENTENCES]


def test_hdf5_has_the_layout_of_allennlp(vectors, tmp_path):
    path = tmp_path / "deep" / "vectors.hdf5"
    assert write_hdf5(path, SENTENCES, iter(vectors)) == 4
    with h5py.File(path) as file:
        assert sorted(file) == ["0", "1", "2", "3", "sentence_to_index"]
        for k, expected in enumerate(vectors):
            np.testing.assert_array_equal(file[str(k)], expected)
        assert json.loads(file["sentence_to_index"][0]) == {"a b": "3", "": "1", "Ünï": "2"}


def test_a_writing_that_fails_leaves_nothing_and_what_was_there(vectors, tmp_path):
    path = tmp_path / "vectors.hdf5"
    path.write_text("before")

    def failing():
        yield vectors[0]
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        write_hdf5(path, SENTENCES, failing())
    assert path.read_text() == "before"
    with pytest.raises(ValueError, match="no more"):
        Store.write(tmp_path / "store", failing())
    assert [item.name for item in tmp_path.iterdir()] == ["vectors.hdf5"]


def test_a_store_gives_back_each_sentence(vectors, tmp_path):
    store = Store.write(tmp_path / "store", iter(vectors))
    assert (len(store), store.layers, store.dim) == (4, 3, 4)
    for got, expected in zip(Store(tmp_path / "store"), vectors, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_store_replaces_the_one_before(vectors, tmp_path):
    Store.write(tmp_path / "store", vectors)
    Store.write(tmp_path / "store", vectors[:1])
    assert len(Store(tmp_path / "store")) == 1


def test_a_folder_that_is_something_else_is_left_alone(vectors, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match=r"holds something else \(no store\.json in it\)"):
        Store.write(tmp_path, vectors)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_an_empty_store_can_be_read(tmp_path):
    assert len(Store.write(tmp_path / "store", [])) == 0


def test_a_place_that_cannot_be_written_is_named(vectors, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/vectors\.hdf5: cannot be written"):
        write_hdf5(tmp_path / "file" / "vectors.hdf5", SENTENCES, vectors)
