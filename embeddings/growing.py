"""Files that grow, and that can be cut back to where they were when a writer was last sure of them."""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np


class GrowingFile:
    """Bytes that are added at the end of a file.

    Args:
        path: the file; one that is there is gone on with.
        size: bytes of it that are kept; what stands behind them is cut off.

    Raises:
        ValueError: the file is shorter.
    """

    def __init__(self, path: Path, size: int = 0):
        found = path.stat().st_size if path.exists() else 0
        if found < size:
            raise ValueError(f"{path}: has {found:,} bytes; expected {size:,} at least")
        self._file = path.open("r+b" if path.exists() else "w+b")
        self.cut(size)

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._file.tell()

    def add(self, data: Any) -> None:
        """Write bytes behind the others."""
        self._file.write(data)

    def cut(self, size: int = 0) -> None:
        """Forget what stands behind so many bytes."""
        self._file.truncate(size)
        self._file.seek(0, os.SEEK_END)

    def flush(self) -> None:
        """Have all bytes on the disk, where they outlive a loss of power."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let the file go. What was not flushed may be lost, as on a full disk, and is no longer anyone's concern."""
        with suppress(OSError):
            self._file.close()


class GrowingLines(GrowingFile):
    """JSON, a value a line."""

    def add_values(self, values: Iterable[Any]) -> None:
        """Write values behind the others."""
        self.add("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode())

    def values(self) -> list[Any]:
        """All values."""
        self._file.seek(0)
        return [json.loads(line) for line in self._file]


class GrowingArray(GrowingFile):
    """An array in NumPy's `.npy` form that grows along its first axis. Its header tells no rows until `finish`.

    Args:
        path: as for `GrowingFile`.
        tail: the other axes.
        dtype: of the numbers.
        rows: of the file that are kept.
    """

    def __init__(self, path: Path, tail: tuple[int, ...], dtype: Any, rows: int = 0):
        self._tail, self._dtype = tail, np.dtype(dtype)
        # There is a row of no numbers, too, where there are no rows.
        self._row = max(1, int(np.prod(tail, dtype=np.int64)) * self._dtype.itemsize)
        self._header = len(self._header_of(0))
        super().__init__(path, self._header + rows * self._row if rows else 0)
        self._write_header(0)

    @property
    def rows(self) -> int:
        return (self.size - self._header) // self._row

    def add_rows(self, rows: np.ndarray) -> None:
        """Write rows `[rows, *tail]` behind the others."""
        self.add(np.ascontiguousarray(rows, self._dtype).data)

    def values(self) -> np.ndarray:
        """All rows."""
        self._file.seek(self._header)
        return np.frombuffer(self._file.read(), self._dtype).reshape(-1, *self._tail)

    def finish(self) -> None:
        """Make the file an array that `numpy.load` reads, and close it."""
        self._write_header(self.rows)
        self.flush()
        self.close()

    def _write_header(self, rows: int) -> None:
        self._file.seek(0)
        self._file.write(self._header_of(rows))
        self._file.seek(0, os.SEEK_END)

    def _header_of(self, rows: int) -> bytes:
        """NumPy leaves room in it for the number of rows to grow, so that its length does not."""
        header = BytesIO()
        shape = (rows, *self._tail)
        np.lib.format.write_array_header_1_0(header, {"descr": self._dtype.str, "fortran_order": False, "shape": shape})
        return header.getvalue()
