import hashlib
import json
import sys

import pyarrow
import pytest
from pyarrow import parquet

from embeddings.errors import InputError
from pipeline.config import read_config
from pipeline.data import read_data
from pipeline.data_config import Data, DataConfig, Texts
from pipeline.data_examples import read_examples

CONLLU = "1\tVamos\tir\tVERB\tV\t_\t0\troot\t_\t_\n\n1\ta\ta\tADP\tP\t_\t4\tcase\t_\t_\n"
CONLL = "-DOCSTART- O\n\nNew B-NP B-LOC\nYork I-NP I-LOC\n\n\n. O O\n"


@pytest.fixture
def write(tmp_path):
    def write(name, content, encoding="utf-8"):
        path = tmp_path / name
        if isinstance(content, dict):
            parquet.write_table(pyarrow.table(content), path)
        else:
            path.write_bytes(content.encode(encoding) if isinstance(content, str) else content)
        return path

    return write


def test_tables_have_named_columns(write):
    path = write("a.csv", 'review,stars\n"Good, really.",5\n"Two\nlines",1\n')
    examples = read_examples(path, "classification", Texts(text="review", label="stars"))
    assert examples.sentences == [["Good", ",", "really", "."], ["Two", "lines"]]
    assert examples.targets == ["5", "1"]
    assert read_examples(write("a.tsv", "text\tlabel\na b\tx\n"), "classification").targets == ["x"]


def test_tables_may_lack_a_header_and_have_another_delimiter(write):
    path = write("a.csv", 'pos;"a; b"\nneg;c\n')
    examples = read_examples(path, "classification", Texts(columns=("label", "text"), delimiter=";"))
    assert (examples.sentences, examples.targets) == ([["a", ";", "b"], ["c"]], ["pos", "neg"])


def test_a_byte_order_mark_long_texts_and_quotes_in_tsv_are_read(write):
    path = write("a.csv", b"\xef\xbb\xbftext,label\n" + b"w " * 80_000 + b",x\n")
    assert len(read_examples(path, "classification").sentences[0]) == 80_000
    path = write("a.tsv", 'text\tlabel\n"open\tx\nnext\ty\n')
    assert read_examples(path, "classification").targets == ["x", "y"]


def test_json_lines_hold_texts_or_words(write):
    path = write("a.jsonl", '{"text": "A cat", "label": true}\n\n{"text": "é", "label": 2}\n')
    examples = read_examples(path, "classification")
    assert examples.targets == ["True", "2"] and examples.places[1] == f"{path} line 3"
    path = write("b.jsonl", '{"words": ["A", "cat"], "tags": ["D", "N"]}\n')
    assert read_examples(path, "tagging").sentences == [["A", "cat"]]


def test_parquet_holds_texts_or_words(write):
    label = pyarrow.array(["x", "y"]).dictionary_encode()
    path = write("a.parquet", {"body": ["A cat", "dog"], "kind": label})
    examples = read_examples(path, "classification", Texts(text="body", label="kind"))
    assert (examples.sentences, examples.targets) == ([["A", "cat"], ["dog"]], ["x", "y"])
    assert examples.places[1] == f"{path} row 2"
    path = write("b.parquet", {"words": [["A", "cat"]], "tags": [["D", "N"]]})
    assert read_examples(path, "tagging").targets == [["D", "N"]]


def test_conll_holds_words_and_tags(write):
    examples = read_examples(write("a.conllu", CONLLU), "tagging", Texts(label="xpos"))
    assert examples.targets == [["V"], ["P"]]
    path = write("a.conll", CONLL)
    examples = read_examples(path, "tagging")
    assert (examples.sentences, examples.targets) == ([["New", "York"], ["."]], [["B-LOC", "I-LOC"], ["O"]])
    assert examples.places == [f"{path} line 3", f"{path} line 7"]
    named = Texts(columns=("word", "chunk", "entity"), text="word", label="chunk")
    assert read_examples(path, "tagging", named).targets == [["B-NP", "I-NP"], ["O"]]


def test_a_pattern_makes_columns_of_a_line(write):
    path = write("a.txt", "NUM:dist How far ?\n\nHUM:desc Who was he ?\n", "latin-1")
    texts = Texts(pattern=r"(?P<fine>(?P<label>\w+):\w+) (?P<text>.*)", tokenizer="whitespace")
    examples = read_examples(path, "classification", texts)
    assert (examples.sentences[1], examples.targets) == (["Who", "was", "he", "?"], ["NUM", "HUM"])
    fine = texts.model_copy(update={"label": "fine"})
    assert read_examples(path, "classification", fine).targets == ["NUM:dist", "HUM:desc"]
    fasttext = Texts(pattern=r"__label__(?P<label>\S+) (?P<text>.*)")
    assert read_examples(write("b.txt", "__label__x a b\n"), "classification", fasttext).targets == ["x"]


def test_a_text_may_have_several_labels(write):
    path = write("a.csv", "text,label\na,x | y|x\nb,\n")
    examples = read_examples(path, "classification", Texts(label_separator="|"))
    assert examples.targets == [("x", "y"), ()] and examples.is_multi_label and examples.label_set() == ["x", "y"]
    for file in (
        write("a.jsonl", '{"text": "a", "label": ["y", "x"]}\n{"text": "b", "label": []}\n'),
        write("a.parquet", {"text": ["a", "b"], "label": [["y", "x"], []]}),
    ):
        assert read_examples(file, "classification").targets == [("x", "y"), ()]


def test_texts_come_in_pairs(write):
    path = write("a.tsv", "premise\thypothesis\tgold\nA man runs.\tHe moves.\tyes\n")
    texts = Texts(text="premise", text_pair="hypothesis", label="gold")
    examples = read_examples(path, "classification", texts)
    assert examples.sentences == [["A", "man", "runs", "."]]
    assert (examples.pairs, examples.targets) == ([["He", "moves", "."]], ["yes"])


def test_seq2seq_has_sources_and_targets(write):
    path = write("a.tsv", "July 4\t4 de julho\n")
    texts = Texts(columns=("source", "target"), target_tokenizer="characters")
    examples = read_examples(path, "seq2seq", texts)
    assert examples.sentences == [["July", "4"]] and examples.targets == [list("4␣de␣julho")]
    assert examples.references == ["4 de julho"]


def test_a_limit_draws_the_same_sample_in_the_order_of_the_file(write):
    path = write("a.csv", "text,label\n" + "".join(f"w{k},x\n" for k in range(200)))
    drawn, again = (read_examples(path, "classification", limit=20).sentences for _ in range(2))
    numbers = [int(words[0][1:]) for words in drawn]
    assert drawn == again and len(numbers) == 20 and numbers == sorted(numbers) and max(numbers) > 100
    assert len(read_examples(path, "classification", limit=500)) == 200


def rows(first, last, label="x"):
    return "text,label\n" + "".join(f"w{k},{label}{k % 2}\n" for k in range(first, last))


def test_splits_come_from_files_or_from_the_training_files(write, tmp_path):
    for name, first, last in (("a.csv", 0, 60), ("b.csv", 60, 100), ("test.csv", 100, 110)):
        write(name, rows(first, last))
    data = Data(folder=tmp_path, train=["a.csv", "b.csv"], test="test.csv", split={"validation": 0.2})
    found = read_data("classification", data)
    assert {split: len(examples) for split, examples in found.splits.items()} == {
        "train": 80,
        "validation": 20,
        "test": 10,
    }
    assert found.splits["validation"].targets.count("x0") == 10
    words = {split: {words[0] for words in examples.sentences} for split, examples in found.splits.items()}
    assert words["train"] | words["validation"] == {f"w{k}" for k in range(100)}
    assert words["test"] == {f"w{k}" for k in range(100, 110)}
    assert found.drawn == {"validation": 0.2, "fold": 1, "stratify": True, "seed": 1}
    assert found.names["validation"] == [f"{tmp_path}/a.csv", f"{tmp_path}/b.csv"]
    sha256 = hashlib.sha256((tmp_path / "test.csv").read_bytes()).hexdigest()
    assert found.files[f"{tmp_path}/test.csv"] == {"sha256": sha256} and len(found.files) == 3


def test_a_limit_is_of_what_the_split_leaves(write, tmp_path):
    write("a.csv", rows(0, 100))
    data = Data(folder=tmp_path, train="a.csv", split={"validation": 0.2, "test": 0.2}, limit=10, held_out_limit=5)
    found = read_data("classification", data)
    assert [len(examples) for examples in found.splits.values()] == [10, 5, 5]


def test_a_file_may_have_a_label(write, tmp_path):
    write("good.txt", "a\nb\n" * 5)
    write("bad.txt", "c\n\nd\n" * 5)
    data = Data(
        folder=tmp_path, train={"good": "good.txt", "bad": "bad.txt"}, split={"folds": 5, "fold": 2, "validation": 0.1}
    )
    found = read_data("classification", data)
    for split, count in (("train", 7), ("validation", 1), ("test", 2)):
        assert found.splits[split].targets.count("good") == count
        for sentence, target in zip(found.splits[split].sentences, found.splits[split].targets, strict=True):
            assert target == ("good" if sentence[0] in "ab" else "bad")


def test_folds_are_parts_of_the_whole(write, tmp_path):
    write("a.csv", rows(0, 53))
    tests = []
    for fold in range(1, 6):
        data = Data(folder=tmp_path, train="a.csv", split={"folds": 5, "fold": fold, "validation": 0.1})
        found = read_data("classification", data)
        together = [words[0] for examples in found.splits.values() for words in examples.sentences]
        assert sorted(together) == sorted(f"w{k}" for k in range(53))
        tests += [words[0] for words in found.splits["test"].sentences]
    assert sorted(tests) == sorted(f"w{k}" for k in range(53))


def test_groups_and_documents_are_not_parted(write, tmp_path):
    write("a.jsonl", "".join(f'{{"text": "w{k}", "label": "x", "author": {k % 10}}}\n' for k in range(60)))
    split = {"validation": 0.2, "test": 0.2, "group": "author"}
    data = Data(folder=tmp_path, train="a.jsonl", split=split)
    authors = [
        {int(words[0][1:]) % 10 for words in examples.sentences}
        for examples in read_data("classification", data).splits.values()
    ]
    assert [len(found) for found in authors] == [6, 2, 2] and set.union(*authors) == set(range(10))
    write("test.jsonl", '{"text": "a", "label": "x"}')
    data = Data(folder=tmp_path, train="a.jsonl", test="test.jsonl", split={"validation": 0.2, "group": "author"})
    assert len(read_data("classification", data).splits["test"]) == 1
    write("a.conll", "".join(f"-DOCSTART- O\n\nd{k} O\n\nd{k} B-X\n\n" for k in range(10)))
    data = Data(folder=tmp_path, train="a.conll", split={"validation": 0.2, "test": 0.2, "group": "document"})
    words = [[words[0] for words in examples.sentences] for examples in read_data("tagging", data).splits.values()]
    assert [len(found) for found in words] == [12, 4, 4] and [len(set(found)) for found in words] == [6, 2, 2]


def test_documents_of_two_files_are_two(write, tmp_path):
    for name in "ab":
        write(f"{name}.conll", f"-DOCSTART- O\n\n{name} O\n\n{name} B-X\n\n")
    split = {"validation": 0.3, "test": 0.3, "group": "document"}
    write("c.conll", "-DOCSTART- O\n\nc O\n\n")
    found = read_data("tagging", Data(folder=tmp_path, train=["a.conll", "b.conll", "c.conll"], split=split))
    assert sorted({words[0] for words in part.sentences} for part in found.splits.values()) == [{"a"}, {"b"}, {"c"}]


def test_data_that_have_changed_are_read_anew(write, tmp_path):
    split = {"validation": 0.1, "test": 0.1}
    data = Data(folder=tmp_path, train="a.csv", split=split) if write("a.csv", rows(0, 100)) else None
    first = read_data("classification", data)
    assert read_data("classification", data) is first
    write("a.csv", rows(1, 101))
    assert read_data("classification", data).checksums() != first.checksums()


def test_the_same_data_have_the_same_checksums_and_others_others(write, tmp_path):
    write("a.csv", rows(0, 100))

    def checksums(**split):
        return read_data("classification", Data(folder=tmp_path, train="a.csv", split=split)).checksums()

    first = checksums(validation=0.1, test=0.1)
    assert checksums(validation=0.1, test=0.1, seed=2) != first == checksums(validation=0.1, test=0.1)


SIZES = {
    "conll2000": (8668, 268, 2012),
    "conll2002": (8323, 1915, 1517),
    "ewt": (12544, 2001, 2077),
    "mr": (8529, 1066, 1067),
    "subj": (8000, 1000, 1000),
    "trec": (4907, 545, 500),
    "wnut17": (3394, 1009, 1287),
}
LABELS = {"conll2000": 23, "conll2002": 9, "ewt": 17, "mr": 2, "subj": 2, "trec": 6, "wnut17": 13}


@pytest.mark.parametrize("name", SIZES)
def test_the_data_sets_of_the_literature_are_read_by_a_config_alone(house, shared, name):
    changes = [f"data.folder={shared}/data/{name}"]
    config = read_config(DataConfig, house / "configs" / f"{name}.yaml", changes)
    found = read_data(config.task, config.data)
    assert tuple(len(found.splits[split]) for split in ("train", "validation", "test")) == SIZES[name]
    labels = found.splits["train"].label_set(config.data.more_labels)
    assert len(labels) == LABELS[name]
    for examples in found.splits.values():
        examples.numbered(labels)


def test_trec_has_fifty_fine_classes_and_odd_bytes(house, shared):
    changes = [f"data.folder={shared}/data/trec", "data.label=fine"]
    found = read_data("classification", read_config(DataConfig, house / "configs/trec.yaml", changes).data)
    assert len({target for examples in found.splits.values() for target in examples.targets}) == 50
    assert any("sisterðcity" in words for examples in found.splits.values() for words in examples.sentences)


def test_a_data_set_of_the_hub_is_read(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    sentiment = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    split = datasets.Dataset.from_dict({"text": ["A cat", "dog"], "label": [1, 0]}, features=sentiment)
    datasets.DatasetDict({"train": split, "test": split}).save_to_disk(tmp_path / "both")
    split.save_to_disk(tmp_path / "one")
    tags = datasets.Features(
        {
            "tokens": datasets.List(datasets.Value("string")),
            "ner": datasets.List(datasets.ClassLabel(names=["O", "B-LOC"])),
        }
    )
    datasets.Dataset.from_dict({"tokens": [["in", "Rome"]], "ner": [[0, 1]]}, features=tags).save_to_disk(
        tmp_path / "ner"
    )
    (tmp_path / "files").mkdir()
    (tmp_path / "files/train.jsonl").write_text(json.dumps({"text": "a", "label": "x"}) + "\n")
    for name in ("both:train", "both:test", "one:train"):
        examples = read_examples(f"hub:{tmp_path}/{name}", "classification")
        assert (examples.sentences, examples.targets) == ([["A", "cat"], ["dog"]], ["pos", "neg"])
        assert examples.places[1] == f"hub:{tmp_path}/{name} row 2"
    examples = read_examples(f"hub:{tmp_path}/ner:train", "tagging", Texts(text="tokens", label="ner"))
    assert (examples.sentences, examples.targets) == ([["in", "Rome"]], [["O", "B-LOC"]])
    assert read_examples(f"hub:{tmp_path}/files:train", "classification").targets == ["x"]
    assert read_examples(f"hub:{tmp_path}/files:train[:1]", "classification").targets == ["x"]
    for name, message in (
        ("both:dev", r"both:dev: cannot be loaded \(no split 'dev', found train, test\)"),
        ("no:train", "no:train: cannot be loaded"),
        ("one:train", "one:train: no column 'title'; found 'text', 'label'"),
    ):
        with pytest.raises(InputError, match=message):
            read_examples(f"hub:{tmp_path}/{name}", "classification", Texts(text="title"))


def test_the_hub_needs_its_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        InputError, match=r"hub:imdb:train: is read by the library datasets, .* pip install 'telmo\[hub\]'"
    ):
        read_examples("hub:imdb:train", "classification")
