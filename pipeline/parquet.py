"""Texts of a Parquet file."""

from collections.abc import Iterator
from pathlib import Path

from embeddings.errors import InputError


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

    row = 0
    try:
        with parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            if column not in schema.names:
                found = ", ".join(map(repr, schema.names)) or "none"
                raise InputError(f"{path}: no column '{column}'; found {found}")
            kind = schema.field(column).type
            if pyarrow.types.is_dictionary(kind):
                kind = kind.value_type
            if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
                raise InputError(f"{path}: column '{column}' holds {kind}; expected strings")
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if row + rows <= first:
                    row += rows
                    continue
                for batch in file.iter_batches(4096, row_groups=[group], columns=[column]):
                    skipped = max(0, min(first - row, len(batch)))
                    row += skipped
                    for text in batch.column(0)[skipped:].to_pylist():
                        row += 1
                        yield text or ""
    except pyarrow.ArrowException as error:
        message = str(error).splitlines()[0]
        raise InputError(f"{path} row {row + 1}: cannot be read as Parquet ({message})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} row {row + 1}: column '{column}' is not UTF-8; expected Unicode text") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or str(error).splitlines()[0]})") from None
