"""Every form of a store gives back what was written, to Telmo and to the libraries that people read it with."""

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas
import pytest
from pyarrow import parquet

from embeddings.errors import ConfigError, InputError, OutputError
from embeddings.store import JOURNAL, VECTORS, Store, StoreWriter
from embeddings.store_hdf5 import write_hdf5
from embeddings.stores import check_replaceable, open_vectors, store_format, write_vectors

SENTENCES = [["a", "b"], [], ["Ünï", "␣", '"'], ["a"], ["c", "d", "e"]]
NAMES = {"hdf5": "v.hdf5", "parquet": "v.parquet", "zarr": "v.zarr", "npy": "v"}


@pytest.fixture(params=["<f4", "<f2"])
def vectors(random, request):
    return [random.normal(size=(3, len(sentence), 4)).astype(request.param) for sentence in SENTENCES]


def written(folder, vectors, **about):
    folder.mkdir()
    writer = StoreWriter(folder)
    for sentence, layers in zip(SENTENCES, vectors, strict=False):
        writer.add(layers, sentence)
    writer.finish(about)
    return Store(folder)


@pytest.mark.parametrize("form", NAMES)
def test_every_form_gives_back_every_sentence(tmp_path, monkeypatch, vectors, form):
    monkeypatch.setattr("embeddings.store.GROUP", 100)
    path = tmp_path / NAMES[form]
    store = written(path if form == "npy" else tmp_path / "store", vectors)
    if form != "npy":
        write_vectors(path, store, form)
    assert store_format(path) == form
    found = open_vectors(path)
    assert (len(found), found.layers, found.dim) == (5, 3, 4)
    for k in (*range(5), -1):
        np.testing.assert_array_equal(found[k], vectors[k])
        assert found[k].dtype == vectors[k].dtype and found.words(k) == SENTENCES[k]
    for got, expected in zip(found.dataset(), vectors, strict=True):
        np.testing.assert_array_equal(got.numpy(), expected)
    with pytest.raises(IndexError):
        found[5]


def resident(path):
    """Bytes of a file that are mapped and in memory."""
    lines = Path("/proc/self/smaps").read_text().splitlines()
    maps = [k for k, line in enumerate(lines) if line.endswith(str(path))]
    return sum(1024 * int(next(line for line in lines[k:] if line.startswith("Rss:")).split()[1]) for k in maps)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells the memory of a map")
@pytest.mark.parametrize("form", ["hdf5", "parquet", "zarr"])
def test_a_store_that_is_written_does_not_come_into_memory(tmp_path, monkeypatch, form):
    monkeypatch.setattr("embeddings.store.GROUP", 2**20)
    monkeypatch.setattr("embeddings.store_zarr.CHUNK", 2**20)
    store = written(tmp_path / "store", [np.zeros((2, 512, 1024), "f4") for _ in SENTENCES])
    mapped = tmp_path / "store" / VECTORS
    assert mapped.stat().st_size > 2**24
    write_vectors(tmp_path / NAMES[form], store, form)
    assert resident(mapped) < 2**21
    # Whoever reads it again finds it.
    assert np.array_equal(store[4], np.zeros((2, 512, 1024))) and resident(mapped) > 0


def test_parquet_is_read_by_pandas(tmp_path, vectors):
    write_vectors(tmp_path / "v.parquet", written(tmp_path / "store", vectors), "parquet")
    table = pandas.read_parquet(tmp_path / "v.parquet")
    assert list(table) == ["sentence", "words", "layer_0", "layer_1", "layer_2"]
    assert table["sentence"].tolist() == [0, 1, 2, 3, 4]
    assert [list(words) for words in table["words"]] == SENTENCES
    np.testing.assert_array_equal(np.stack(table["layer_1"][4]), vectors[4][1])
    assert len(table["layer_2"][1]) == 0


def test_pooled_sentences_are_one_vector_in_parquet(tmp_path, random):
    vectors = [random.normal(size=(1, 1, 4)).astype("f4") for _ in SENTENCES]
    store = written(tmp_path / "store", vectors, pooled=True, names=["vectors"])
    write_vectors(tmp_path / "v.parquet", store, "parquet")
    table = parquet.read_table(tmp_path / "v.parquet")
    np.testing.assert_array_equal(np.stack(table["vectors"].to_numpy()), np.concatenate(vectors)[:, 0])
    found = open_vectors(tmp_path / "v.parquet")
    np.testing.assert_array_equal(found[3], vectors[3])
    assert json.loads(table.schema.metadata[b"telmo"]) == {"pooled": True, "names": ["vectors"]}


def test_numpy_reads_its_own_form(tmp_path, vectors):
    store = written(tmp_path / "v", vectors)
    mapped = np.load(tmp_path / "v/vectors.npy", mmap_mode="r")
    np.testing.assert_array_equal(mapped, np.concatenate(vectors, axis=1).transpose(1, 0, 2))
    np.testing.assert_array_equal(store.vectors, mapped)
    assert np.load(tmp_path / "v/places.npy")[:, 0].tolist() == [0, 2, 2, 5, 6, 9]


@pytest.mark.parametrize("form", NAMES)
def test_a_store_without_sentences_can_be_read(tmp_path, form):
    store = written(tmp_path / "v", [])
    if form != "npy":
        write_vectors(tmp_path / NAMES[form], store, form)
    assert len(open_vectors(tmp_path / NAMES[form])) == 0


def test_a_writer_goes_on_behind_what_was_committed(tmp_path, vectors):
    expected = written(tmp_path / "whole", vectors)
    folder = tmp_path / "part"
    folder.mkdir()
    for committed in (0, 0, 2, 3):
        # The second time what the first one wrote is there and was not committed.
        writer = StoreWriter(folder)
        assert writer.sentences == writer.progress.get("sentences", 0)
        for k in range(writer.sentences, len(SENTENCES)):
            writer.add(vectors[k], SENTENCES[k])
            if k + 1 == committed:
                writer.commit({"sentences": committed})
        writer.close()
    writer = StoreWriter(folder)
    for k in range(writer.sentences, len(SENTENCES)):
        writer.add(vectors[k], SENTENCES[k])
    writer.finish({})
    assert not (folder / JOURNAL).exists()
    for file in ("vectors.npy", "places.npy", "sentences.jsonl", "store.json"):
        assert (folder / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    np.testing.assert_array_equal(Store(folder).vectors, expected.vectors)


def test_hdf5_knows_the_words_of_sentences_that_occur_again(tmp_path, random):
    sentences = [["a"], ["b", "c"], ["a"], [], ["a"], []]
    write_hdf5(tmp_path / "v.hdf5", sentences, [random.normal(size=(2, len(words), 3)) for words in sentences])
    vectors = open_vectors(str(tmp_path / "v.hdf5"))
    assert [vectors.words(k) for k in range(6)] == sentences
    del vectors
    with h5py.File(tmp_path / "v.hdf5", "a") as file:
        assert json.loads(file["sentence_to_index"][0]) == {"a": "4", "b c": "1", "": "5"}
        # AllenNLP writes no such thing.
        del file["0"].attrs["again"]
    with pytest.raises(InputError, match=r"v\.hdf5: knows no words of sentence 0, only its vectors"):
        open_vectors(tmp_path / "v.hdf5").words(0)


def test_hdf5_of_allennlp_with_one_layer_is_read(tmp_path, random):
    with h5py.File(tmp_path / "one.hdf5", "w") as file:
        file["0"] = random.normal(size=(2, 4))
    assert open_vectors(tmp_path / "one.hdf5")[0].shape == (1, 2, 4)


@pytest.mark.parametrize("name", ["v.hdf5", "v.parquet", "v.zarr", "v"])
def test_what_is_no_store_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=f"{name}: no store of vectors"):
        open_vectors(tmp_path / name)
    (tmp_path / name).write_text("years of work")
    with pytest.raises(InputError, match=f"{name}: no store of vectors"):
        open_vectors(tmp_path / name)
    with pytest.raises(InputError, match=r"cannot tell the form of '\.txt'; expected \.hdf5, \.h5, \.parquet, \.zarr"):
        open_vectors(tmp_path / "v.txt")


def test_only_an_earlier_store_may_be_replaced(tmp_path, vectors):
    pandas.DataFrame({"text": ["mine"]}).to_parquet(tmp_path / "mine.parquet")
    with h5py.File(tmp_path / "mine.hdf5", "w") as file:
        file["0"] = [1.0]
        file["data/sentence_to_index"] = "not where it stands in a store"
    store = written(tmp_path / "store", vectors)
    for form in ("parquet", "hdf5"):
        mine, earlier = tmp_path / f"mine.{form}", tmp_path / f"v.{form}"
        before = mine.read_bytes()
        with pytest.raises(OutputError, match=rf"mine\.{form}: is not of `telmo embed`; expected an earlier store"):
            check_replaceable(mine, form)
        assert mine.read_bytes() == before
        write_vectors(earlier, store, form)
        check_replaceable(earlier, form)
        earlier.write_bytes(b"")
        check_replaceable(earlier, form)


def test_where_zarr_is_missing_that_is_told_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ConfigError, match=r"Zarr is not installed; .*pip install 'telmo\[zarr\]'"):
        check_replaceable(tmp_path / "v.zarr", "zarr")


def test_zarr_leaves_what_is_not_its_own(tmp_path, vectors):
    (tmp_path / "v.zarr").mkdir()
    (tmp_path / "v.zarr/thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="holds something else"):
        write_vectors(tmp_path / "v.zarr", written(tmp_path / "store", vectors), "zarr")
