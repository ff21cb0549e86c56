"""Data files as sentences and as labelled examples, read line by line."""

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Literal, TypeVar

from embeddings.errors import InputError
from embeddings.tokenizer import TokenizerName, is_text, words
from models.examples import Examples
from models.options import Task
from pipeline.compressed import raw_lines, uncompressed_name
from pipeline.docs_corpus import PREFIX, docs_file

Format = Literal["text", "csv", "tsv", "jsonl", "conllu", "conll"]
SUFFIXES: dict[str, Format] = {
    ".txt": "text",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".conllu": "conllu",
    ".conll": "conll",
}


def data_file(name: str) -> Path:
    """The file that a config or a command names: a path, or a part of the docs corpus (`docs:...`).

    Raises:
        InputError: there is no such file, or it is empty.
    """
    path = docs_file(name) if name.startswith(PREFIX) else Path(name)
    if not path.is_file():
        raise InputError(f"{name}: {'is a folder' if path.is_dir() else 'no such file'}; expected a data file")
    if path.stat().st_size == 0:
        raise InputError(f"{name}: the file is empty; expected at least one sentence")
    return path


def format_of(path: Path) -> Format:
    """The format that a file's name tells; an ending such as `.xz` may follow that of the format.

    Raises:
        InputError: the name ends in none of the known suffixes.
    """
    suffix = uncompressed_name(path).suffix
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: cannot tell the format of '{suffix}'; expected one of {', '.join(SUFFIXES)}")
    return SUFFIXES[suffix]


_MARK = b"\xef\xbb\xbf"


def lines(path: Path, encoding: str = "utf-8") -> Iterator[str]:
    """The lines of a text file, without their ends. A compressed one is unpacked as it is read.

    Raises:
        InputError: a line is not of this encoding, with the line and the byte; or the encoding is unknown; or the file
            cannot be opened or is damaged.
    """
    try:
        ascii_is_kept = "\n".encode(encoding) == b"\n"
    except LookupError:
        ascii_is_kept = False
    if not ascii_is_kept:
        raise InputError(f"{path}: encoding '{encoding}' cannot be read; expected utf-8, latin-1, cp1252 or the like")
    for number, line in enumerate(raw_lines(path), start=1):
        # The mark with which some programs begin a file is no text.
        text = line.removeprefix(_MARK) if number == 1 else line
        try:
            yield text.rstrip(b"\r\n").decode(encoding)
        except UnicodeDecodeError as error:
            found = f"byte 0x{text[error.start]:02x} at position {error.start + 1}"
            expected = f"expected {encoding}, or name another with 'encoding'"
            raise InputError(f"{path} line {number}: {found} is not {encoding}; {expected}") from None


def read_sentences(
    path: Path, tokenizer: TokenizerName = "spacy", encoding: str = "utf-8", format: Format | None = None
) -> Iterator[list[str]]:
    """The sentences of a plain text, one a line, or of a CoNLL-U file, as lists of words.

    A line without words is an empty sentence, so that the number of a sentence stays that of its line.

    Raises:
        InputError: the file is of another format or encoding.
    """
    found = format or format_of(path)
    if found == "text":
        for line in lines(path, encoding):
            yield words(line, tokenizer)
    elif found in ("conllu", "conll"):
        for sentence, _, _ in _columns(path, found, encoding, "form" if found == "conllu" else "0", None):
            yield sentence
    else:
        raise InputError(f"{path}: sentences are read from text, conllu and conll, not from {found}")


def read_examples(
    path: Path,
    task: Task,
    text: str | None = None,
    label: str | None = None,
    tokenizer: TokenizerName = "spacy",
    encoding: str = "utf-8",
    format: Format | None = None,
    limit: int | None = None,
) -> Examples:
    """The labelled texts of a file.

    Args:
        path: a csv, tsv or jsonl file, or for tagging a conllu or conll file.
        task: classification (a text and its label) or tagging (words and their tags).
        text: column of the text or of the words; `text` or `words` by default, in conllu `form`, in conll the first.
        label: column of the label or of the tags; `label` or `tags` by default, in conllu `upos`, in conll the last.
        tokenizer: how a raw text becomes words. Words to be tagged are taken as they are.
        encoding: of the file.
        format: of the file, if its name does not tell.
        limit: most examples; a sample drawn at random, always the same one, in the order of the file.

    Raises:
        InputError: a column is missing, a line cannot be read, or a text has no words; the message names the line.
    """
    found = format or format_of(path)
    rows: Iterable[tuple[list[str], str | list[str], int]]
    if found in ("conllu", "conll") and task == "tagging":
        first, last = ("form", "upos") if found == "conllu" else ("0", "-1")
        rows = _sampled(_columns(path, found, encoding, text or first, label or last), limit)
    elif found == "jsonl" or (found in ("csv", "tsv") and task == "classification"):
        columns = ("text", "label") if task == "classification" else ("words", "tags")
        text, label = text or columns[0], label or columns[1]
        records = _json_records(path, encoding) if found == "jsonl" else _table_records(path, encoding, found)
        rows = (
            (*_example(record, task, text, label, tokenizer, f"{path} line {number}"), number)
            for record, number in _sampled(records, limit)
        )
    else:
        raise InputError(f"{path}: examples for {task} cannot be read from {found}")
    sentences, targets, places = [], [], []
    for sentence, target, number in rows:
        sentences.append(sentence)
        targets.append(target)
        places.append(f"{path} line {number}")
    if not sentences:
        raise InputError(f"{path}: no examples in this file; expected at least one")
    return Examples(sentences, targets, places)  # type: ignore[arg-type]


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


def _example(record: dict, task: Task, text: str, label: str, tokenizer: TokenizerName, place: str):
    for column in (text, label):
        if column not in record:
            raise InputError(f"{place}: no column '{column}'; found {', '.join(map(repr, record)) or 'none'}")
    raw, target = record[text], record[label]
    if task == "tagging":
        if not (_is_words(raw) and _is_words(target) and len(raw) == len(target) > 0):
            raise InputError(f"{place}: '{text}' and '{label}' must be two lists of as many strings, at least one")
        return raw, target
    if not isinstance(raw, str) or not isinstance(target, str | int | bool):
        raise InputError(f"{place}: '{text}' must be a string and '{label}' a string or a number")
    if not is_text(raw):
        raise InputError(f"{place}: '{text}' holds half a character (a lone surrogate); expected Unicode text")
    split = words(raw, tokenizer)
    if not split:
        raise InputError(f"{place}: '{text}' has no words; expected at least one")
    if target == "":
        raise InputError(f"{place}: '{label}' is empty; expected a label")
    return split, str(target)


def _is_words(value) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) and word for word in value)


def _json_records(path: Path, encoding: str) -> Iterator[tuple[dict, int]]:
    for number, line in enumerate(lines(path, encoding), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path} line {number}: not JSON ({error})") from None
        if not isinstance(record, dict):
            raise InputError(f"{path} line {number}: found {type(record).__name__}; expected a JSON object")
        yield record, number


def _table_records(path: Path, encoding: str, format: Format) -> Iterator[tuple[dict, int]]:
    # A text may be long, and a quote in a TSV is a letter like any other.
    csv.field_size_limit(2**31 - 1)
    style = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if format == "tsv" else {"strict": True}
    reader = csv.DictReader((line + "\n" for line in lines(path, encoding)), **style)  # type: ignore[arg-type]
    try:
        for record in reader:
            if None in record:
                raise InputError(
                    f"{path} line {reader.line_num}: more columns than the header's {len(reader.fieldnames or [])}"
                )
            yield {name: value for name, value in record.items() if value is not None}, reader.line_num
    except csv.Error as error:
        raise InputError(f"{path} line {reader.line_num}: not {format} ({error})") from None


_CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")


def _columns(
    path: Path, format: Format, encoding: str, text: str, label: str | None
) -> Iterator[tuple[list[str], list[str], int]]:
    """Words, tags and the line of the first word of each sentence in a file of a word a line and an empty line after
    each sentence."""
    word_column, tag_column = _column(path, format, text), None if label is None else _column(path, format, label)
    sentence: list[str] = []
    tags: list[str] = []
    first = 0
    for number, line in enumerate(_with_end(lines(path, encoding)), start=1):
        if not line.strip():
            if sentence:
                yield sentence, tags, first
            sentence, tags = [], []
            continue
        if (format == "conllu" and line.startswith("#")) or line.startswith("-DOCSTART-"):
            continue
        fields = line.split("\t") if "\t" in line else line.split()
        # Ranges such as 3-4 and empty nodes such as 5.1 are no words.
        if format == "conllu" and not fields[0].isdigit() and fields[0][:1].isdigit():
            continue
        if len(fields) == 1 and tag_column is not None:
            raise InputError(f"{path} line {number}: found 1 column; expected a word and its tag")
        try:
            sentence.append(fields[word_column])
            if tag_column is not None:
                tags.append(fields[tag_column])
        except IndexError:
            raise InputError(f"{path} line {number}: found {len(fields)} columns, none for '{label or text}'") from None
        if len(sentence) == 1:
            first = number


def _with_end(given: Iterator[str]) -> Iterator[str]:
    """An empty line after the last, so that the last sentence ends like the others."""
    yield from given
    yield ""


def _column(path: Path, format: Format, name: str) -> int:
    if format == "conllu" and name in _CONLLU:
        return _CONLLU.index(name)
    if format == "conll" and name.lstrip("-").isdigit():
        return int(name)
    expected = ", ".join(_CONLLU) if format == "conllu" else "a number, 0 for the first and -1 for the last"
    raise InputError(f"{path}: no column '{name}'; expected {expected}")
