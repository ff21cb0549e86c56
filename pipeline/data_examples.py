"""Labelled texts of data files, as heads take them."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar

from embeddings.errors import InputError
from embeddings.tokenizer import is_text, words
from models.examples import Examples
from models.options import Task
from pipeline.data_config import Texts
from pipeline.data_hub import HUB
from pipeline.data_records import DOCUMENT, Record, read_records, short
from pipeline.parquet import check_columns
from pipeline.readers import data_file, format_of


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
    records = labelled_records(task, texts, [(None, str(name))])
    return examples_of(task, texts, sampled(records, limit), f"{name}: no examples in this file")


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
            expected = "csv, tsv, jsonl or parquet" + (", or text with 'pattern'" if task == "classification" else "")
            raise InputError(f"{name}: examples for {task} cannot be read from {format}; expected {expected}")
        known = _Names("form", "upos") if format == "conllu" else _Names("0", "-1")
    if format in ("csv", "tsv", "text") and task == "tagging":
        expected = "conll, conllu, jsonl or parquet"
        raise InputError(f"{name}: examples for tagging cannot be read from {format}; expected {expected}")
    return _Names(texts.text or known.text, texts.label or known.label)


def labelled_records(
    task: Task, texts: Texts, files: Iterable[tuple[str | None, str]], group: str | None = None
) -> Iterator[Record]:
    """The records of files, whose columns are now `text`, `label`, and if asked for `text_pair` and `group`.

    Args:
        task, texts: what the records are labelled for, and how they are written.
        files: the label, if it is the whole file's, and the name of each.
        group: column that tells which records belong together.

    Raises:
        InputError: a file cannot be read, or lacks a column.
    """
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
            if group == DOCUMENT:
                # Its number begins anew in each file.
                found["group"] = f"{name} {values[DOCUMENT]}"
            yield Record(found if label is None else found | {"label": label}, place)


Row = TypeVar("Row")


def sampled(rows: Iterable[Row], limit: int | None) -> Iterable[Row]:
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


def examples_of(task: Task, texts: Texts, records: Iterable[Record], nothing: str) -> Examples:
    """Examples of records as `labelled_records` gives them.

    Raises:
        InputError: a record is no example of the task; or there are no records, which `nothing` says.
    """
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
        raise InputError(f"{nothing}; expected at least one")
    return Examples(sentences, targets, places, pairs or None, references or None)


def _classified(values: dict[str, Any], texts: Texts, place: str) -> tuple[list[str], str | tuple[str, ...]]:
    sentence = _words(values["text"], texts.text or "text", texts.tokenizer, place)
    column, label = texts.label or "label", values["label"]
    if isinstance(label, str) and texts.label_separator:
        label = [part.strip() for part in label.split(texts.label_separator) if part.strip()]
    if isinstance(label, list) and all(_is_label(part) for part in label):
        return sentence, tuple(sorted({str(part) for part in label}))
    if not _is_label(label):
        if isinstance(label, str) and not label.strip():
            raise InputError(f"{place}: '{column}' is empty; expected a label")
        raise InputError(f"{place}: '{column}' is {short(label)}; expected a string, a whole number or a list of these")
    return sentence, str(label)


def _is_label(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and bool(value.strip()) and is_text(value))


def _tagged(values: dict[str, Any], texts: Texts, place: str) -> tuple[list[str], list[str]]:
    sentence, tags = values["text"], values["label"]
    if not (_is_words(sentence) and _is_words(tags) and len(sentence) == len(tags) > 0):
        columns = f"'{texts.text or 'words'}' and '{texts.label or 'tags'}'"
        raise InputError(f"{place}: {columns} must be two lists of as many strings, at least one")
    return sentence, tags


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) and word and is_text(word) for word in value)


def _translated(values: dict[str, Any], texts: Texts, place: str) -> tuple[list[str], list[str]]:
    source = _words(values["text"], texts.text or "source", texts.tokenizer, place)
    return source, _words(values["label"], texts.label or "target", texts.target_tokenizer or texts.tokenizer, place)


def _words(text: Any, column: str, tokenizer: Any, place: str) -> list[str]:
    if not isinstance(text, str):
        raise InputError(f"{place}: '{column}' must be a string, found {short(text)}")
    if not is_text(text):
        raise InputError(f"{place}: '{column}' holds half a character (a lone surrogate); expected Unicode text")
    split = words(text, tokenizer)
    if not split:
        raise InputError(f"{place}: '{column}' has no words; expected at least one")
    return split
