"""Files that may be compressed, as their names tell."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from embeddings.errors import InputError

_OPENERS: dict[str, Callable[[Path], Any]] = {".xz": lzma.open, ".gz": gzip.open, ".bz2": bz2.open}
COMPRESSIONS = tuple(_OPENERS)


def uncompressed_name(path: Path) -> Path:
    """The path without the ending of a compression: `a.txt` for `a.txt.xz`."""
    return path.with_suffix("") if path.suffix in _OPENERS else path


@contextmanager
def open_binary(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, unpacked as it is read.

    Raises:
        OSError: the file cannot be opened.
    """
    with _OPENERS.get(path.suffix, lambda path: path.open("rb"))(path) as file:
        yield file


def raw_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file with their ends, unpacked as they are read.

    Raises:
        InputError: the file cannot be opened, or its compression is damaged, with the line.
    """
    number = 0
    try:
        with open_binary(path) as file:
            for number, line in enumerate(file, start=1):  # noqa: B007
                yield line
    except EOFError:
        raise InputError(
            f"{path} line {number + 1}: the {path.suffix} file is cut off; expected the end of its stream"
        ) from None
    except (lzma.LZMAError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} line {number + 1}: damaged; expected {path.suffix} data ({error})") from None
    except OSError as error:
        if path.suffix in COMPRESSIONS and error.errno is None:
            raise InputError(f"{path} line {number + 1}: damaged; expected {path.suffix} data ({error})") from None
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
