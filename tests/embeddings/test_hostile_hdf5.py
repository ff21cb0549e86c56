"""HDF5 files that lead elsewhere, claim what they do not hold, or hold something else than numbers."""

import json
import os
import shutil

import h5py
import numpy as np
import pytest

from embeddings.errors import SourceError
from embeddings.published import read_hdf5
from embeddings.source import find_source

KEY = "RNN_0/RNN/MultiRNNCell/Cell1/LSTMCell/W_0"
"""Of a tiny biLM: [8, 24]."""


@pytest.fixture
def folder(tiny_bilm_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(tiny_bilm_folder, tmp_path / "bilm")


def replace(change):
    """Puts something in the place of an array; called with the file, the key and the array."""

    def damage(folder):
        with h5py.File(folder / "weights.hdf5", "a") as file:
            array = file[KEY][()]
            del file[KEY]
            change(file, array)

    return damage


def external_link(path, place=KEY):
    return lambda file, array: (file.__delitem__(place) if place in file else None, link(file, place, path))


def link(file, place, path):
    file[place] = h5py.ExternalLink(path, "/x")


def virtual(file, array):
    with h5py.File("other.hdf5", "w") as other:
        other["x"] = array
    layout = h5py.VirtualLayout(array.shape, "f4")
    layout[...] = h5py.VirtualSource("other.hdf5", "x", array.shape)
    file.create_virtual_dataset(KEY, layout)


def external_storage(file, array):
    array.tofile("numbers.bin")
    file.create_dataset(KEY, array.shape, "f4", external=[("numbers.bin", 0, h5py.h5f.UNLIMITED)])


def corrupt_chunk(folder):
    noise = np.random.default_rng(0).normal(size=(8, 24)).astype(np.float32)
    replace(lambda file, array: file.create_dataset(KEY, data=noise, chunks=(8, 24), compression="gzip"))(folder)
    with h5py.File(folder / "weights.hdf5") as file:
        chunk = file[KEY].id.get_chunk_info(0)
    with (folder / "weights.hdf5").open("r+b") as binary:
        binary.seek(chunk.byte_offset + chunk.size // 2)
        binary.write(b"\xff" * 32)


def of_type(dtype):
    return replace(lambda file, array: file.create_dataset(KEY, array.shape, dtype))


def filled(value):
    return replace(lambda file, array: file.create_dataset(KEY, data=np.full_like(array, value)))


DAMAGES = {
    "soft link": (
        replace(lambda file, array: file.__setitem__(KEY, h5py.SoftLink("/char_embed"))),
        f"key '{KEY}' is a link",
    ),
    "soft link to itself": (
        replace(lambda file, array: file.__setitem__(KEY, h5py.SoftLink("/" + KEY))),
        f"key '{KEY}' is a link",
    ),
    "link to another file": (replace(external_link("other.hdf5")), f"key '{KEY}' is a link"),
    "link to a pipe, which would be waited for": (replace(external_link("pipe")), f"key '{KEY}' is a link"),
    "link of a group": (replace(external_link("pipe", "RNN_0/RNN")), "key 'RNN_0/RNN/.*' is a link"),
    "virtual": (replace(virtual), f"key '{KEY}' is kept in another file"),
    "external storage": (replace(external_storage), f"key '{KEY}' is kept in another file"),
    "group": (replace(lambda file, array: file.create_group(KEY)), f"key '{KEY}' is missing"),
    "array for a group": (
        replace(lambda file, array: (file.__delitem__("RNN_0"), file.__setitem__("RNN_0", array))),
        "key 'RNN_0/RNN/.*' is missing",
    ),
    "circle": (replace(lambda file, array: file.__setitem__(KEY, file["/"])), f"key '{KEY}' is missing"),
    "deep groups": (replace(lambda file, array: file.create_group(KEY + "/a" * 1000)), f"key '{KEY}' is missing"),
    "huge shape": (
        replace(lambda file, array: file.create_dataset(KEY, (2**30, 2**30), "f4", chunks=(64, 64))),
        rf"key '{KEY}' has shape \[1073741824, 1073741824\]",
    ),
    "nothing behind the shape": (
        replace(lambda file, array: file.create_dataset(KEY, array.shape, "f4")),
        rf"key '{KEY}' declares the shape \[8, 24\] but holds no such array",
    ),
    "whole numbers": (of_type("i4"), f"key '{KEY}' holds int32"),
    "text": (of_type("S4"), f"key '{KEY}' holds |S4"),
    "records": (of_type("f2,i4"), f"key '{KEY}' holds "),
    "strings": (of_type(h5py.string_dtype()), f"key '{KEY}' holds object"),
    "references": (of_type(h5py.ref_dtype), f"key '{KEY}' holds object"),
    "complex numbers": (of_type("c8"), f"key '{KEY}' holds complex64"),
    "no numbers": (filled(np.nan), f"key '{KEY}' holds infinities"),
    "infinities": (filled(-np.inf), f"key '{KEY}' holds infinities"),
    "corrupt chunk": (corrupt_chunk, f"key '{KEY}' cannot be read"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_hostile_file_is_refused_with_its_name_and_the_key(folder, damage, message):
    os.mkfifo("pipe")
    damage(folder)
    with pytest.raises(SourceError, match=message) as caught:
        find_source(folder).arrays()
    assert str(caught.value).startswith(str(folder / "weights.hdf5"))


def test_a_softmax_larger_than_can_be_read_is_refused(folder):
    with h5py.File(folder / "weights.hdf5", "a") as file:
        file.create_dataset("softmax/W", (2**40, 4), "f4", chunks=(64, 4))
        file["softmax/b"] = np.zeros(3, np.float32)
    with pytest.raises(SourceError, match=r"key 'softmax/W' has shape \[1099511627776, 4\]; .* \[3, 4\]"):
        find_source(folder).arrays()
    with h5py.File(folder / "weights.hdf5", "a") as file:
        del file["softmax/b"]
        file.create_dataset("softmax/b", (2**40,), "f4", chunks=(64,))
    with pytest.raises(SourceError, match=r"weights\.hdf5: a softmax of 5,497,558,138,880 numbers; more than can be"):
        find_source(folder).arrays()


TAIL = "adaptive_softmax/tail_1"
ADAPTIVE_DAMAGES = {
    "no tail": ({f"{TAIL}/W": None}, "key 'adaptive_softmax/tail_1/W' is missing"),
    "no biases": ({f"{TAIL}/b": None}, "key 'adaptive_softmax/tail_1/b' is missing"),
    "no clusters": (
        {"adaptive_softmax/tail_0/W_proj": None, f"{TAIL}/W_proj": None},
        "key 'adaptive_softmax/tail_0/W_proj' is missing",
    ),
    "a head of clusters alone": (
        {"adaptive_softmax/head/W": np.zeros((2, 4)), "adaptive_softmax/head/b": np.zeros(2)},
        r"key 'adaptive_softmax/head/b' has shape \[2\]; the options ask for \[3\]",
    ),
    "no word in a cluster": (
        {f"{TAIL}/W": np.zeros((0, 1)), f"{TAIL}/b": np.zeros(0)},
        r"key 'adaptive_softmax/tail_1/b' has shape \[0\]",
    ),
    "another width": (
        {f"{TAIL}/W_proj": np.zeros((1, 5))},
        r"W_proj' has shape \[1, 5\]; the options ask for \[1, 4\]",
    ),
    "a matrix of biases": ({f"{TAIL}/b": np.zeros((3, 1))}, r"key 'adaptive_softmax/tail_1/b' has shape \[3, 1\]"),
    "a number": ({f"{TAIL}/W_proj": np.float32(1)}, r"key 'adaptive_softmax/tail_1/W_proj' has shape \[\]"),
    "nothing": ({f"{TAIL}/W_proj": h5py.Empty("f4")}, "key 'adaptive_softmax/tail_1/W_proj' cannot be read"),
    "whole numbers": ({f"{TAIL}/W": np.zeros((3, 1), int)}, "key 'adaptive_softmax/tail_1/W' holds int64"),
    "no numbers": ({f"{TAIL}/b": np.full(3, np.nan)}, "key 'adaptive_softmax/tail_1/b' holds infinities"),
    "link": ({f"{TAIL}/W": h5py.SoftLink("/softmax")}, "key 'adaptive_softmax/tail_1/W' is a link"),
    "external link": ({f"{TAIL}/W_proj": h5py.ExternalLink("x", "/x")}, "'adaptive_softmax/tail_1/W_proj' is a link"),
}


@pytest.mark.parametrize(("changes", "message"), ADAPTIVE_DAMAGES.values(), ids=ADAPTIVE_DAMAGES)
def test_a_hostile_adaptive_softmax_is_refused_by_the_key(adaptive_folder, changes, message):
    with h5py.File(adaptive_folder / "weights.hdf5", "a") as file:
        for key, value in changes.items():
            del file[key]
            if value is not None:
                file[key] = value
    with pytest.raises(SourceError, match=message) as caught:
        find_source(adaptive_folder).arrays()
    assert str(caught.value).startswith(str(adaptive_folder / "weights.hdf5"))


def test_clusters_larger_than_can_be_read_are_refused(adaptive_folder):
    """Each could be, but not all together."""
    with h5py.File(adaptive_folder / "weights.hdf5", "a") as file:
        for k in range(2, 12):
            place = f"adaptive_softmax/tail_{k}"
            file[f"{place}/W_proj"] = np.zeros((1, 4))
            for key, shape in ((f"{place}/W", (2**28, 1)), (f"{place}/b", (2**28,))):
                file.create_dataset(key, shape, "f4", chunks=True, compression="gzip")
                file[key][:1] = 1
    with pytest.raises(SourceError, match=r"a softmax of 5,368,709,\d{3} numbers; more than can be read"):
        find_source(adaptive_folder).arrays()


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ">f4", ">f8"])
def test_numbers_of_another_width_become_float32(folder, dtype):
    before = find_source(folder).arrays()[KEY]
    replace(lambda file, array: file.__setitem__(KEY, array.astype(dtype)))(folder)
    after = find_source(folder).arrays()[KEY]
    assert after.dtype == np.float32
    np.testing.assert_allclose(after, before, atol=1e-3)


def test_packed_arrays_are_read(folder):
    before = find_source(folder).arrays()
    replace(lambda file, array: file.create_dataset(KEY, data=array, compression="gzip", shuffle=True))(folder)
    np.testing.assert_array_equal(find_source(folder).arrays()[KEY], before[KEY])


@pytest.mark.parametrize("keep", [0, 4, 8, 100, 0.25, 0.5, 0.75, 0.999])
def test_a_truncated_file_is_refused(folder, tiny_options, keep):
    path = folder / "weights.hdf5"
    data = path.read_bytes()
    path.write_bytes(data[: keep if isinstance(keep, int) else int(keep * len(data))])
    with path.open("rb") as binary, pytest.raises(SourceError, match=f"^{path}: "):
        read_hdf5(binary, tiny_options, str(path))


@pytest.mark.parametrize("keep", [0, 8, 1000, 20_000])
def test_a_truncated_file_is_refused_by_its_name_whatever_that_is(folder, keep):
    data = (folder / "weights.hdf5").read_bytes()
    (folder / "weights.hdf5").unlink()
    (folder / "model.hdf5").write_bytes(data[:keep])
    with pytest.raises(SourceError, match=r"bilm/model\.hdf5: cannot be read"):
        find_source(folder).arrays()


def test_a_file_of_something_else_is_refused_by_its_first_missing_key(folder):
    with h5py.File(folder / "weights.hdf5", "w") as file:
        file["0"] = np.zeros(3)
    with pytest.raises(SourceError, match=r"weights\.hdf5: key 'char_embed' is missing"):
        find_source(folder).arrays()


SIZES = {
    "layers": ("lstm", "n_layers", 10**12, "layers 1,000,000,000,000"),
    "highways": ("char_cnn", "n_highway", 10**9, "highways 1,000,000,000"),
    "cells": ("lstm", "dim", 2**62, "parameters; more than can be read"),
    "characters": ("char_cnn", "max_characters_per_token", 10**9, "max_characters 1,000,000,000"),
}


@pytest.mark.parametrize(("part", "key", "value", "message"), SIZES.values(), ids=SIZES)
def test_options_that_ask_for_too_much_are_refused_before_anything_is_made(folder, part, key, value, message):
    options = json.loads((folder / "options.json").read_text())
    options[part][key] = value
    (folder / "options.json").write_text(json.dumps(options))
    with pytest.raises(SourceError, match=f"options.json: .*{message}"):
        find_source(folder).arrays()
