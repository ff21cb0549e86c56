import pytest

from embeddings.errors import InputError
from pipeline.readers import data_file, read_examples, read_sentences

CONLLU = """# sent_id = 1
1\tVamos\tir\tVERB\tV\t_\t0\troot\t_\t_
2-3\tal\t_\t_\t_\t_\t_\t_\t_\t_
2\ta\ta\tADP\tP\t_\t4\tcase\t_\t_
3\tel\tel\tDET\tD\t_\t4\tdet\t_\t_
3.1\tempty\t_\t_\t_\t_\t_\t_\t_\t_
4\tmar\tmar\tNOUN\tN\t_\t1\tobl\t_\t_

1\t#tag\t_\tX\tX\t_\t_\t_\t_\t_
"""


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
    examples = read_examples(path, "tagging")
    assert examples.targets == [["VERB", "ADP", "DET", "NOUN"], ["X"]]
    assert examples.places == [f"{path} line 2", f"{path} line 9"]
    assert read_examples(path, "tagging", label="xpos").targets[0] == ["V", "P", "D", "N"]


def test_columns_of_conll_are_numbered(write):
    path = write("a.conll", "-DOCSTART- O\n\nNew B-NP B-LOC\nYork I-NP I-LOC\n\n\n. O O\n")
    examples = read_examples(path, "tagging")
    assert (examples.sentences, examples.targets) == ([["New", "York"], ["."]], [["B-LOC", "I-LOC"], ["O"]])
    assert read_examples(path, "tagging", label="1").targets == [["B-NP", "I-NP"], ["O"]]


def test_tables_have_named_columns(write):
    path = write("a.csv", 'review,stars\n"Good, really.",5\n"Two\nlines",1\n')
    examples = read_examples(path, "classification", "review", "stars")
    assert examples.sentences == [["Good", ",", "really", "."], ["Two", "lines"]]
    assert examples.targets == ["5", "1"]
    assert read_examples(write("a.tsv", "text\tlabel\na b\tx\n"), "classification").targets == ["x"]


def test_json_lines_hold_texts_or_words(write):
    path = write("a.jsonl", '{"text": "A cat", "label": true}\n\n{"text": "é", "label": 2}\n')
    assert read_examples(path, "classification").targets == ["True", "2"]
    path = write("b.jsonl", '{"words": ["A", "cat"], "tags": ["D", "N"]}\n')
    assert read_examples(path, "tagging").sentences == [["A", "cat"]]


def test_a_byte_order_mark_long_texts_and_quotes_in_tsv_are_read(write):
    path = write("a.csv", b"\xef\xbb\xbftext,label\n" + b"w " * 80_000 + b",x\n")
    assert len(read_examples(path, "classification").sentences[0]) == 80_000
    path = write("a.tsv", 'text\tlabel\n"open\tx\nnext\ty\n')
    assert read_examples(path, "classification").targets == ["x", "y"]


def test_another_encoding_is_read_if_named(write):
    path = write("a.txt", "café", "latin-1")
    assert list(read_sentences(path, encoding="latin-1")) == [["café"]]


def test_a_limit_draws_the_same_sample_in_the_order_of_the_file(write):
    path = write("a.csv", "text,label\n" + "".join(f"w{k},x\n" for k in range(200)))
    drawn, again = (read_examples(path, "classification", limit=20).sentences for _ in range(2))
    numbers = [int(words[0][1:]) for words in drawn]
    assert drawn == again and len(numbers) == 20 and numbers == sorted(numbers) and max(numbers) > 100
    assert len(read_examples(path, "classification", limit=500)) == 200


BROKEN = {
    "invalid UTF-8": (
        "a.csv",
        b"text,label\nok,x\nno\xff,x\n",
        "classification",
        {},
        "line 3: byte 0xff at position 3 is not utf-8",
    ),
    "missing column": (
        "a.csv",
        "txt,label\na,b\n",
        "classification",
        {},
        "line 2: no column 'text'; found 'txt', 'label'",
    ),
    "too many columns": (
        "a.csv",
        "text,label\na,b,c\n",
        "classification",
        {},
        "line 2: more columns than the header's 2",
    ),
    "too few columns": ("a.csv", "text,label\na\n", "classification", {}, "line 2: no column 'label'"),
    "empty text": ("a.csv", "text,label\n ,b\n", "classification", {}, "line 2: 'text' has no words"),
    "empty label": ("a.csv", "text,label\na,\n", "classification", {}, "line 2: 'label' is empty"),
    "open quote": ("a.csv", 'text,label\n"a,b\n', "classification", {}, "not csv"),
    "lone surrogate": (
        "a.jsonl",
        '{"text": "\\ud800", "label": "b"}',
        "classification",
        {},
        "line 1: 'text' holds half a character",
    ),
    "one column": ("a.conll", "New B-X\nYork\n", "tagging", {}, "line 2: found 1 column; expected a word and its tag"),
    "unknown encoding": (
        "a.csv",
        "text,label\n",
        "classification",
        {"encoding": "utf8x"},
        "encoding 'utf8x' cannot be read",
    ),
    "wide encoding": (
        "a.csv",
        "text,label\n",
        "classification",
        {"encoding": "utf-16"},
        "encoding 'utf-16' cannot be read",
    ),
    "header only": ("a.csv", "text,label\n", "classification", {}, "no examples in this file"),
    "no JSON": ("a.jsonl", '{"text": "a", "label": "b"}\n{', "classification", {}, "line 2: not JSON"),
    "no object": ("a.jsonl", "[1]\n", "classification", {}, "line 1: found list; expected a JSON object"),
    "text is a number": (
        "a.jsonl",
        '{"text": 1, "label": "b"}',
        "classification",
        {},
        "line 1: 'text' must be a string",
    ),
    "words and tags differ": (
        "a.jsonl",
        '{"words": ["a"], "tags": []}',
        "tagging",
        {},
        "line 1: 'words' and 'tags' must be",
    ),
    "words are text": ("a.jsonl", '{"words": "ab", "tags": ["x", "y"]}', "tagging", {}, "two lists of as many strings"),
    "short row": ("a.conllu", "1\ta\n", "tagging", {}, "line 1: found 2 columns, none for 'upos'"),
    "unknown conllu column": ("a.conllu", "1\ta\n", "tagging", {"label": "pos"}, "no column 'pos'; expected id, form"),
    "unknown conll column": ("a.conll", "a b\n", "tagging", {"label": "x"}, "no column 'x'; expected a number"),
    "tags in a table": ("a.csv", "text,label\na,b\n", "tagging", {}, "examples for tagging cannot be read from csv"),
    "unknown suffix": ("a.doc", "x", "tagging", {}, "cannot tell the format of '.doc'"),
}


@pytest.mark.parametrize(("name", "content", "task", "more", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_data_are_refused_with_the_line(write, name, content, task, more, message):
    path = write(name, content)
    with pytest.raises(InputError) as error:
        read_examples(path, task, **more)
    assert str(error.value).startswith(str(path)) and message in str(error.value)


def test_a_file_must_be_there_and_hold_something(write, tmp_path):
    for name, message in (
        (write("a.txt", ""), "the file is empty"),
        (tmp_path, "is a folder"),
        (tmp_path / "no", "no such file"),
    ):
        with pytest.raises(InputError, match=message):
            data_file(str(name))
