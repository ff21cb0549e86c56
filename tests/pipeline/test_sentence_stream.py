"""A corpus is read alike from every file, whole or from any sentence on."""

import gzip
import io
import json

import pandas
import pytest

from embeddings.errors import InputError
from pipeline.sentence_stream import BEGIN, Sentences

TEXTS = ["It rained. Did it?", "", "Two words"]
LINES = [["It", "rained", ".", "Did", "it", "?"], [], ["Two", "words"]]
SPLIT = [["It", "rained", "."], ["Did", "it", "?"], ["Two", "words"]]


@pytest.fixture
def files(tmp_path):
    """The same texts in files of all formats."""
    text = "".join(f"{text}\n" for text in TEXTS)
    (tmp_path / "a.txt").write_text(text)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(text.encode()))
    table = pandas.DataFrame({"id": range(3), "text": TEXTS})
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    table.to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    (tmp_path / "words.jsonl").write_text("".join(json.dumps({"text": words}) + "\n" for words in LINES))
    return tmp_path


def read(*names, place=BEGIN, **how):
    return [sentence.words for sentence in Sentences(names=tuple(map(str, names)), **how).read(place)]


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.csv", "a.tsv", "a.jsonl", "a.parquet"])
def test_a_line_is_a_sentence_or_a_text_of_several(files, name):
    assert read(files / name) == LINES
    assert read(files / name, split=True) == SPLIT
    assert read(files / name, tokenizer="whitespace", split=True) == [["It", "rained."], ["Did", "it?"], SPLIT[2]]


def test_words_that_are_given_are_kept(files):
    assert read(files / "words.jsonl", split=True) == LINES
    (files / "a.conllu").write_text("1\tIt\t_\n2\trained.\t_\n\n1\tTwo\t_\n")
    assert read(files / "a.conllu") == [["It", "rained."], ["Two"]]


def test_a_column_may_have_another_name(files):
    pandas.DataFrame({"body": ["One"]}).to_csv(files / "b.csv", index=False)
    assert read(files / "b.csv", column="body") == [["One"]]
    with pytest.raises(InputError, match=r"b\.csv line 2: no column 'text'; found 'body'"):
        read(files / "b.csv")


@pytest.mark.parametrize("split", [False, True])
def test_reading_goes_on_from_every_sentence(files, split):
    names = [files / name for name in ("a.txt", "a.csv", "a.jsonl", "a.parquet", "a.txt.gz")]
    corpus = Sentences(names=tuple(map(str, names)), split=split)
    whole = list(corpus.read())
    assert [sentence.words for sentence in whole] == (SPLIT if split else LINES) * 5
    for k, sentence in enumerate(whole, start=1):
        assert list(corpus.read(sentence.after)) == whole[k:]


def test_files_of_a_folder_and_a_pattern_go_by_the_alphabet(files):
    (files / "b.txt").write_text("Last\n")
    assert read(files / "*.txt") == [*LINES, ["Last"]]


def test_standard_input_is_text(monkeypatch):
    class Standard:
        buffer = io.BytesIO(b"One two\n\nThree\n")

    monkeypatch.setattr("sys.stdin", Standard)
    assert read("-") == [["One", "two"], [], ["Three"]]
    with pytest.raises(InputError, match="standard input stands among files"):
        read("-", "a.txt")
    with pytest.raises(InputError, match=r"encoding of standard input cannot be detected.*; expected it to be named"):
        read("-", encoding="detect")


def test_long_sentences_are_cut_where_that_is_asked_for(files):
    found = list(Sentences(names=(str(files / "a.txt"),), cut=3).read())
    assert [(sentence.words, sentence.cut) for sentence in found] == [
        (LINES[0][:3], True),
        ([], False),
        (LINES[2], False),
    ]


def test_lines_that_cannot_be_read_are_passed_over_where_that_is_asked_for(files):
    (files / "bad.txt").write_bytes(b"good\nno\xff\nmore\n\xfe\n")
    (files / "bad.jsonl").write_bytes(b'{"text": "good"}\n{\n{"text": "no\xff"}\n{"text": "more"}\n')
    for name, bad in (("bad.txt", [1, 3]), ("bad.jsonl", [1, 2])):
        with pytest.raises(InputError, match=f"{name} line 2: "):
            read(files / name)
        told = []
        corpus = Sentences(names=(str(files / name),), unreadable="skip")
        found = list(corpus.read(tell=told.append))
        assert [k for k, sentence in enumerate(found) if sentence.unreadable] == bad
        assert [sentence.words for sentence in found if not sentence.unreadable] == [["good"], ["more"]]
        assert [message.split(":")[0] for message in told] == [f"{files / name} line {k + 1}" for k in bad]
        # What was told before is not told again.
        told.clear()
        assert list(corpus.read(found[1].after, told.append)) == found[2:] and len(told) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", "found list; expected a JSON object"),
        ('{"txt": "a"}', "no column 'text'; found 'txt'"),
        ('{"text": 7}', "'text' is 7; expected a text or a list of words"),
        ('{"text": ["a", 7]}', "'text' is ['a', 7]; expected a text or a list of words"),
        (
            '{"text": "\\ud800"}',
            "'text' holds half a character (a lone surrogate); expected Unicode text",
        ),
    ],
)
def test_records_without_a_text_are_told(files, line, message):
    (files / "b.jsonl").write_text(f'{{"text": "a"}}\n{line}\n')
    with pytest.raises(InputError) as error:
        read(files / "b.jsonl")
    otherwise = "or pass over such lines with '--unreadable skip'"
    assert str(error.value) == f"{files}/b.jsonl line 2: {message}; {otherwise}"
    assert read(files / "b.jsonl", unreadable="skip") == [["a"], []]


ROWS = {
    "b.csv": (b'text,id\ngood,1\n"bad \xff\nof two lines",2\n"of\ntwo",\xfe\nend,4\n', [1, 2]),
    "b.tsv": (b"text\tid\ngood\t1\nbad \xff\t2\nend\t3\n", [1]),
    "b.conllu": (b"1\tgood\t_\n\n1\tso\t_\n2\tbad\xff\t_\n\n1\tend\t_\n", [1]),
    "b.jsonl": (b'{"text": "good"}\n[1]\n{"text": "\\ud800"}\n{"te\xffxt": "a"}\n{"text": "end"}\n', [1, 2, 3]),
}


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("name", ROWS)
def test_rows_and_sentences_that_cannot_be_read_keep_their_place(files, name, split):
    content, bad = ROWS[name]
    (files / name).write_bytes(content)
    with pytest.raises(InputError, match=r"; or pass over such lines with '--unreadable skip'$"):
        read(files / name)
    told = []
    corpus = Sentences(names=(str(files / name),), unreadable="skip", split=split)
    found = list(corpus.read(tell=told.append))
    assert [sentence.words for sentence in found] == [["good"], *([] for _ in bad), ["end"]]
    assert [k for k, sentence in enumerate(found) if sentence.unreadable] == bad and len(told) == len(bad)
    for k, sentence in enumerate(found, start=1):
        assert list(corpus.read(sentence.after)) == found[k:]


def test_a_header_that_cannot_be_read_is_not_passed_over(files):
    (files / "b.csv").write_bytes(b"text,\xff\ngood,1\n")
    with pytest.raises(InputError, match=r"b\.csv line 1: byte 0xff"):
        read(files / "b.csv", unreadable="skip")
    (files / "b.csv").write_text("txt,id\ngood,1\n")
    with pytest.raises(InputError, match=r"b\.csv line 2: no column 'text'; found 'txt', 'id'$"):
        read(files / "b.csv", unreadable="skip")


def test_no_line_of_utf_16_can_be_passed_over(files):
    (files / "wide.txt").write_bytes("a b\nc d\n".encode("utf-16") + b"\x00\xd8\x41\x00")
    with pytest.raises(InputError, match=r"wide\.txt after .*'--unreadable skip' passes over no line of utf-16"):
        read(files / "wide.txt", encoding="utf-16", unreadable="skip")
