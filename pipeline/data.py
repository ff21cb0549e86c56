"""Labelled texts as a config describes them: read, split, and known by their checksums."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar

from embeddings.errors import InputError
from embeddings.tokenizer import is_text, words
from models.examples import Examples
from models.options import Task
from pipeline.checksums import checksum_of_file, checksum_of_sentences
from pipeline.config import Data, Texts
from pipeline.data_hub import HUB
from pipeline.data_records import Record, read_records
from pipeline.data_split import drawn_splits
from pipeline.docs_corpus import SPLITS
from pipeline.parquet import check_columns
from pipeline.readers import DETECT, data_file, detected_encoding, format_of


@dataclass(frozen=True)
class DataSet:
    """Labelled texts in three splits.

    Args:
        splits: the examples of `train`, `validation` and `test`.
        names: the files that each split was read from, or drawn from.
        files: what is known of each file: its `sha256`, and its `encoding` if that was detected.
    """

    splits: dict[str, Examples]
    names: dict[str, list[str]]
    files: dict[str, dict[str, str]]

    def checksums(self) -> dict[str, str]:
        """SHA-256 of the words and the labels of each split, in hexadecimal."""
        return {split: checksum_of_examples(examples) for split, examples in self.splits.items()}


def checksum_of_examples(examples: Examples) -> str:
    """SHA-256 of words and labels, in hexadecimal."""
    return checksum_of_sentences(chain(examples.sentences, examples.pairs or ()), examples.targets)


def read_data(task: Task, data: Data) -> DataSet:
    """The data of a config; the same data give the same splits, whatever the config's seed.

    Raises:
        InputError: a file cannot be read, a row is not as expected, or a split would be empty; the message names the
            file and the line.
    """
    # A comparison trains on the same data many times. What holds a dictionary cannot be looked up as it is.
    return _read_data(task, data.model_dump_json())


@lru_cache(maxsize=1)
def _read_data(task: Task, json: str) -> DataSet:
    data = Data.model_validate_json(json)
    splits, names = {}, {}
    if not (data.validation and data.test):
        records = list(_records(task, data, data.files("train")))
        for split, positions in drawn_splits(*_strata(task, data, records), data.split).items():
            if not data.files(split) or split == "train":
                names[split] = [name for _, name in data.files("train")]
                part = [records[position] for position in positions]
                splits[split] = _limited_examples(task, data, split, part, names[split])
    for split in SPLITS:
        if split not in splits:
            names[split] = [name for _, name in data.files(split)]
            splits[split] = _limited_examples(task, data, split, _records(task, data, data.files(split)), names[split])
    _check_kinds(splits)
    files = {name: _facts(name, data) for name in dict.fromkeys(chain(*names.values())) if not name.startswith(HUB)}
    return DataSet({split: splits[split] for split in SPLITS}, {split: names[split] for split in SPLITS}, files)


def read_examples(name: str | Path, task: Task, texts: Texts | None = None, limit: int | None = None) -> Examples:
    """The labelled texts of one file.

    Args:
        name: of the file.
        task: what they are labelled for.
        texts: how they are written.
        limit: most examples; a sample drawn at random, always the same one, in the order of the file.

    Raises:
        InputError: a column is missing, a line cannot be read, or a text has no words; the message names the line.
    """
    texts = texts or Texts()
    return _examples(task, texts, _sampled(_records(task, texts, [(None, str(name))]), limit), str(name))


class _Names(NamedTuple):
    text: str
    label: str


def _names(task: Task, texts: Texts, name: str) -> _Names:
    """The columns of a file that hold the text and the label."""
    usual = {"classification": _Names("text", "label"), "tagging": _Names("words", "tags")}
    known = usual.get(task, _Names("source", "target"))
    format = None if name.startswith(HUB) else texts.format or format_of(data_file(name))
    if format in ("conllu", "conll"):
        if task != "tagging":
            raise InputError(f"{name}: examples for {task} cannot be read from {format}")
        known = _Names("form", "upos") if format == "conllu" else _Names("0", "-1")
    if format in ("csv", "tsv", "text") and task == "tagging":
        raise InputError(f"{name}: examples for tagging cannot be read from {format}")
    return _Names(texts.text or known.text, texts.label or known.label)


def _records(task: Task, texts: Texts, files: Iterable[tuple[str | None, str]]) -> Iterator[Record]:
    """The records of files, with the text in the column `text`, and so on, whatever the files call it."""
    group = texts.split.group if isinstance(texts, Data) else None
    for label, name in files:
        names = _names(task, texts, name)
        wanted = {"text": names.text, "label": names.label, "text_pair": texts.text_pair, "group": group}
        if label is not None:
            del wanted["label"]
        columns = {kind: column for kind, column in wanted.items() if column}
        for values, place in read_records(name, texts, list(dict.fromkeys(columns.values()))):
            check_columns(place, columns.values(), values)
            if label is not None and names.label in values:
                raise InputError(f"{place}: has a column '{names.label}'; expected none, as the config labels the file")
            found = {kind: values[column] for kind, column in columns.items()}
            yield Record(found if label is None else found | {"label": label}, place)


def _strata(task: Task, data: Data, records: Sequence[Record]) -> tuple[list[str], list[str] | None]:
    by_label = task == "classification" and data.split.stratify
    strata = [str(record.values["label"]) if by_label else "" for record in records]
    return strata, [str(record.values["group"]) for record in records] if data.split.group else None


Row = TypeVar("Row")


def _sampled(rows: Iterable[Row], limit: int | None) -> Iterable[Row]:
    """A sample of rows, without keeping the others (reservoir sampling, Vitter 1985, algorithm R)."""
    if limit is None:
        return rows
    random, sample = Random(0), []
    for position, row in enumerate(rows):
        if position < limit:
            sample.append((position, row))
        elif (place := random.randint(0, position)) < limit:
            sample[place] = (position, row)
    return [row for _, row in sorted(sample, key=lambda pair: pair[0])]


def _limited_examples(task: Task, data: Data, split: str, records: Iterable[Record], names: list[str]) -> Examples:
    limit = data.limit if split == "train" else data.held_out_limit
    return _examples(task, data, _sampled(records, limit), ", ".join(names), split)


def _examples(task: Task, texts: Texts, records: Iterable[Record], name: str, split: str = "") -> Examples:
    make = {"classification": _classified, "tagging": _tagged}.get(task, _translated)
    sentences, targets, pairs, references, places = [], [], [], [], []
    for values, place in records:
        sentence, target = make(values, texts, place)
        sentences.append(sentence)
        targets.append(target)
        places.append(place)
        if texts.text_pair:
            pairs.append(_words(values["text_pair"], texts.text_pair, texts.tokenizer, place))
        if make is _translated:
            references.append(values["label"])
    if not sentences:
        where = f" for {split}" if split else " in this file"
        raise InputError(f"{name}: no examples{where}; expected at least one")
    return Examples(sentences, targets, places, pairs or None, references or None)


def _classified(values: dict[str, Any], texts: Texts, place: str) -> tuple[list[str], str | tuple[str, ...]]:
    sentence = _words(values["text"], texts.text or "text", texts.tokenizer, place)
    column, label = texts.label or "label", values["label"]
    if isinstance(label, str) and texts.label_separator:
        label = [part.strip() for part in label.split(texts.label_separator) if part.strip()]
    if isinstance(label, list) and all(_is_label(part) for part in label):
        return sentence, tuple(sorted({str(part) for part in label}))
    if not _is_label(label):
        if label == "":
            raise InputError(f"{place}: '{column}' is empty; expected a label")
        raise InputError(
            f"{place}: '{column}' is {_short(label)}; expected a string, a whole number or a list of these"
        )
    return sentence, str(label)


def _is_label(value: Any) -> bool:
    return isinstance(value, str | int) and value != ""


def _tagged(values: dict[str, Any], texts: Texts, place: str) -> tuple[list[str], list[str]]:
    sentence, tags = values["text"], values["label"]
    if not (_is_words(sentence) and _is_words(tags) and len(sentence) == len(tags) > 0):
        columns = f"'{texts.text or 'words'}' and '{texts.label or 'tags'}'"
        raise InputError(f"{place}: {columns} must be two lists of as many strings, at least one")
    return sentence, tags


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) and word for word in value)


def _translated(values: dict[str, Any], texts: Texts, place: str) -> tuple[list[str], list[str]]:
    source = _words(values["text"], texts.text or "source", texts.tokenizer, place)
    return source, _words(values["label"], texts.label or "target", texts.target_tokenizer or texts.tokenizer, place)


def _words(text: Any, column: str, tokenizer: Any, place: str) -> list[str]:
    if not isinstance(text, str):
        raise InputError(f"{place}: '{column}' must be a string, found {_short(text)}")
    if not is_text(text):
        raise InputError(f"{place}: '{column}' holds half a character (a lone surrogate); expected Unicode text")
    split = words(text, tokenizer)
    if not split:
        raise InputError(f"{place}: '{column}' has no words; expected at least one")
    return split


def _short(value: Any) -> str:
    most = 40
    shown = repr(value)
    return shown if len(shown) <= most else shown[:most] + "..."


def _check_kinds(splits: dict[str, Examples]) -> None:
    """That texts have one label each, or each any number."""
    kind = type(splits["train"].targets[0])
    for examples in splits.values():
        for target, place in zip(examples.targets, examples.places, strict=True):
            if type(target) is not kind:
                many, one = "a list of labels", "one label"
                found, expected = (one, many) if kind is tuple else (many, one)
                raise InputError(f"{place}: found {found}; expected {expected}, as in {splits['train'].places[0]}")


def _facts(name: str, data: Data) -> dict[str, str]:
    path = data_file(name)
    detected = {"encoding": detected_encoding(path)} if data.encoding == DETECT else {}
    return {"sha256": checksum_of_file(path)} | detected
