"""Files and folders that are there whole or not at all, whether the process is killed or the power is lost."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from glob import escape
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
    clear_rests(path)
    temporary = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    except OSError as error:
        raise _cannot_be_written(path, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def atomic_folder(path: Path, files: Sequence[str]) -> Iterator[Path]:
    """As `atomic_file`, for a folder. A folder that stood at `path` before is replaced if it is an earlier result.

    Args:
        path: of the folder.
        files: what a result of this kind holds: first the file by which it is known, then the other files and folders.

    Raises:
        OutputError: the place cannot be written, or holds something else.
    """
    check_folder(path, files)
    path = path.absolute()
    clear_rests(path)
    temporary, replaced = _beside(path), replaced_by(path)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        for written in (*temporary.rglob("*"), temporary):
            _flush(written)
        if path.exists():
            path.rename(replaced)
        temporary.rename(path)
        _flush(path.parent)
    except OSError as error:
        raise _cannot_be_written(path, error) from None
    finally:
        if replaced.exists() and not path.exists():
            replaced.rename(path)
        for rest in (temporary, replaced):
            shutil.rmtree(rest, ignore_errors=True)


def check_file(path: Path, begins: bytes = b"") -> None:
    """Whether a file may be written here; asked before long work, so that its result is not lost.

    Args:
        path: of the file.
        begins: first bytes of every file of this kind: one that begins otherwise is somebody's own and not replaced.

    Raises:
        OutputError: it may not.
    """
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; expected a file to write")
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(len(begins)) != begins:
                raise OutputError(f"{path}: holds something else; expected a new file, or an earlier result")
    _check_parent(path)


def check_folder(path: Path, files: Sequence[str]) -> None:
    """Whether a folder may be written here; asked before long work, so that its result is not lost.

    Raises:
        OutputError: it may not: the place holds something that is not an earlier result, or more than that.
    """
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path}: is a file; expected a new or an empty folder")
    found = {item.name for item in path.iterdir() if not item.name.startswith(".")} if path.exists() else set()
    if found and not (path / files[0]).is_file():
        raise OutputError(f"{path}: holds something else (no {files[0]} in it); expected a new or an empty folder")
    foreign = sorted(found - {file.partition("/")[0] for file in files})
    if foreign:
        raise OutputError(f"{path}: holds {foreign[0]}, too; expected a new or an empty folder")
    _check_parent(path)


def _check_parent(path: Path) -> None:
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir():
        raise OutputError(f"{path}: cannot be written ({above} is a file)")
    if not os.access(above, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: cannot be written (no permission to write in {above})")


def _flush(path: Path) -> None:
    """Have a file's bytes, or a folder's names, written to the disk. The system may else keep them in memory for half a
    minute, and write the new name before the bytes that it stands for."""
    if os.name == "nt":
        return  # It opens no folders, and flushes no file that is open to be read.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_written: set[str] = set()
"""Parts of the names that this process writes to. Its number alone does not tell: in a container the process that was
killed had the same."""


def _beside(path: Path) -> Path:
    mine = f"{os.getpid()}-{uuid4().hex[:8]}"
    _written.add(mine)
    return path.with_name(f".{path.name}.{mine}")


def replaced_by(path: Path) -> Path:
    """Where an earlier folder stands while the new one takes its name."""
    return path.with_name(f".{path.name}.replaced")


def clear_rests(path: Path) -> None:
    """Put back what a writer that was killed had moved out of the way, and remove what it had not finished."""
    if replaced_by(path).exists():
        if path.exists():
            shutil.rmtree(replaced_by(path), ignore_errors=True)
        else:
            replaced_by(path).rename(path)
    if os.name == "nt":
        return  # There is no asking whether a process runs.
    for rest in path.parent.glob(f".{escape(path.name)}.*-*"):
        writer = re.fullmatch(r"(\d+)-[0-9a-f]{8}", rest.name.removeprefix(f".{path.name}."))
        if writer and writer[0] not in _written and not _runs(int(writer[1])):
            if rest.is_dir():
                shutil.rmtree(rest, ignore_errors=True)
            else:
                rest.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    """Whether another process runs."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _cannot_be_written(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: cannot be written ({error.strerror or error})")
