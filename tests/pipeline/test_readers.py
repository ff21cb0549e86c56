import gzip

import pytest

from embeddings.errors import InputError
from pipeline.readers import data_file, detected_encoding, lines, read_columns, read_sentences

CONLLU = """# newdoc id = a
# sent_id = 1
1\tVamos\tir\tVERB\tV\t_\t0\troot\t_\t_
2-3\tal\t_\t_\t_\t_\t_\t_\t_\t_
2\ta\ta\tADP\tP\t_\t4\tcase\t_\t_
3\tel\tel\tDET\tD\t_\t4\tdet\t_\t_
3.1\tempty\t_\t_\t_\t_\t_\t_\t_\t_
4\tmar\tmar\tNOUN\tN\t_\t1\tobl\t_\t_

# newdoc id = b
1\t#tag\t_\tX\tX\t_\t_\t_\t_\t_
"""
GERMAN = "Größe über Straße, schöne Grüße aus München\nÄrger mit Öl\n" * 20
RUSSIAN = "Привет, как дела сегодня в большом городе\n" * 20
JAPANESE = "これは日本語の文章です。今日は天気がいい\n" * 20


@pytest.fixture
def write(tmp_path):
    def write(name, content, encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(content.encode(encoding) if isinstance(content, str) else content)
        return path

    return write


def test_a_line_is_a_sentence_and_an_empty_line_an_empty_one(write):
    path = write("a.txt", "It isn't.\r\n\nÜnï  two")
    assert list(read_sentences(path)) == [["It", "is", "n't", "."], [], ["Ünï", "two"]]
    assert list(read_sentences(path, "whitespace")) == [["It", "isn't."], [], ["Ünï", "two"]]


def test_the_words_of_conllu_are_neither_ranges_nor_empty_nodes(write):
    path = write("a.conllu", CONLLU)
    assert list(read_sentences(path)) == [["Vamos", "a", "el", "mar"], ["#tag"]]
    first, second = read_columns(path, "conllu", ["form", "upos", "xpos"])
    assert first.columns[1:] == [["VERB", "ADP", "DET", "NOUN"], ["V", "P", "D", "N"]]
    assert [(sentence.line, sentence.document) for sentence in (first, second)] == [(3, 1), (11, 2)]


def test_the_columns_of_conll_2000_2002_and_2003_are_numbered_or_named(write):
    in_2000 = write("2000.conll", "He PRP B-NP\nreckons VBZ B-VP\n\n. . O\n")
    in_2003 = write("2003.conll", "-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\n\n-DOCSTART- -X- O O\n\n. . O O\n")
    # The blank within the number is one that does not break.
    in_2002 = write("2002.conll", "10\u00a0000 Z O\nMelbourne NP B-LOC\n")
    with_tabs = write("tabs.conll", "New York\tB-LOC\n\t\n.\tO\n")
    assert [found.columns for found in read_columns(in_2000, "conll", ["0", "-1"])] == [
        [["He", "reckons"], ["B-NP", "B-VP"]],
        [["."], ["O"]],
    ]
    named = list(read_columns(in_2003, "conll", ["word", "entity"], names=["word", "pos", "chunk", "entity"]))
    assert [found.columns for found in named] == [[["EU"], ["I-ORG"]], [["."], ["O"]]]
    assert [found.document for found in named] == [1, 2]
    assert next(read_columns(in_2002, "conll", ["0"])).columns == [["10\u00a0000", "Melbourne"]]
    assert [found.columns for found in read_columns(with_tabs, "conll", ["0", "1"])] == [
        [["New York"], ["B-LOC"]],
        [["."], ["O"]],
    ]
    other = write("other.conll", "a|x\n")
    assert next(read_columns(other, "conll", ["0", "1"], delimiter="|")).columns == [["a"], ["x"]]


def test_another_encoding_is_read_if_named(write):
    path = write("a.txt", "café", "latin-1")
    assert list(read_sentences(path, encoding="latin-1")) == [["café"]]
    for end in ("", "\r\n"):
        path = write("b.txt", f"one\r\n\u010a ĊĊ\n\r\ntwo{end}", "utf-16")
        assert list(lines(path, "utf-16")) == ["one", "\u010a ĊĊ", "", "two"]
    damaged = write("c.txt.gz", gzip.compress("one\ntwo".encode("utf-16"))[:-4])
    with pytest.raises(InputError, match=r"c\.txt\.gz line 2: the \.gz file is cut off"):
        list(lines(damaged, "utf-16"))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(GERMAN, "utf-8"), (RUSSIAN, "cp1251"), (RUSSIAN, "koi8-r"), (JAPANESE, "shift_jis"), (JAPANESE, "utf-16")],
)
def test_an_encoding_is_detected(write, text, encoding):
    # Much ASCII before it says nothing about the rest.
    text = "plain\n" * 5000 + text
    assert "\n".join(lines(write("a.txt", text, encoding), "detect")) + "\n" == text


def test_plain_ascii_is_detected_as_utf_8(write):
    assert detected_encoding(write("a.txt", "a\nb")) == "utf-8"


@pytest.mark.parametrize(
    ("content", "encoding", "message"),
    [
        ("a", "utf8x", "encoding 'utf8x' cannot be read; expected utf-8, latin-1, cp1252 or the like, or 'detect'"),
        (b"ok\nno\xff\n", "utf-8", "line 2: byte 0xff at position 3 is not utf-8; expected utf-8, or name another"),
        (b"\xff\xfea\x00\n\x00b", "utf-16", "after line 1: not utf-16"),
        (b"\xff\x81\x8d\x00\x90\n" * 9, "detect", "the encoding cannot be detected; expected it to be named"),
    ],
)
def test_what_is_not_of_an_encoding_is_refused(write, content, encoding, message):
    path = write("a.txt", content)
    with pytest.raises(InputError) as error:
        list(lines(path, encoding))
    assert str(error.value).startswith(str(path)) and message in str(error.value)


def test_a_file_must_be_there_and_hold_something(write, tmp_path):
    for name, message in (
        (write("a.txt", ""), "the file is empty"),
        (tmp_path, "is a folder"),
        (tmp_path / "no", "no such file"),
    ):
        with pytest.raises(InputError, match=message):
            data_file(str(name))
