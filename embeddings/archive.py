"""The files of a source by name, in a folder or in an archive that nobody vouches for.

An archive is known by its first bytes, not by its name. It may hold files and folders and nothing else: no links, no
devices, no name that leads out of it, and no more than `LIMIT` bytes once unpacked.
"""

import gzip
import io
import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import BinaryIO

from embeddings.errors import SourceError

LIMIT = 8 * 2**30
"""Most bytes that an archive may unpack to. The largest published ELMo has 1.4 GB."""

MEMBERS = 10_000
"""Most members of an archive."""

_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
)


class Tree(ABC):
    """Files by name, such as `model/options.json`.

    Args:
        place: what messages call it.
        names: of all files, sorted.
    """

    def __init__(self, place: str, names: list[str]):
        self.place, self.names = place, sorted(names)

    @abstractmethod
    def open(self, name: str) -> BinaryIO:
        """A file to read, seekable.

        Raises:
            SourceError: it cannot be read.
        """

    @abstractmethod
    def folder(self) -> Path:
        """A folder on disk with these files, for libraries that read by path; it lives as long as the tree."""

    def read(self, name: str) -> bytes:
        """All bytes of a file; a name that ends in `.gz` is unpacked.

        Raises:
            SourceError: it cannot be read, or unpacks to more than `LIMIT` bytes.
        """
        with self.open(name) as file:
            if not name.endswith(".gz"):
                return file.read()
            with reading(self.where(name)), gzip.open(file) as unpacked:
                data = unpacked.read(LIMIT + 1)
        if len(data) > LIMIT:
            raise SourceError(f"{self.where(name)}: unpacks to more than {LIMIT:,} bytes")
        return data

    def where(self, name: str) -> str:
        """A file's place, for messages."""
        return f"{self.place}/{name}"

    def head(self, name: str, size: int = 8) -> bytes:
        """A file's first bytes."""
        with self.open(name) as file:
            return file.read(size)

    def named(self, *endings: str) -> list[str]:
        """The files whose last part has one of these endings; hidden ones are left out."""
        parts = ((name, name.rpartition("/")[2]) for name in self.names)
        return [name for name, last in parts if last.endswith(endings) and not last.startswith(".")]

    def within(self, name: str) -> str:
        """The folder that holds a file, with a slash at its end; nothing for the uppermost."""
        return name[: name.rfind("/") + 1]

    def below(self, name: str) -> "Tree":
        """The same tree as seen from the folder that holds `name`."""
        prefix = self.within(name)
        return _Below(self, prefix) if prefix else self


class _Below(Tree):
    def __init__(self, tree: Tree, prefix: str):
        names = [name.removeprefix(prefix) for name in tree.names if name.startswith(prefix)]
        super().__init__(tree.where(prefix.rstrip("/")), names)
        self._tree, self._prefix = tree, prefix

    def open(self, name: str) -> BinaryIO:
        return self._tree.open(self._prefix + name)

    def head(self, name: str, size: int = 8) -> bytes:
        return self._tree.head(self._prefix + name, size)

    def folder(self) -> Path:
        return self._tree.folder() / self._prefix


class Files(Tree):
    """Files that were named one by one."""

    def __init__(self, *paths: Path):
        self._paths = {str(path): path for path in paths}
        super().__init__("", list(self._paths))

    def open(self, name: str) -> BinaryIO:
        with reading(name):
            return self._paths[name].open("rb")

    def where(self, name: str) -> str:
        return name

    def folder(self) -> Path:
        raise NotImplementedError("files named one by one are in no folder of their own")


class Folder(Tree):
    """The files in a folder, four levels deep at most."""

    def __init__(self, path: Path, place: str | None = None):
        super().__init__(place or str(path), list(_names(path)))
        self._path = path

    def open(self, name: str) -> BinaryIO:
        with reading(self.where(name)):
            return (self._path / name).open("rb")

    def folder(self) -> Path:
        return self._path


class Zip(Tree):
    """A zip archive; a member is unpacked into memory when it is opened."""

    def __init__(self, path: Path):
        with reading(str(path)):
            self._zip = zipfile.ZipFile(path)
        self._members: dict[str, zipfile.ZipInfo] = {}
        sizes = 0
        for member in self._zip.infolist():
            # The upper half of the attributes is the mode of Unix.
            kind = (member.external_attr >> 16) & 0o170000
            if kind not in (0, 0o100000, 0o040000):
                raise SourceError(f"{path}: member '{member.filename}' is a link or a device; expected files alone")
            if not member.is_dir():
                self._members[_safe(member.filename, path)] = member
                sizes += member.file_size
        _check_sizes(path, len(self._members), sizes)
        super().__init__(str(path), list(self._members))
        self._unpacked: TemporaryDirectory | None = None

    def open(self, name: str) -> BinaryIO:
        member = self._members[name]
        with reading(self.where(name)), self._zip.open(member) as file:
            # The size that the archive states is not trusted.
            data = file.read(member.file_size + 1)
        if len(data) != member.file_size:
            raise SourceError(f"{self.where(name)}: {len(data):,} bytes; the archive states {member.file_size:,}")
        return io.BytesIO(data)

    def head(self, name: str, size: int = 8) -> bytes:
        with reading(self.where(name)), self._zip.open(self._members[name]) as file:
            return file.read(size)

    def folder(self) -> Path:
        if self._unpacked is None:
            self._unpacked = TemporaryDirectory(prefix="telmo-")
            for name in self.names:
                target = Path(self._unpacked.name, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(self.open(name).getbuffer())  # type: ignore[attr-defined]
        return Path(self._unpacked.name)


class Tar(Folder):
    """A tar archive, compressed or not, unpacked into a temporary folder."""

    def __init__(self, path: Path):
        self._unpacked = TemporaryDirectory(prefix="telmo-")
        folder = Path(self._unpacked.name)
        with reading(str(path)), tarfile.open(path) as archive:
            size = 0
            for count, member in enumerate(archive):
                if not (member.isreg() or member.isdir()):
                    raise SourceError(f"{path}: member '{member.name}' is a link or a device; expected files alone")
                size += member.size
                _check_sizes(path, count, size)
                if member.isreg():
                    target = folder / _safe(member.name, path)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("wb") as file:
                        shutil.copyfileobj(archive.extractfile(member), file)  # type: ignore[arg-type]
        super().__init__(folder, str(path))


def open_tree(path: Path) -> Tree:
    """The files at a place: a folder, a zip archive or a tar archive.

    Raises:
        SourceError: there is nothing, or it is a file of another kind, or an archive that is broken or not safe.
    """
    if path.is_dir():
        return Folder(path)
    with reading(str(path)):
        if zipfile.is_zipfile(path):
            return Zip(path)
        if tarfile.is_tarfile(path):
            return Tar(path)
        size = path.stat().st_size
    raise SourceError(f"{path}: a file of {size:,} bytes that is no zip and no tar archive")


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Says of whatever goes wrong while a file is read where that was.

    Raises:
        SourceError: the file is missing, broken or truncated.
    """
    try:
        yield
    except OSError as error:
        raise SourceError(f"{where}: cannot be read ({error.strerror or error})") from None
    except _BROKEN as error:
        raise SourceError(f"{where}: broken or truncated ({error or type(error).__name__})") from None


def _names(folder: Path, levels: int = 4) -> Iterator[str]:
    found = 0
    for root, folders, files in os.walk(folder):
        inner = Path(root).relative_to(folder)
        if len(inner.parts) >= levels - 1:
            folders.clear()
        for file in files:
            if (found := found + 1) > MEMBERS:
                raise SourceError(f"{folder}: more than {MEMBERS:,} files; expected the folder of a biLM")
            yield (inner / file).as_posix()


def _safe(name: str, archive: Path) -> str:
    """A member's name, without `./`."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/") or "\\" in name or "\0" in name or ":" in parts[0]:
        raise SourceError(f"{archive}: member '{name}' would leave the archive's folder")
    return "/".join(parts)


def _check_sizes(archive: Path, members: int, size: int) -> None:
    if members > MEMBERS:
        raise SourceError(f"{archive}: more than {MEMBERS:,} members")
    if size > LIMIT:
        raise SourceError(f"{archive}: unpacks to more than {LIMIT:,} bytes")
