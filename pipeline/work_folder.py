"""The folder of the work on an output, and what stands beside an output that is complete."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from embeddings.atomic import atomic_file, clear_rests
from embeddings.errors import OutputError

JOB, LOCK = "job.json", ".lock"
EXPECTED = "expected the same, to go on with it, or the folder to be removed, to begin anew"


def part_of(output: Path) -> Path:
    """The folder of the work on an output that is not complete."""
    return output.with_name(f"{output.name}.part")


def manifest_of(output: Path) -> Path:
    """The file that tells what an output holds and what it was made from."""
    return output.with_name(f"{output.name}.manifest.json")


def read_manifest(output: Path) -> dict[str, Any]:
    """The manifest of an output that is complete; else an empty one, as where another program has written a file of
    another size in its place."""
    with suppress(OSError, ValueError):
        manifest = json.loads(manifest_of(output).read_text("utf-8"))
        if output.exists() and manifest.get("bytes") == _size(output):
            return manifest
    return {}


def _size(output: Path) -> int | None:
    """The bytes of a file; a folder has none."""
    return output.stat().st_size if output.is_file() else None


def remove_finished(output: Path, job: dict[str, Any]) -> None:
    """Remove what a process left that ended after it had given an output its place."""
    folder = part_of(output)
    with suppress(OSError, ValueError):
        clear_rests(output)
        begun, known = json.loads((folder / JOB).read_text("utf-8")), json.loads(json.dumps(job))
        if all(known.get(key) == value for key, value in begun.items()):
            shutil.rmtree(folder)


def keeps(folder: Path) -> str:
    """The end of the message of an error after which there is something to go on with."""
    return f"; {folder} keeps what is done, and the same command goes on with it"


class WorkFolder:
    """The folder of the work on an output, beside it, in which one process works at a time on one job.

    Args:
        output: the store.
        job: what is to be done. Work of before is gone on with if it was for the same.

    Raises:
        OutputError: the folder holds the work on another job or something else, or another process works in it.
    """

    def __init__(self, output: Path, job: dict[str, Any]):
        self.output, self.folder = output, part_of(output)
        self._taken = False
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.folder)
            self._check(job)
        self._taken = True

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def _check(self, job: dict[str, Any]) -> None:
        path, job = self.folder / JOB, json.loads(json.dumps(job))
        if not path.exists():
            if any(not item.name.startswith(".") for item in self.folder.iterdir()):
                raise OutputError(f"{self.folder}: holds something else; expected an unfinished embedding, or nothing")
            with atomic_file(path) as temporary:
                temporary.write_text(json.dumps(job, ensure_ascii=False, indent=2), "utf-8")
        begun = json.loads(path.read_text("utf-8"))
        # Also what only the work of before was told, such as the shards of another engine.
        for key in job | begun:
            then, now = begun.get(key), job.get(key)
            if then != now:
                raise OutputError(f"{self.folder}: {_difference(key, then, now)}; {EXPECTED}")

    def remove(self) -> None:
        """Leave nothing of the work."""
        for item in self.folder.iterdir() if self.folder.exists() else ():
            if item.is_dir():
                shutil.rmtree(item, ignore_errors=True)
            elif item.name != LOCK:
                with suppress(OSError):
                    item.unlink()
        if os.name == "nt":
            self._lock.close()
        # The lock goes last, and nobody takes it before. On NFS it has another name until it is closed.
        with suppress(OSError):
            (self.folder / LOCK).unlink()
        self._lock.close()
        with suppress(OSError):
            self.folder.rmdir()

    def _write_manifest(self, manifest: dict[str, Any]) -> None:
        if self.output.is_file():
            manifest = manifest | {"bytes": _size(self.output)}
        with atomic_file(manifest_of(self.output)) as temporary:
            temporary.write_text(json.dumps(manifest, ensure_ascii=False, indent=2) + "\n", "utf-8")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Says of a full disk and the like whether something is left of the work."""
        try:
            yield
        except ValueError as error:
            raise OutputError(f"{self.folder}: cannot be gone on with ({error}); remove it to begin anew") from None
        except OutputError as error:
            raise OutputError(f"{error}{self._kept()}") from None
        except OSError as error:
            raise OutputError(f"{self.output}: cannot be written ({error.strerror or error}){self._kept()}") from None

    def _kept(self) -> str:
        return keeps(self.folder) if self._taken and self._has_work() else ""

    def _has_work(self) -> bool:
        """Whether the next process finds anything done."""
        raise NotImplementedError


def _difference(key: str, then: Any, now: Any) -> str:
    if key == "files" and then and now:
        # Name, bytes and checksum of each.
        before, after = ({file[0]: file for file in files} for files in (then, now))
        if changed := [name for name in after if name in before and after[name] != before[name]]:
            return f"was begun with another content of {', '.join(changed)}"
        then, now = list(before), list(after)
    return f"was begun with {key} {json.dumps(then)}, now it is {json.dumps(now)}"


def _locked(folder: Path) -> Any:
    """Hold a folder as long as the file that this gives is open, or the process lives.

    Raises:
        OutputError: another process holds it.
    """
    file = (folder / LOCK).open("w")
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        pass  # Windows has no such lock.
    except OSError:
        file.close()
        raise OutputError(f"{folder}: another process works in it; wait for its end") from None
    return file
