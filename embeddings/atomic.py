"""Files and folders that are there whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from embeddings.errors import OutputError


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to; it takes the place of `path` when the block ends well, and is removed
    when it does not.

    Raises:
        OutputError: the place cannot be written.
    """
    check_file(path)
    temporary = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise _cannot_be_written(path, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def atomic_folder(path: Path, marker: str) -> Iterator[Path]:
    """As `atomic_file`, for a folder. A folder that stood at `path` before is replaced, if it holds the file `marker`,
    which tells that it is an earlier result of the same kind.

    Raises:
        OutputError: the place cannot be written, or holds something else.
    """
    check_folder(path, marker)
    path = path.absolute()
    temporary, replaced = _beside(path), _beside(path)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if path.exists():
            path.rename(replaced)
        temporary.rename(path)
    except OSError as error:
        raise _cannot_be_written(path, error) from None
    finally:
        if replaced.exists() and not path.exists():
            replaced.rename(path)
        for rest in (temporary, replaced):
            shutil.rmtree(rest, ignore_errors=True)


def check_file(path: Path) -> None:
    """Whether a file may be written here; asked before long work, so that its result is not lost.

    Raises:
        OutputError: it may not.
    """
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; expected a file to write")
    _check_parent(path)


def check_folder(path: Path, marker: str) -> None:
    """Whether a folder may be written here; asked before long work, so that its result is not lost.

    Raises:
        OutputError: it may not: the place holds something that is not an earlier result (no file `marker` in it).
    """
    if path.exists() and not (path / marker).is_file() and (not path.is_dir() or any(path.iterdir())):
        raise OutputError(f"{path}: holds something else (no {marker} in it); expected a new or an empty folder")
    _check_parent(path)


def _check_parent(path: Path) -> None:
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir():
        raise OutputError(f"{path}: cannot be written ({above} is a file)")


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid4().hex[:8]}")


def _cannot_be_written(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: cannot be written ({error.strerror or error})")
