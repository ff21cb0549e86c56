"""Rows and texts of a Parquet file."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from embeddings.errors import InputError

ROWS = 4096
"""Rows that are read at a time."""


def parquet_rows(path: Path, wanted: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The wanted columns of the rows, a few thousand in memory at a time.

    Raises:
        InputError: the file is no Parquet, or lacks a column.
    """
    from pyarrow import parquet

    with _reading(path) as place, parquet.ParquetFile(path) as file:
        check_columns(str(path), wanted, file.schema_arrow.names)
        for batch in file.iter_batches(ROWS, columns=list(wanted)):
            for row in batch.to_pylist():
                place[0] += 1
                yield row


def parquet_texts(path: Path, column: str = "text", first: int = 0) -> Iterator[str]:
    """The strings of a column, a few thousand in memory at a time; nothing is an empty string.

    Args:
        path: the file.
        column: its name.
        first: rows to pass over; row groups among them are not read.

    Raises:
        InputError: the file is no Parquet, or has no such column of strings.
    """
    import pyarrow
    from pyarrow import parquet

    with _reading(path, column) as place, parquet.ParquetFile(path) as file:
        check_columns(str(path), [column], file.schema_arrow.names)
        kind = file.schema_arrow.field(column).type
        if pyarrow.types.is_dictionary(kind):
            kind = kind.value_type
        if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
            raise InputError(f"{path}: column '{column}' holds {kind}; expected strings")
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if place[0] + rows <= first:
                place[0] += rows
                continue
            for batch in file.iter_batches(ROWS, row_groups=[group], columns=[column]):
                skipped = max(0, min(first - place[0], len(batch)))
                place[0] += skipped
                for text in batch.column(0)[skipped:].to_pylist():
                    place[0] += 1
                    yield text or ""


def check_columns(place: str, wanted: Iterable[str], found: Collection[str]) -> None:
    """Refuse what lacks a column.

    Raises:
        InputError: a wanted column is not among those found; the message names these.
    """
    for column in wanted:
        if column not in found:
            raise InputError(f"{place}: no column '{column}'; found {', '.join(map(repr, found)) or 'none'}")


@contextmanager
def _reading(path: Path, column: str = "") -> Iterator[list[int]]:
    """Says what is wrong with a file in one line; takes the number of rows that were read."""
    import pyarrow

    row = [0]
    try:
        yield row
    except pyarrow.ArrowException as error:
        message = str(error).splitlines()[0]
        raise InputError(f"{path} row {row[0] + 1}: cannot be read as Parquet ({message})") from None
    except UnicodeDecodeError:
        where = f"column '{column}'" if column else "a text"
        raise InputError(f"{path} row {row[0] + 1}: {where} is not UTF-8; expected Unicode text") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or str(error).splitlines()[0]})") from None
