"""The records of labelled data: what stands in each row, by the name of its column."""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from embeddings.errors import InputError
from pipeline.data_config import Texts
from pipeline.data_hub import HUB, hub_rows
from pipeline.parquet import parquet_rows
from pipeline.readers import Format, Unreadable, data_file, format_of, lines, read_columns

DOCUMENT = "document"
"""The column that CoNLL files have beside those that are written: the number of the document."""


class Record(NamedTuple):
    """A row, or in CoNLL files a sentence, whose columns are lists; and where it stands, such as `train.csv line 7`."""

    values: dict[str, Any]
    place: str


def read_records(
    name: str, texts: Texts, wanted: Sequence[str], unreadable: Unreadable | None = None
) -> Iterator[Record]:
    """The records of a file or of a data set of the hub.

    Args:
        name: a path, a part of the docs corpus or a hub name.
        texts: how the file is written.
        wanted: columns that are needed; others may be left out.
        unreadable: what to do in csv and tsv with a line below the header that is not of the encoding, in place of an
            error.

    Raises:
        InputError: it cannot be read; the message names the line.
    """
    if name.startswith(HUB):
        yield from _numbered(name, "row", enumerate(hub_rows(name, wanted), start=1))
        return
    path = data_file(name)
    format = texts.format or format_of(path)
    if format in ("conllu", "conll"):
        yield from _sentences(path, format, texts, wanted)
    elif format == "parquet":
        yield from _numbered(name, "row", enumerate(parquet_rows(path, wanted), start=1))
    elif format in ("csv", "tsv"):
        yield from _numbered(str(path), "line", _table_rows(path, format, texts, unreadable))
    else:
        yield from _numbered(str(path), "line", {"jsonl": _json_rows, "text": _text_rows}[format](path, texts))


Rows = Iterator[tuple[int, dict[str, Any]]]


def _numbered(name: str, unit: str, rows: Any) -> Iterator[Record]:
    for number, values in rows:
        yield Record(values, f"{name} {unit} {number}")


def _sentences(path: Path, format: Format, texts: Texts, wanted: Sequence[str]) -> Iterator[Record]:
    written = [name for name in wanted if name != DOCUMENT]
    for sentence in read_columns(path, format, written, texts.encoding, texts.delimiter, texts.columns):
        values = dict(zip(written, sentence.columns, strict=True))
        yield Record(values | {DOCUMENT: str(sentence.document)}, f"{path} line {sentence.line}")


def _json_rows(path: Path, texts: Texts) -> Rows:
    for number, line in enumerate(lines(path, texts.encoding), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path} line {number}: not JSON ({error})") from None
        if not isinstance(record, dict):
            raise InputError(f"{path} line {number}: found {type(record).__name__}; expected a JSON object")
        yield number, record


def _text_rows(path: Path, texts: Texts) -> Rows:
    pattern = re.compile(texts.pattern or "(?P<text>.*)")
    for number, line in enumerate(lines(path, texts.encoding), start=1):
        if not line.strip():
            continue
        match = pattern.fullmatch(line)
        if match is None:
            raise InputError(f"{path} line {number}: found {short(line)}; expected the pattern {texts.pattern}")
        yield number, {name: value for name, value in match.groupdict().items() if value is not None}


def _table_rows(path: Path, format: Format, texts: Texts, unreadable: Unreadable | None) -> Rows:
    # A text may be long, and a quote in a TSV is a letter like any other.
    csv.field_size_limit(2**31 - 1)
    style: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if format == "tsv" else {"strict": True}
    if texts.delimiter:
        style["delimiter"] = texts.delimiter

    def told(message: str) -> None:
        if unreadable is None or (reader.line_num == 0 and not texts.columns):
            raise InputError(message) from None
        unreadable(message)

    given = (line + "\n" for line in lines(path, texts.encoding, told))
    reader = csv.DictReader(given, texts.columns, **style)
    try:
        names = reader.fieldnames or []
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"{path} line 1: two columns are named '{name}'; expected a name of its own for each")
        for record in reader:
            if None in record:
                expected = f"expected {len(names)}, as in the {'config' if texts.columns else 'header'}"
                found = len(names) + len(record[None])
                raise InputError(f"{path} line {reader.line_num}: found {found} columns; {expected}")
            yield reader.line_num, {name: value for name, value in record.items() if value is not None}
    except csv.Error as error:
        raise InputError(f"{path} line {reader.line_num + 1}: not {format} ({error})") from None


def short(value: Any) -> str:
    """A value for a message."""
    most = 40
    shown = repr(value)
    return shown if len(shown) <= most else shown[:most] + "..."
