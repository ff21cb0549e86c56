import gzip

import numpy as np
import pytest

from embeddings.errors import SourceError
from models.pretrained_vectors import PretrainedVectors, is_vectors

GLOVE = "the 1 2 3\nNew York 4 5 6\nparis 7 8 9\nthe 0 0 0\n"


@pytest.mark.parametrize("header", ["", "4 3\n"])
def test_the_words_that_are_needed_are_read(tmp_path, header):
    (tmp_path / "v.txt").write_text(header + GLOVE)
    with gzip.open(tmp_path / "v.vec.gz", "wt") as file:
        # fastText ends its lines with a space.
        file.write(header + GLOVE.replace("\n", " \n"))
    for name in ("v.txt", "v.vec.gz"):
        found = PretrainedVectors.read(tmp_path / name, {"the", "Paris", "New York", "unheard"}, most=0)
        assert found.dim == 3 and set(found.vectors) == {"the", "paris", "New York"}
        np.testing.assert_array_equal(found.of("Paris"), [7, 8, 9])
        np.testing.assert_array_equal(found.of("the"), [1, 2, 3])
        assert found.of("unheard") is None
        # The first lines are kept, whoever asks; a header is one, too.
        assert set(PretrainedVectors.read(tmp_path / name, {"paris"}, most=2).vectors) >= {"the", "paris"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the 1 2 3\nof 1 2\n", r"v\.txt line 2: not a word and 3 numbers: 'of 1 2'"),
        ("the 1 two 3\n", r"line 1: not a word and 3 numbers"),
        ("", "no word vectors in it"),
        ("lonely\n", "line 1: not a word and its numbers"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, text, message):
    (tmp_path / "v.txt").write_text(text)
    with pytest.raises(SourceError, match=message):
        PretrainedVectors.read(tmp_path / "v.txt", {"the", "of"})


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "v.txt").write_bytes(b"the 1 2\n\xff\xfe 1 2\n")
    with pytest.raises(SourceError, match=r"after line .*: not UTF-8"):
        PretrainedVectors.read(tmp_path / "v.txt", {"the"})
    (tmp_path / "v.txt.gz").write_bytes(b"no gzip")
    with pytest.raises(SourceError, match="cannot be read"):
        PretrainedVectors.read(tmp_path / "v.txt.gz", {"the"})


def test_files_of_vectors_are_known_by_their_names(tmp_path):
    (tmp_path / "folder.txt").mkdir()
    assert all(map(is_vectors, ("glove.6B.50d.txt", "wiki.en.vec", "crawl.vec.gz", "x.txt.xz")))
    assert not any(map(is_vectors, ("elmo.zip", "bilm", "options.json,weights.hdf5", str(tmp_path / "folder.txt"))))
