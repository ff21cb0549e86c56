"""A corpus in shards holds each sentence once, whatever the files."""

import bz2
import json

import numpy as np
import pandas
import pytest

from embeddings.errors import InputError, OutputError
from embeddings.store_parquet import ParquetShard, ParquetVectors, schema_of
from pipeline.cli import main
from pipeline.sentence_stream import Sentences
from pipeline.shards import Shard, ShardReader, check_shards, name_of_shard, numbered, shards_of_corpus

TEXTS = [f"Sentence {k}." + (' It has a "quote"\nand a line.' if k % 5 == 0 else " More.") * (k % 3) for k in range(60)]
LINES = [text.replace("\n", " ") for text in TEXTS]


@pytest.fixture
def names(tmp_path):
    """The texts in files of all formats."""
    (tmp_path / "a.txt").write_text("".join(f"{text}\n" for text in LINES))
    (tmp_path / "b.txt.bz2").write_bytes(bz2.compress("\n".join(LINES).encode()))
    table = pandas.DataFrame({"id": range(60), "text": TEXTS})
    table.to_csv(tmp_path / "c.csv", index=False)
    table.to_parquet(tmp_path / "d.parquet", row_group_size=7)
    (tmp_path / "e.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    words = ["".join(f"{k}\t{word}\n" for k, word in enumerate(text.split(), start=1)) for text in TEXTS]
    (tmp_path / "f.conllu").write_text("# nothing\n\n" + "\n".join(words))
    return tuple(str(path) for path in sorted(tmp_path.iterdir()))


@pytest.mark.parametrize("words", [1, 20, 10**6])
def test_each_sentence_stands_in_one_shard_and_knows_its_number(names, words):
    corpus = Sentences(names=names)
    shards = shards_of_corpus(corpus, words)
    assert len(shards) == {1: 360, 10**6: 6}.get(words, len(shards))
    expected = list(corpus.read())
    reader = ShardReader(corpus)
    for order in (shards, shards[::2] + shards[1::2], shards[::-1]):
        for shard in order:
            found = list(reader.read(shard, pytest.fail))
            assert found == expected[shard.sentence : shard.sentence + len(found)]
            assert len(found) == shard.last - shard.first


def test_texts_of_several_sentences_are_numbered_when_they_are_counted(names):
    corpus = Sentences(names=names, split=True)
    shards = shards_of_corpus(corpus, 20)
    reader = ShardReader(corpus)
    read = [list(reader.read(shard, pytest.fail)) for shard in shards]
    assert {shard.sentence for shard in shards} == {None}
    assert [sentence for shard in read for sentence in shard] == list(corpus.read())
    found = numbered(shards, list(map(len, read)))
    assert [shard.sentence for shard in found] == [sum(map(len, read[:k])) for k in range(len(read))]


def test_lines_in_another_encoding_are_counted(tmp_path):
    # The second byte of this letter is that of a line's end.
    (tmp_path / "a.txt").write_text("\u010a\u0a00\n" * 9, "utf-16")
    assert shards_of_corpus(Sentences(names=(str(tmp_path / "a.txt"),), encoding="utf-16"), 10**6)[0].last == 9


def test_a_line_that_cannot_be_read_is_told_of_by_its_shard_alone(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\ntwo \xff\nthree\nfour\n")
    corpus = Sentences(names=(str(tmp_path / "a.txt"),), unreadable="skip")
    reader, told = ShardReader(corpus), []
    for first in (0, 3, 1, 2):
        list(reader.read(Shard(0, first, first + 1, first), told.append))
    assert len(told) == 1 and "line 2" in told[0]
    with pytest.raises(InputError, match=r"a\.txt line 2: byte 0xff"):
        list(ShardReader(Sentences(names=corpus.names)).read(Shard(0, 1, 2, 1), told.append))


def test_a_file_that_has_become_shorter_is_told(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    reader = ShardReader(Sentences(names=(str(tmp_path / "a.txt"),)))
    for _ in range(2):
        with pytest.raises(InputError, match=r"a\.txt: ends after 2 lines or rows; expected 3 at least, as when"):
            list(reader.read(Shard(0, 1, 3, 1), pytest.fail))
    assert [sentence.words for sentence in reader.read(Shard(0, 1, 2, 1), pytest.fail)] == [["two"]]


def test_what_cannot_be_read_is_told_before_it_is_parted(tmp_path):
    pandas.DataFrame({"body": ["one"]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: no column 'text'; found 'body'"):
        shards_of_corpus(Sentences(names=(str(tmp_path / "a.parquet"),)), 1)


def test_a_data_set_that_telmo_did_not_write_is_not_replaced(tmp_path):
    (tmp_path / "v").mkdir()
    pandas.DataFrame({"text": ["mine"]}).to_parquet(tmp_path / "v" / name_of_shard(0))
    with pytest.raises(OutputError, match=r"part-00000\.parquet: is not of `telmo embed`"):
        check_shards(tmp_path / "v")


def test_a_store_of_very_many_files_is_read_in_their_order(tmp_path):
    schema = schema_of(["vectors"], True, 2, "float32")
    for number in (99_999, 100_000):
        with ParquetShard(tmp_path / name_of_shard(number), schema, number) as file:
            file.add(np.full((1, 1, 2), number, np.float32), ["word", str(number)])
            file.finish({"names": ["vectors"], "pooled": True})
    check_shards(tmp_path)
    vectors = ParquetVectors(tmp_path)
    assert [vectors.words(k)[1] for k in range(len(vectors))] == ["99999", "100000"]
    assert vectors[1][0, 0, 0] == 100_000


def test_an_input_folder_is_no_output(tmp_path, tiny_bilm_folder, capsys):
    (tmp_path / "v.parquet").mkdir()
    (tmp_path / "v.parquet" / "a.txt").write_text("A line.\n")
    for engine in ("local", "ray"):
        arguments = ["embed", str(tmp_path / "v.parquet"), str(tmp_path / "v.parquet"), "--engine", engine]
        with pytest.raises(SystemExit):
            main([*arguments, "--source", str(tiny_bilm_folder)])
        assert capsys.readouterr().err.count("\n") == 1
    assert (tmp_path / "v.parquet" / "a.txt").exists()
