import dataclasses
import shutil
import zipfile
from typing import get_args

import numpy as np
import pytest

from embeddings.bilm import BiLM
from embeddings.convert import Form, convert_bilm, form_of
from embeddings.errors import OutputError, SourceError
from embeddings.published import write_published
from embeddings.source import find_source
from embeddings.spelling import spelling_of
from embeddings.weights import SOFTMAX, arrays_of, weight_shapes

FORMS = get_args(Form)
VOCABULARY = ["<S>", "</S>", "<UNK>", "the", "naïve", "\u2028"]


def weights(source):
    stored = find_source(source)
    arrays = stored.arrays()
    return {key: arrays[key] for key, _ in weight_shapes(stored.options)}


def assert_same_biLM(one, other):
    assert find_source(one).options == find_source(other).options
    theirs = weights(other)
    for key, array in weights(one).items():
        np.testing.assert_array_equal(array, theirs[key], err_msg=key, strict=True)


def target(folder, form):
    return folder / (f"{form}.zip" if form == "zip" else form)


@pytest.mark.parametrize("form", FORMS)
def test_a_round_trip_through_a_form_is_bit_exact(shared, tmp_path, form):
    original = shared / "fixtures/bilm"
    convert_bilm(original, target(tmp_path, form), form)
    assert_same_biLM(original, target(tmp_path, form))
    convert_bilm(target(tmp_path, form), tmp_path / "back", "files")
    assert_same_biLM(original, tmp_path / "back")


def test_a_journey_through_all_forms_ends_where_it_began(tiny_bilm_folder, tmp_path):
    at = tiny_bilm_folder
    for form in FORMS:
        convert_bilm(at, target(tmp_path, form), form)
        at = target(tmp_path, form)
    assert_same_biLM(tiny_bilm_folder, at)


@pytest.mark.parametrize("form", ["files", "zip"])
def test_vocabulary_and_softmax_travel(tiny_options, tmp_path, form, random):
    softmax = dict(zip(SOFTMAX, (random.normal(size=(6, 4)).astype("f4"), np.zeros(6, "f4")), strict=True))
    (tmp_path / "first").mkdir()
    write_published(tmp_path / "first", tiny_options, arrays_of(BiLM(tiny_options)) | softmax, VOCABULARY)
    convert_bilm(tmp_path / "first", target(tmp_path, form), form)
    found = find_source(target(tmp_path, form))
    assert found.vocabulary == tuple(VOCABULARY)
    np.testing.assert_array_equal(found.arrays()[SOFTMAX[0]], softmax[SOFTMAX[0]])
    assert found.counts is None


@pytest.mark.parametrize("form", FORMS)
def test_an_adaptive_softmax_and_the_counts_travel_or_stay_behind(adaptive_folder, tmp_path, form):
    (adaptive_folder / "vocabulary.counts.txt").write_text("".join(f"{k}\n" for k in range(9)))
    convert_bilm(adaptive_folder, target(tmp_path, form), form)
    found, expected = find_source(target(tmp_path, form)), find_source(adaptive_folder).arrays()
    adaptive = {key for key in expected if key.startswith("adaptive_softmax/")}
    arrays = found.arrays()
    assert adaptive & arrays.keys() == (set() if form == "saved-model" else adaptive) and len(adaptive) == 8
    for key in adaptive & arrays.keys():
        np.testing.assert_array_equal(arrays[key], expected[key])
    assert found.counts is None if form == "saved-model" else found.counts.tolist() == list(range(9))


def test_a_biLM_over_words_keeps_its_words(tiny_options, tmp_path):
    words = VOCABULARY[:5]
    options = dataclasses.replace(tiny_options, inputs="words", words=5, word_dim=4, filters=())
    (tmp_path / "first").mkdir()
    write_published(tmp_path / "first", options, arrays_of(BiLM(options, spelling_of(options, words))), words)
    convert_bilm(tmp_path / "first", tmp_path / "second.zip", "zip")
    assert_same_biLM(tmp_path / "first", tmp_path / "second.zip")
    assert find_source(tmp_path / "second.zip").spelling.ids(["naïve", "new"]).tolist() == [[5], [3]]


def test_the_name_tells_the_form_unless_it_is_asked_for(tmp_path):
    assert [form_of(tmp_path / "a.zip"), form_of(tmp_path / "a"), form_of(tmp_path / "a.zip", "files")] == [
        "zip",
        "files",
        "files",
    ]
    with pytest.raises(OutputError, match="no form 'tf1' to write; expected one of files, zip, saved-model"):
        form_of(tmp_path, "tf1")


@pytest.mark.parametrize("form", FORMS)
def test_an_earlier_result_is_replaced_and_nothing_else(tiny_bilm_folder, tmp_path, form):
    place = target(tmp_path, form)
    convert_bilm(tiny_bilm_folder, place, form)
    convert_bilm(tiny_bilm_folder, place, form)
    if form == "zip":
        with zipfile.ZipFile(place, "a") as archive:
            archive.writestr("mine.txt", "mine")
    else:
        (place / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds mine.txt, too; expected a new"):
        convert_bilm(tiny_bilm_folder, place, form)


def test_a_file_of_another_kind_is_not_replaced(tiny_bilm_folder, tmp_path):
    (tmp_path / "notes.zip").write_text("no archive at all")
    with pytest.raises(OutputError, match="holds something else; expected a new file"):
        convert_bilm(tiny_bilm_folder, tmp_path / "notes.zip", "zip")
    with pytest.raises(OutputError, match="the name of a file, and a folder is to be written"):
        convert_bilm(tiny_bilm_folder, tmp_path / "bilm.tar.gz", "files")


def test_a_source_is_not_written_over(shared, tiny_bilm_folder, tmp_path):
    bilm = shutil.copytree(tiny_bilm_folder, tmp_path / "around" / "bilm")
    for place in (bilm, bilm.parent):
        with pytest.raises(OutputError, match="is the source, or holds it"):
            convert_bilm(bilm, place, "files")
    published = shutil.copytree(shared / "fixtures/bilm", tmp_path / "published")
    with pytest.raises(OutputError, match=r"holds elmo_token_embeddings.hdf5, too"):
        convert_bilm(bilm, published, "files")


def test_nothing_is_left_of_a_conversion_that_fails(tiny_bilm_folder, tmp_path):
    for form in FORMS:
        with pytest.raises(SourceError):
            convert_bilm(tmp_path / "nothing", target(tmp_path, form), form)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds something else"):
        convert_bilm(tiny_bilm_folder, tmp_path / "full", "files")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["full", "notes.txt"]
