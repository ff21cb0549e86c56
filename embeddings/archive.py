"""The files of a source by name, in a folder or in an archive that nobody vouches for.

An archive is known by its first bytes, not by its name. It may hold files and folders and nothing else: no links, no
devices, no name that leads out of it or comes twice, and no more than `LIMIT` bytes once unpacked, or `RATIO` times
its own.
"""

import bz2
import gzip
import io
import json
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, NamedTuple

from embeddings.errors import SourceError

LIMIT = 8 * 2**30
"""Most bytes that an archive may unpack to. The largest published ELMo has 1.4 GB."""

RATIO, SMALL = 200, 2**27
"""What unpacks to more than `RATIO` times its size is a bomb, unless it is `SMALL`: numbers are hardly compressed at
all, and text five times."""

MEMBERS = 10_000
"""Most members of an archive."""

_ANY = 100
"""Levels of folders, where any number will do."""

_HEADER = 2**20
"""Most bytes of a member's header in a tar archive: `tarfile` holds it in memory, however long it says to be."""

# What the readers of archives say of broken ones; not all of it is meant as an answer.
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,
    ValueError,
    LookupError,
    ArithmeticError,
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
            SourceError: it cannot be read, or unpacks to too many bytes.
        """
        with self.open(name) as file:
            if not name.endswith(".gz"):
                return file.read()
            limit = _limit(file.seek(0, os.SEEK_END))
            file.seek(0)
            with reading(self.where(name)), gzip.open(file) as unpacked:
                data = unpacked.read(limit + 1)
        if len(data) > limit:
            raise SourceError(f"{self.where(name)}: unpacks to more than {limit:,} bytes")
        return data

    def text(self, name: str) -> str:
        """The text of a file in UTF-8, packed with gzip or not.

        Raises:
            SourceError: as for `read`, or it is no UTF-8.
        """
        try:
            return self.read(name).decode()
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise SourceError(f"{self.where(name)} line {line}: not UTF-8") from None

    def json(self, name: str) -> Any:
        """The value of a file in JSON.

        Raises:
            SourceError: as for `read`, or it is no JSON.
        """
        data = self.read(name)
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{self.where(name)}: not JSON ({error})") from None

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
    """The files in a folder, not too deep within it, so that nobody's whole disk is searched.

    Args:
        path: of the folder.
        place: what messages call it.
        levels: folders within folders to look into.
    """

    def __init__(self, path: Path, place: str | None = None, levels: int = 2):
        with reading(str(path)):
            super().__init__(place or str(path), list(_names(path, levels)))
        self._path = path

    def open(self, name: str) -> BinaryIO:
        with reading(self.where(name)):
            return (self._path / name).open("rb")

    def folder(self) -> Path:
        return self._path


class Zip(Tree):
    """A zip archive; a member is unpacked into memory when it is opened."""

    def __init__(self, path: Path):
        members = _Members(path)
        with reading(str(path)):
            self._zip = zipfile.ZipFile(path)
            self._members = {members.take(_Member.of_zip(info)): info for info in self._zip.infolist()}
        self._members.pop("", None)
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
            with _unpacking(self.place) as unpacked:
                for name in self.names:
                    with self.open(name) as file:
                        _write(file, Path(unpacked.name, name))
            self._unpacked = unpacked
        return Path(self._unpacked.name)


class Tar(Folder):
    """A tar archive, compressed or not, unpacked into a temporary folder."""

    def __init__(self, path: Path):
        members = _Members(path)
        with (
            _unpacking(str(path)) as self._unpacked,
            _decompressed(path) as stream,
            tarfile.open(fileobj=_Bounded(stream, members.limit, str(path)), mode="r:") as archive,
        ):
            for info in archive:
                name = members.take(_Member.of_tar(info))
                if name:
                    _write(archive.extractfile(info), Path(self._unpacked.name, name))  # type: ignore[arg-type]
            # The checksum of the packed bytes stands at their end, behind what the archive needs.
            while stream.read(2**20):
                if stream.tell() > 2 * members.limit:
                    raise SourceError(f"{path}: unpacks to more than {members.limit:,} bytes")
        super().__init__(Path(self._unpacked.name), str(path), levels=_ANY)


def open_tree(path: Path) -> Tree:
    """The files at a place: a folder, a zip archive or a tar archive.

    Raises:
        SourceError: there is nothing, or it is a file of another kind, or an archive that is broken or not safe.
    """
    with reading(str(path)):
        if path.is_dir():
            return Folder(path)
        if path.exists() and not path.is_file():
            raise SourceError(f"{path}: a device or a pipe; expected a folder or an archive")
        if zipfile.is_zipfile(path):
            return Zip(path)
        with path.open("rb") as file:
            head = file.read(512)
    # A tar archive that is not compressed says so only within its first header.
    if head.startswith(tuple(_COMPRESSIONS)) or head[257:262] == b"ustar":
        return Tar(path)
    if head.startswith(b"PK"):
        raise SourceError(f"{path}: broken or truncated (a zip archive without its end)")
    if head.startswith(b"\x89HDF") or head.lstrip()[:1] == b"{":
        raise SourceError(f"{path}: one file of a biLM; expected its folder, or both as OPTIONS.json,WEIGHTS.hdf5")
    raise SourceError(f"{path}: a file of {path.stat().st_size:,} bytes that is no zip and no tar archive")


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


def _names(folder: Path, levels: int) -> Iterator[str]:
    def fail(error: OSError) -> None:
        # What lies deeper may be another's.
        if Path(error.filename or "") == folder:
            raise error

    found = 0
    for root, folders, files in os.walk(folder, onerror=fail):
        inner = Path(root).relative_to(folder)
        if len(inner.parts) >= levels:
            folders.clear()
        for file in files:
            if (found := found + 1) > MEMBERS:
                raise SourceError(f"{folder}: more than {MEMBERS:,} files; expected the folder of a biLM")
            # A pipe would be waited for.
            with suppress(OSError):
                if Path(root, file).is_file():
                    yield (inner / file).as_posix()


class _Member(NamedTuple):
    """What an archive says of a member."""

    name: str
    size: int
    is_file: bool
    is_folder: bool

    @classmethod
    def of_zip(cls, info: zipfile.ZipInfo) -> "_Member":
        # The upper half of the attributes is the mode of Unix; other systems leave it empty.
        kind = stat.S_IFMT(info.external_attr >> 16)
        return cls(
            info.filename, info.file_size, kind in (0, stat.S_IFREG), info.is_dir() and kind in (0, stat.S_IFDIR)
        )

    @classmethod
    def of_tar(cls, info: tarfile.TarInfo) -> "_Member":
        return cls(info.name, info.size, info.isreg() and not info.issparse(), info.isdir())


def _limit(size: int) -> int:
    """Most bytes that so many may unpack to."""
    return min(LIMIT, max(SMALL, RATIO * size))


class _Members:
    """The members of an archive as they come, and what has been seen of them."""

    def __init__(self, archive: Path):
        self._archive = archive
        self.limit = _limit(archive.stat().st_size)
        self._names: set[str] = set()
        self._count = self._size = 0

    def take(self, member: _Member) -> str:
        """The name of a file, without `./`; nothing for a folder.

        Raises:
            SourceError: the member is not safe to unpack, or one too many.
        """
        archive, name = self._archive, member.name
        if not (member.is_file or member.is_folder):
            raise SourceError(f"{archive}: member {name!r} is a link or a device; expected files alone")
        self._count += 1
        self._size += member.size
        if self._count > MEMBERS:
            raise SourceError(f"{archive}: more than {MEMBERS:,} members")
        if member.size < 0 or self._size > self.limit:
            raise SourceError(f"{archive}: unpacks to more than {self.limit:,} bytes")
        if member.is_folder:
            return ""
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or name.startswith("/") or "\\" in name or ":" in parts[0]:
            raise SourceError(f"{archive}: member {name!r} would leave the archive's folder")
        # Messages will show it.
        if not name.isprintable():
            raise SourceError(f"{archive}: member {name!r} has a name that cannot be shown")
        safe = "/".join(parts)
        if safe in self._names:
            raise SourceError(f"{archive}: member {name!r} comes twice")
        self._names.add(safe)
        return safe


@contextmanager
def _unpacking(place: str) -> Iterator[TemporaryDirectory]:
    """A temporary folder that is left only if all goes well."""
    folder = TemporaryDirectory(prefix="telmo-")
    try:
        with reading(place):
            yield folder
    except BaseException:
        folder.cleanup()
        raise


def _write(file: BinaryIO, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as unpacked:
        shutil.copyfileobj(file, unpacked)


_COMPRESSIONS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}


def _decompressed(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        head = file.read(6)
    for magic, opened in _COMPRESSIONS.items():
        if head.startswith(magic):
            return opened(path)
    return path.open("rb")


class _Bounded(io.RawIOBase):
    """The bytes of a tar archive, no more than a header's at once and not much further than a limit: what a header says
    of its own length would else be read into memory."""

    def __init__(self, file: BinaryIO, limit: int, where: str):
        self._file, self._limit, self._where = file, limit, where

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _HEADER:
            raise SourceError(f"{self._where}: a member's header of more than {_HEADER:,} bytes")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        # Headers and padding come on top of what the members say.
        if not 0 <= offset <= 2 * self._limit or whence != os.SEEK_SET:
            raise SourceError(f"{self._where}: unpacks to more than {self._limit:,} bytes")
        return self._file.seek(offset)

    def tell(self) -> int:
        return self._file.tell()
