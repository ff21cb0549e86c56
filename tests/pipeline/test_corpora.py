import bz2
import gzip
import json
import lzma
import tracemalloc
from itertools import islice

import pyarrow
import pytest
from pyarrow import parquet

from embeddings.errors import InputError
from embeddings.spelling import Bytes
from embeddings.vocabulary import Vocabulary
from embeddings.windows import Windows
from pipeline.corpora import Corpus, shards_of, would_hold

LINES = [f"line {k} of some" for k in range(23)]
CONLLU = "".join(f"1\tw{k}\t_\t_\t_\t_\t_\t_\t_\t_\n2\tand more\t_\t_\t_\t_\t_\t_\t_\t_\n\n" for k in range(3))


@pytest.fixture
def folder(tmp_path):
    """Shards of every form; an empty line in one of them."""
    text = {k: "".join(f"{line}\n" for line in LINES[5 * k : 5 * k + 5]).encode() for k in range(4)}
    (tmp_path / "0.txt").write_bytes(text[0].replace(b"line 2", b"\nline 2"))
    (tmp_path / "1.txt.xz").write_bytes(lzma.compress(text[1]))
    (tmp_path / "2.txt.gz").write_bytes(gzip.compress(text[2]))
    (tmp_path / "3.txt.bz2").write_bytes(bz2.compress(text[3]))
    parquet.write_table(
        pyarrow.table({"text": [*LINES[20:], None], "n": [1, 2, 3, 4]}), tmp_path / "4.parquet", row_group_size=2
    )
    (tmp_path / "5.conllu.gz").write_bytes(gzip.compress(CONLLU.encode()))
    (tmp_path / "readme.md").write_text("no shard")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "output", "expected"),
    [
        ("", "out.parquet", True),
        ("", "out.hdf5", False),
        ("", "deeper/out.parquet", False),
        ("*.parquet", "out.parquet", True),
        ("*.txt", "out.parquet", False),
        ("*", "out.hdf5", True),
        ("**/o?t.parquet", "deeper/out.parquet", True),
        ("4.parquet", "out.parquet", False),
    ],
)
def test_an_output_that_a_corpus_would_hold_is_known_before_it_is_there(folder, monkeypatch, name, output, expected):
    (folder / "deeper").mkdir()
    names = [str(folder / name)]
    assert would_hold(names, folder / output) == expected
    monkeypatch.chdir(folder)
    assert would_hold([name or "."], type(folder)(output)) == expected
    # The names tell the same as the files, once it is there.
    if output != "out.hdf5":
        (folder / output).write_bytes(b"vectors")
        assert (folder / output in shards_of([name for name in names if not name.endswith("*")])) == expected


ALL = [line.split() for line in LINES] + [[f"w{k}", "and more"] for k in range(3)]


def read(names, **arguments):
    return list(Corpus(names if isinstance(names, list) else str(names), tokenizer="whitespace", **arguments))


def test_a_corpus_is_a_file_several_a_pattern_or_a_folder(folder, monkeypatch):
    assert read(folder) == ALL
    assert read(folder / "*.txt*") == ALL[:20]
    assert read(folder / "1.txt.xz") == ALL[5:10]
    assert read([str(folder / "3.txt.bz2"), str(folder / "0.txt")]) == ALL[15:20] + ALL[:5]
    monkeypatch.setattr("pipeline.corpora.BLOCK", 3)
    assert read(folder, epochs=2) == ALL * 2


def test_the_tokenizer_is_that_of_raw_text(tmp_path):
    (tmp_path / "a.txt").write_text("It isn't.\n")
    assert list(Corpus(str(tmp_path / "a.txt"))) == [["It", "is", "n't", "."]]


@pytest.mark.parametrize("size", [1, 4, 7, 100])
def test_shuffling_gives_every_sentence_once_an_epoch_in_an_order_of_the_seed(folder, size):
    first = read(folder, shuffle=size, epochs=2)
    assert first == read(folder, shuffle=size, epochs=2) != read(folder, shuffle=size, epochs=2, seed=2)
    begin, end = first[: len(ALL)], first[len(ALL) :]
    assert sorted(begin) == sorted(end) == sorted(ALL)
    assert begin not in (ALL, end)


@pytest.mark.parametrize("size", [0, 1, 4, 100])
def test_reading_resumes_where_it_was(folder, size, monkeypatch):
    monkeypatch.setattr("pipeline.corpora.BLOCK", 3)
    arguments = {"tokenizer": "whitespace", "shuffle": size, "epochs": 2}
    expected = read(folder, shuffle=size, epochs=2)
    corpus = Corpus(str(folder), **arguments)
    for k in range(len(expected) + 1):
        state = json.loads(json.dumps(corpus.state()))
        resumed = Corpus(str(folder), **arguments)
        resumed.restore(state)
        assert list(resumed) == expected[k:]
        next(corpus, None)


def test_the_state_of_another_corpus_is_refused(folder):
    state = Corpus(str(folder), shuffle=5).state()
    for names, arguments in ((folder, {"shuffle": 6}), (folder, {"shuffle": 5, "seed": 3}), (folder / "0.txt", {})):
        with pytest.raises(InputError, match="not that of the checkpoint"):
            Corpus(str(names), **arguments).restore(state)


@pytest.mark.parametrize("size", [0, 6])
def test_windows_over_a_corpus_resume_to_the_same_batches(folder, size):
    vocabulary = Vocabulary.build(read(folder), 30)

    def begin():
        corpus = Corpus(str(folder), tokenizer="whitespace", shuffle=size, epochs=None)
        return Windows(corpus, vocabulary, 3, 4, Bytes(20, 3))

    windows = begin()
    states, batches = [], []
    for _ in range(30):
        states.append(json.dumps(windows.state()))
        batches.append(next(windows))
    for k in (0, 1, 13, 29):
        resumed = begin()
        resumed.restore(json.loads(states[k]))
        for expected in batches[k:]:
            found = next(resumed)
            assert all((found[name] == expected[name]).all() for name in expected) and found.keys() == expected.keys()


def test_a_long_corpus_is_read_in_constant_memory(tmp_path):
    """A megabyte, compressed to a few kilobytes, is never there at once."""
    with lzma.open(tmp_path / "a.txt.xz", "wt") as file:
        file.writelines("one two three four five six seven eight nine ten\n" for _ in range(200_000))
    corpus = Corpus(str(tmp_path / "a.txt.xz"), tokenizer="whitespace", shuffle=1000)
    next(corpus)
    tracemalloc.start()
    assert sum(1 for _ in islice(corpus, 60_000)) == 60_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


def test_what_cannot_be_read_is_said_with_its_place(folder, tmp_path):
    def error(names, **arguments):
        with pytest.raises(InputError) as raised:
            read(names, **arguments)
        return str(raised.value)

    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "bytes.txt.gz").write_bytes(gzip.compress(b"good\nb\xffd\n"))
    assert "bytes.txt.gz line 2: byte 0xff at position 2 is not utf-8" in error(broken / "bytes.txt.gz")
    text = "".join(f"{k * k} {k}\n" for k in range(5000)).encode()
    for suffix, pack in ((".xz", lzma.compress), (".gz", gzip.compress), (".bz2", bz2.compress)):
        path = broken / f"a.txt{suffix}"
        path.write_bytes(pack(text)[:-20])
        assert f"the {suffix} file is cut off" in error(path) and f"a.txt{suffix} line " in error(path)
        path.write_bytes(b"this is no archive at all")
        assert f"a.txt{suffix} line 1: damaged; expected {suffix} data" in error(path)
        packed = bytearray(pack(text))
        packed[len(packed) // 2] ^= 0xFF
        path.write_bytes(packed)
        assert f"a.txt{suffix} line" in error(path)
    assert "no column 'body'; found 'text', 'n'" in error(folder / "4.parquet", column="body")
    assert "column 'n' holds int64; expected strings" in error(folder / "4.parquet", column="n")
    (broken / "a.parquet").write_bytes(b"PAR1 nothing PAR1")
    assert "a.parquet row 1: cannot be read as Parquet" in error(broken / "a.parquet")
    whole = (folder / "4.parquet").read_bytes()
    (broken / "a.parquet").write_bytes(whole[:-30])
    assert "cannot be read as Parquet" in error(broken / "a.parquet")
    (broken / "blank.txt").write_text("\n \n")
    assert "blank.txt: no sentence in it; expected at least one" in error(broken / "blank.txt", epochs=None)


def test_names_that_lead_to_nothing_are_refused(folder, tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "empty.txt").touch()
    for names, message in (
        (str(tmp_path / "nowhere.txt"), "no such file"),
        (str(tmp_path / "*.tex"), "no file matches this pattern"),
        (str(tmp_path / "none"), "the file is empty"),
        ([], "names no files"),
    ):
        with pytest.raises(InputError, match=message):
            shards_of(names)
    (tmp_path / "none" / "empty.txt").rename(tmp_path / "none" / "empty.csv")
    with pytest.raises(InputError, match="no text in this folder"):
        shards_of(str(tmp_path / "none"))
    (tmp_path / "a.csv").write_text("a,b\n")
    with pytest.raises(InputError, match="not from this file"):
        Corpus(str(tmp_path / "a.csv"))
