"""Broken configs and broken data, and what a person is told of each: one line that says where, what and what is
expected.

In a message `{folder}` is the folder of the file, `{config}` the config in it, and `...` at the end what another
library says.
"""

# A message stands in one piece, however long it is.
# ruff: noqa: E501

import pyarrow
import pytest
from pyarrow import parquet

from embeddings.errors import ConfigError, InputError
from pipeline.config import TrainConfig, read_config
from pipeline.data import read_data
from pipeline.data_config import Data, Texts
from pipeline.data_examples import read_examples

GOOD = """name: a-name
task: tagging
output: out
data:
  train: {file}
  validation: {file}
  test: {file}
embedding:
  source: {folder}
head:
  units: 7
training:
  epochs: 3
"""
CONFIGS: dict[str, tuple[tuple[str, str] | list[str], str]] = {
    "typo in a key": (
        ("units", "unitz"),
        "{config} line 11: unknown key 'head.unitz'; did you mean 'units'?",
    ),
    "unknown section": (
        ("training:", "extra: 1\ntraining:"),
        "{config} line 12: unknown key 'extra'; expected one of name, task, output, seed, data, embedding, head, training, tracking",
    ),
    "wrong type": (
        ("epochs: 3", "epochs: many"),
        "{config} line 13: 'training.epochs' is 'many'; expected a valid integer...",
    ),
    "wrong choice": (
        ("tagging", "tagger"),
        "{config} line 2: 'task' is 'tagger'; expected 'classification', 'tagging' or 'seq2seq'",
    ),
    "missing key": (("output: ", "seed: 1 # "), "{config}: key 'output' is missing"),
    "missing file": (
        ("train: ", "train: no-"),
        "{config} line 5: 'data.train': no such file: no-{folder}/data.jsonl",
    ),
    "a file of a list is missing": (
        ("train: {file}", "train: [{file}, gone.csv]"),
        "{config} line 5: 'data.train': no such file: gone.csv",
    ),
    "a file of a label is missing": (
        ("train: {file}", "train: {{a: gone.csv}}"),
        "{config} line 5: 'data.train': no such file: gone.csv",
    ),
    "no file at all": (
        ("train: {file}", "train: []"),
        "{config} line 5: 'data.train': found []; expected a file, a list of files, or a file for each label",
    ),
    "a missing folder": (
        ("train: {file}", "folder: gone\n  train: a.csv"),
        "{config} line 6: 'data.train': no such file: gone/a.csv; no folder gone, expected that of the data in 'folder'",
    ),
    "no name on the hub": (
        ("train: {file}", "train: hub:imdb"),
        "{config} line 5: 'data.train': 'hub:imdb' is no name on the hub; expected hub:NAME[@REVISION]:SPLIT or hub:NAME[@REVISION]:CONFIG:SPLIT",
    ),
    "no validation data": (
        ("  validation: {file}\n", ""),
        "{config} line 4: 'data': no validation data; expected files in 'validation' or a share in 'split.validation'",
    ),
    "files and a share": (
        ("data:", "data:\n  split: {{validation: 0.1}}"),
        "{config} line 4: 'data': 'validation' has files, and 'split.validation' draws it, too; expected one of them",
    ),
    "a share of all": (
        ("data:", "data:\n  split: {{validation: 1}}"),
        "{config} line 5: 'data.split.validation' is 1; expected less than 1",
    ),
    "shares of more than all": (
        ("data:", "data:\n  split: {{validation: 0.6, test: 0.5}}"),
        "{config} line 5: 'data.split': validation and test data leave nothing to train on; expected shares below 1 together",
    ),
    "test data by share and by folds": (
        ("data:", "data:\n  split: {{folds: 3, test: 0.5}}"),
        "{config} line 5: 'data.split': 'test' and 'folds' both make test data; expected one of them",
    ),
    "a fold too many": (
        ("data:", "data:\n  split: {{folds: 3, fold: 4}}"),
        "{config} line 5: 'data.split': fold 4 of 3 folds; expected 1 to 3",
    ),
    "a typo in a split": (
        ("data:", "data:\n  split: {{fold_s: 3}}"),
        "{config} line 5: unknown key 'data.split.fold_s'; did you mean 'folds'?",
    ),
    "no regular expression": (
        ("data:", "data:\n  pattern: (a"),
        "{config} line 5: 'data.pattern': not a regular expression (...",
    ),
    "a pattern without columns": (
        ("data:", "data:\n  pattern: (a)"),
        "{config} line 5: 'data.pattern': names no column; expected groups such as (?P<label>...) and (?P<text>...)",
    ),
    "a long delimiter": (
        ("data:", "data:\n  delimiter: ab"),
        "{config} line 5: 'data.delimiter' is 'ab'; expected at most 1 character",
    ),
    "unknown format": (
        ("data:", "data:\n  format: xls"),
        "{config} line 5: 'data.format' is 'xls'; expected 'text', 'csv', 'tsv', 'jsonl', 'conllu', 'conll' or 'parquet'",
    ),
    "missing biLM": (
        ("  source: ", "  source: no"),
        "{config} line 9: 'embedding.source': no such source: no{folder}; expected a biLM (telmo-small-en, a folder, an archive, a TF-Hub handle, OPTIONS,WEIGHTS or models:/NAME@ALIAS), a file of word vectors, none or tfidf",
    ),
    "out of range": (
        ("units: 7", "units: -3"),
        "{config} line 11: 'head.units' is -3; expected greater than or equal to 1",
    ),
    "no date": (("a-name", "2024-99-99"), "{config}: not YAML (..."),
    "no YAML": (("name: a-name", "name: [a"), "{config} line 2: not YAML (..."),
    "no keys": (("name: a-name", "- a\n#"), "{config} line 3: not YAML (..."),
    "random weights of nothing": (
        ["embedding.source=none", "embedding.weights=random"],
        "{config} line 8 with --set embedding.source=none --set embedding.weights=random: 'embedding': weights 'random' is for a biLM; the source is none",
    ),
    "fine-tuning of nothing": (
        ["embedding.source=none", "training.fine_tune=true"],
        "{config}: 'training.fine_tune' trains a biLM; the source is none",
    ),
    "fine-tuning of stored layers": (
        ["training.fine_tune=true", "embedding.layers=stored"],
        "{config}: 'training.fine_tune' changes the biLM; expected 'embedding.layers' to be computed",
    ),
    "layers of another kind": (
        ["embedding.layers=kept"],
        "--set embedding.layers=kept: 'embedding.layers' is 'kept'; expected 'stored' or 'computed'",
    ),
    "missing word vectors": (
        ["embedding.vectors=no.txt"],
        "--set embedding.vectors=no.txt: 'embedding.vectors': no such file: no.txt; expected word vectors in text form",
    ),
    "a biLM that nothing reads": (
        ["head.inputs=[{kind: words}]"],
        "{config}: 'head.inputs' has no 'elmo', which reads the biLM of 'embedding'",
    ),
    "no inputs": (
        ["head.inputs=[]"],
        "{config} line 10 with --set head.inputs=[]: 'head': 'inputs' is empty; expected one input at least",
    ),
    "ELMo twice": (
        ["head.inputs=[{kind: elmo}, {kind: elmo}]"],
        "{config} line 10 with --set head.inputs=[{kind: elmo}, {kind: elmo}]: 'head': 'inputs' has 2 of kind 'elmo'; expected one at most",
    ),
    "an unknown input": (
        ["head.inputs=[{kind: letters}]"],
        "--set head.inputs=[{kind: letters}]: 'head.inputs.0.kind' is 'letters'; expected one of 'elmo', 'words', 'characters'",
    ),
    "an input without a kind": (
        ["head.inputs=[{dim: 3}]"],
        "--set head.inputs=[{dim: 3}]: key 'head.inputs.0.kind' is missing",
    ),
    "constraints of another scheme": (
        ["head.scheme=BIO", "head.constraints=BIOUL"],
        "{config} line 10 with --set head.scheme=BIO --set head.constraints=BIOUL: 'head': constraints 'BIOUL' do not fit the scheme 'BIO'",
    ),
    "several labels a word": (
        ["head.multi_label=true"],
        "{config}: 'head': multi_label is for classification; this is tagging",
    ),
    "pairs to be tagged": (
        ["data.text_pair=second"],
        "{config}: 'data.text_pair' is for classification; this is tagging",
    ),
    "a separator of tags": (
        ["data.label_separator=;"],
        "{config}: 'data.label_separator' is for classification; this is tagging",
    ),
    "weights of tags": (
        ["training.class_weights=balanced"],
        "{config}: 'training.class_weights' is for classification; this is tagging",
    ),
    "pairs of one text": (
        ["task=classification", "head.pairs=true"],
        "{config}: 'head.pairs' reads two texts; expected the column of the second in 'data.text_pair'",
    ),
    "the last state of convolutions": (
        ["head.pooling=last", "head.encoder=cnn"],
        "{config} line 10 with --set head.pooling=last --set head.encoder=cnn: 'head': pooling 'last' needs a recurrent encoder, found encoder 'cnn'",
    ),
    "the last state of what mixes the directions": (
        ["head.pooling=last", "head.encoder=lstm", "head.feedforward=[[5, tanh]]"],
        "{config} line 10 with --set head.pooling=last --set head.encoder=lstm --set head.feedforward=[[5, tanh]]: 'head': pooling 'last' needs both directions apart, which 'feedforward' mixes",
    ),
    "momentum of Adam": (
        ["training.optimizer=adam", "training.momentum=0.9"],
        "{config} line 12 with --set training.optimizer=adam --set training.momentum=0.9: 'training': momentum is for sgd, found optimizer 'adam'",
    ),
    "TF-IDF that translates": (
        ["task=seq2seq", "embedding.source=tfidf"],
        "{config}: 'embedding': tfidf is not for seq2seq; expected a biLM or none",
    ),
    "fine-tuning below a translation": (
        ["task=seq2seq", "embedding.source=none", "training.fine_tune=true"],
        "{config}: 'training.fine_tune' is for classification and tagging; this is seq2seq",
    ),
    "computed layers below a translation": (
        ["task=seq2seq", "embedding.source=none", "embedding.layers=computed"],
        "{config}: 'embedding.layers' is for classification and tagging; this is seq2seq",
    ),
    "more translations than hypotheses": (
        ["task=seq2seq", "head.beam=2", "head.n_best=3"],
        "{config} line 10 with --set head.beam=2 --set head.n_best=3: 'head': n_best 3 is more than the beam of 2 holds",
    ),
    "pooling of a translation": (
        ["task=seq2seq", "head.pooling=max"],
        "--set head.pooling=max: unknown key 'head.pooling'; expected one of inputs, encoder, units, depth, bidirectional, layer_norm, dropout, target_dim, decoder, decoder_units, decoder_depth, attention, beam, length_penalty, n_best, max_length",
    ),
    "pairs to be translated": (
        ["task=seq2seq", "embedding.source=none", "data.text_pair=second"],
        "{config}: 'data.text_pair' is for classification and tagging; this is seq2seq",
    ),
    "weights of translations": (
        ["task=seq2seq", "embedding.source=none", "training.class_weights=balanced"],
        "{config}: 'training.class_weights' is for classification and tagging; this is seq2seq",
    ),
    "no such attention": (
        ["task=seq2seq", "head.attention=none"],
        "--set head.attention=none: 'head.attention' is 'none'; expected 'general' or 'additive'",
    ),
    "all of the labels smoothed": (
        ["task=seq2seq", "training.label_smoothing=1"],
        "--set training.label_smoothing=1: 'training.label_smoothing' is 1; expected less than 1",
    ),
    "a change without a value": (["epochs"], "--set epochs: expected key=value, such as training.epochs=3"),
    "a change within a value": (["name.x=1"], "--set name.x=1: 'name' is a value, not a section"),
    "a change that is no YAML": (["seed=["], "--set seed=[: '[' is not a YAML value"),
}
"""What is put in place of what in the good config, or is changed from the command line."""

DATA = {
    "missing column": (
        "a.csv",
        "txt,label\na,b\n",
        {},
        "{folder}/a.csv line 2: no column 'text'; found 'txt', 'label'",
    ),
    "too many columns": (
        "a.csv",
        "text,label\na,b,c\n",
        {},
        "{folder}/a.csv line 2: found 3 columns; expected 2, as in the header",
    ),
    "more columns than named": (
        "a.tsv",
        "a\tb\tc\n",
        {"columns": ("text", "label")},
        "{folder}/a.tsv line 1: found 3 columns; expected 2, as in the config",
    ),
    "too few columns": ("a.csv", "text,label\na\n", {}, "{folder}/a.csv line 2: no column 'label'; found 'text'"),
    "two columns of a name": (
        "a.csv",
        "text,text\na,b\n",
        {},
        "{folder}/a.csv line 1: two columns are named 'text'; expected a name of its own for each",
    ),
    "empty text": (
        "a.csv",
        "text,label\n ,b\n",
        {},
        "{folder}/a.csv line 2: 'text' has no words; expected at least one",
    ),
    "empty label": ("a.csv", "text,label\na,\n", {}, "{folder}/a.csv line 2: 'label' is empty; expected a label"),
    "blank label": ("a.csv", "text,label\na, \n", {}, "{folder}/a.csv line 2: 'label' is empty; expected a label"),
    "label of half a character": (
        "a.jsonl",
        '{"text": "a", "label": "\\ud800"}',
        {},
        "{folder}/a.jsonl line 1: 'label' is '\\ud800'; expected a string, a whole number or a list of these",
    ),
    "open quote": ("a.csv", 'text,label\n"a,b\n', {}, "{folder}/a.csv line 2: not csv (..."),
    "invalid UTF-8": (
        "a.csv",
        b"text,label\nok,x\nno\xff,x\n",
        {},
        "{folder}/a.csv line 3: byte 0xff at position 3 is not utf-8; expected utf-8, or name another with 'encoding'",
    ),
    "header only": ("a.csv", "text,label\n", {}, "{folder}/a.csv: no examples in this file; expected at least one"),
    "lone surrogate": (
        "a.jsonl",
        '{"text": "\\ud800", "label": "b"}',
        {},
        "{folder}/a.jsonl line 1: 'text' holds half a character (a lone surrogate); expected Unicode text",
    ),
    "no JSON": ("a.jsonl", '{"text": "a", "label": "b"}\n{', {}, "{folder}/a.jsonl line 2: not JSON (..."),
    "JSON without end": ("a.jsonl", "[" * 100_000, {}, "{folder}/a.jsonl line 1: not JSON (..."),
    "no number": (
        "a.jsonl",
        '{"text": "a", "label": NaN}',
        {},
        "{folder}/a.jsonl line 1: 'label' is nan; expected a string, a whole number or a list of these",
    ),
    "no object": ("a.jsonl", "[1]\n", {}, "{folder}/a.jsonl line 1: found list; expected a JSON object"),
    "text is a number": (
        "a.jsonl",
        '{"text": 1, "label": "b"}',
        {},
        "{folder}/a.jsonl line 1: 'text' must be a string, found 1",
    ),
    "label is a fraction": (
        "a.jsonl",
        '{"text": "a", "label": 0.5}',
        {},
        "{folder}/a.jsonl line 1: 'label' is 0.5; expected a string, a whole number or a list of these",
    ),
    "second text is missing": (
        "a.csv",
        "text,label\na,b\n",
        {"text_pair": "second"},
        "{folder}/a.csv line 2: no column 'second'; found 'text', 'label'",
    ),
    "line is not of the pattern": (
        "a.txt",
        "x: a\nno label wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww\n",
        {"pattern": "(?P<label>\\w+): (?P<text>.*)"},
        "{folder}/a.txt line 2: found 'no label wwwwwwwwwwwwwwwwwwwwwwwwwwwwww...; expected the pattern (?P<label>\\w+): (?P<text>.*)",
    ),
    "no label in a text": ("a.txt", "a\n", {}, "{folder}/a.txt line 1: no column 'label'; found 'text'"),
    "no such column in parquet": (
        "a.parquet",
        {"text": ["a"]},
        {},
        "{folder}/a.parquet: no column 'label'; found 'text'",
    ),
    "null in parquet": (
        "a.parquet",
        {"text": ["a", None], "label": ["x", "y"]},
        {},
        "{folder}/a.parquet row 2: 'text' must be a string, found None",
    ),
    "no parquet": ("a.parquet", "PAR1", {}, "{folder}/a.parquet row 1: cannot be read as Parquet (..."),
    "classification of columns": (
        "a.conll",
        "a b\n",
        {},
        "{folder}/a.conll: examples for classification cannot be read from conll; expected csv, tsv, jsonl or parquet, or text with 'pattern'",
    ),
    "unknown suffix": (
        "a.doc",
        "x",
        {},
        "{folder}/a.doc: cannot tell the format of '.doc'; expected one of .txt, .csv, .tsv, .jsonl, .conllu, .conll, .parquet",
    ),
}
"""The file, how the config says that it is written, and what is told, for classification."""

TAGS = {
    "words and tags differ": (
        "a.jsonl",
        '{"words": ["a"], "tags": []}',
        {},
        "{folder}/a.jsonl line 1: 'words' and 'tags' must be two lists of as many strings, at least one",
    ),
    "words are text": (
        "a.jsonl",
        '{"words": "ab", "tags": ["x", "y"]}',
        {},
        "{folder}/a.jsonl line 1: 'words' and 'tags' must be two lists of as many strings, at least one",
    ),
    "one column": (
        "a.conll",
        "New B-X\nYork\n",
        {},
        "{folder}/a.conll line 2: found 1 column; expected a word and its tag",
    ),
    "short row": ("a.conllu", "1\ta\n", {}, "{folder}/a.conllu line 1: found 2 columns, none for 'upos'"),
    "empty column": (
        "a.conll",
        "New\tB-X\n\tI-X\n",
        {},
        "{folder}/a.conll line 2: column '0' is empty; expected a word or a tag",
    ),
    "unknown conllu column": (
        "a.conllu",
        "1\ta\n",
        {"label": "pos"},
        "{folder}/a.conllu: no column 'pos'; expected id, form, lemma, upos, xpos, feats, head, deprel, deps, misc",
    ),
    "unknown conll column": (
        "a.conll",
        "a b\n",
        {"label": "x"},
        "{folder}/a.conll: no column 'x'; expected a number, 0 for the first and -1 for the last",
    ),
    "unknown name": (
        "a.conll",
        "a b\n",
        {"columns": ("word", "tag"), "label": "x"},
        "{folder}/a.conll: no column 'x'; expected word, tag",
    ),
    "tags in a table": (
        "a.csv",
        "text,label\na,b\n",
        {},
        "{folder}/a.csv: examples for tagging cannot be read from csv; expected conll, conllu, jsonl or parquet",
    ),
}
"""Likewise for tagging."""

SETS = {
    "one label and several": (
        {
            "a.jsonl": '{"text": "a", "label": "x"}\n{"text": "b", "label": ["x"]}\n{"text": "a", "label": "x"}\n{"text": "b", "label": ["x"]}\n'
        },
        {"split": {"validation": 0.3, "test": 0.3}, "train": "a.jsonl"},
        "{folder}/a.jsonl line 4: found a list of labels; expected one label, as in {folder}/a.jsonl line 3",
    ),
    "a column of labels in a file of one label": (
        {"a.csv": "text,label\na,b\n"},
        {"split": {"validation": 0.3, "test": 0.3}, "train": {"x": "a.csv"}},
        "{folder}/a.csv line 2: has a column 'label'; expected none, as the config labels the file",
    ),
    "nothing to hold out": (
        {"a.csv": "text,label\na,b\n"},
        {"split": {"validation": 0.1, "test": 0.1}, "train": "a.csv"},
        "{folder}/a.csv: no examples for validation; expected at least one",
    ),
    "no such group": (
        {"a.csv": "text,label\na,b\n"},
        {"split": {"validation": 0.1, "test": 0.1, "group": "author"}, "train": "a.csv"},
        "{folder}/a.csv line 2: no column 'author'; found 'text', 'label'",
    ),
}
"""The files, the section `data`, and what is told."""


def same(told, expected, folder):
    """Whether a message is the expected one."""
    expected = expected.replace("{config}", f"{folder}/config.yaml").replace("{folder}", str(folder))
    return told.startswith(expected[:-3]) if expected.endswith("...") else told == expected


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        if isinstance(content, dict):
            parquet.write_table(pyarrow.table(content), path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.mark.parametrize(("change", "message"), CONFIGS.values(), ids=CONFIGS)
def test_a_broken_config_is_told(write, tmp_path, change, message):
    old, new = change if isinstance(change, tuple) else ("", "")
    assert old in GOOD
    path = write("config.yaml", GOOD.replace(old, new, 1).format(file=write("data.jsonl", "{}"), folder=tmp_path))
    with pytest.raises(ConfigError) as error:
        read_config(TrainConfig, path, change if isinstance(change, list) else [])
    assert same(str(error.value), message, tmp_path), str(error.value)


@pytest.mark.parametrize(
    ("task", "name", "content", "texts", "message"),
    [("classification", *broken) for broken in DATA.values()] + [("tagging", *broken) for broken in TAGS.values()],
    ids=[*DATA, *TAGS],
)
def test_broken_data_are_told(write, tmp_path, task, name, content, texts, message):
    with pytest.raises(InputError) as error:
        read_examples(write(name, content), task, Texts(**texts))
    assert same(str(error.value), message, tmp_path) and "\n" not in str(error.value), str(error.value)


@pytest.mark.parametrize(("files", "data", "message"), SETS.values(), ids=SETS)
def test_data_that_cannot_be_split_are_told(write, tmp_path, files, data, message):
    for name, content in files.items():
        write(name, content)
    with pytest.raises(InputError) as error:
        read_data("classification", Data(folder=tmp_path, **data))
    assert same(str(error.value), message, tmp_path), str(error.value)
