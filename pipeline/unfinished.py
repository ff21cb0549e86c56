"""An embedding that is under way: what is done of it outlives the process, and the next one goes on from there."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embeddings.atomic import atomic_file, atomic_folder, clear_rests
from embeddings.errors import OutputError
from embeddings.growing import GrowingArray, GrowingLines
from embeddings.store import ABOUT, JOURNAL, SENTENCES, STORE_FILES, Store, StoreWriter
from embeddings.stores import StoreFormat, write_vectors

if TYPE_CHECKING:
    from embeddings.embedder import Embedder, Learned
    from pipeline.sentence_stream import Sentence

JOB, LOCK = "job.json", ".lock"
_EXPECTED = "expected the same, to go on with it, or the folder to be removed, to begin anew"


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
                found = f"was begun with {key} {json.dumps(then)}, now it is {json.dumps(now)}"
                raise OutputError(f"{self.folder}: {found}; {_EXPECTED}")

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


class Unfinished(WorkFolder):
    """The work on an output by one process.

    Committed together are the vectors, the place in the corpus and what the embedder has learned, so that the next
    process goes on as if there had been no end, to the last bit.

    Args:
        output, job: as for `WorkFolder`.

    Attributes:
        complete: whether nothing is left to do but `publish`.
        progress: what the last commit said, or an empty one.

    Raises:
        OutputError: as for `WorkFolder`.
    """

    def __init__(self, output: Path, job: dict[str, Any]):
        super().__init__(output, job)
        self._words: GrowingLines | None = None
        with self._writing():
            self.complete = (self.folder / ABOUT).exists()
            self.progress: dict[str, Any] = {}
            if not self.complete:
                self._store = StoreWriter(self.folder)
                self.progress = self._store.progress
                self._clear()

    def __enter__(self) -> "Unfinished":
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()
        if not self.complete:
            self._store.close()
            if not self._has_work():
                self.remove()
        super().__exit__()

    def _has_work(self) -> bool:
        return any((self.folder / name).exists() for name in (ABOUT, JOURNAL))

    def _let_go(self) -> None:
        """Close the files of what was learned."""
        if self._words is not None:
            self._words.close()
            self._vectors.close()

    def _clear(self) -> None:
        """Remove what an embedder had forgotten when its process ended, and what it learned after the last commit."""
        kept = self.progress.get("generation", 0)
        for file in (*self.folder.glob("words-*"), *self.folder.glob("state-*")):
            if file.name not in (f"words-{kept}.jsonl", f"words-{kept}.npy", self.progress.get("state")):
                file.unlink()

    # === What the embedder has learned ===

    def teach(self, embedder: "Embedder") -> None:
        """Let an embedder know what the one before it had learned, and keep from now on what it learns."""
        width = embedder.bilm.options.projection
        with self._writing():
            self._open(width)
            assert self._words is not None
            words = self._words.values()
            if words:
                embedder.learn(words, self._vectors.values(), self._state(embedder))

    def _open(self, width: int) -> None:
        generation, known = self.progress.get("generation", 0), self.progress.get("known", (0, 0))
        self._generation = generation
        self._words = GrowingLines(self.folder / f"words-{generation}.jsonl", known[1])
        self._vectors = GrowingArray(self.folder / f"words-{generation}.npy", (width,), np.float32, known[0])

    def _state(self, embedder: "Embedder") -> list | None:
        """The state of the recurrent layers, as `Embedder.learn` takes it."""
        name = self.progress.get("state")
        if not name:
            return None
        options = embedder.bilm.options
        with np.load(self.folder / name) as file:
            arrays = iter([file[key] for key in file.files])
        return [
            [[next(arrays) for _ in options.state_sizes] for _ in range(options.layers)]
            for _ in range(options.directions)
        ]

    def _remember(self, learned: "Learned") -> dict[str, Any]:
        """Write what was learned; what was forgotten stays until the next commit is there."""
        assert self._words is not None
        if learned.first == 0 and self._vectors.rows:
            self._let_go()
            self.progress = self.progress | {"generation": self._generation + 1, "known": (0, 0)}
            self._open(learned.vectors.shape[1])
        self._words.add_values(learned.words)
        self._vectors.add_rows(learned.vectors)
        for file in (self._words, self._vectors):
            file.flush()
        found = {"generation": self._generation, "known": (self._vectors.rows, self._words.size)}
        if learned.state is None:
            return found
        name = f"state-{self._store.sentences}.npz"
        with atomic_file(self.folder / name) as temporary, temporary.open("wb") as stream:
            np.savez(stream, *[rows for direction in learned.state for layer in direction for rows in layer])
        return found | {"state": name}

    # === Vectors ===

    def add(self, vectors: np.ndarray, words: Sequence[str]) -> None:
        """Write what is kept of a sentence."""
        with self._writing():
            self._store.add(vectors, words)

    def commit(self, learned: "Learned", progress: dict[str, Any]) -> None:
        """Make all that was written outlive the process.

        Args:
            learned: news of the embedder, all since the last commit.
            progress: what the next process is to know.
        """
        with self._writing():
            self.progress = progress | self._remember(learned)
            self._store.commit(self.progress)
            self._clear()

    def finish(self, about: dict[str, Any]) -> None:
        """All sentences are written.

        Args:
            about: what the store tells of itself.
        """
        with self._writing():
            self._store.finish(about)
            self.complete = True
        self._let_go()

    def publish(self, form: StoreFormat, manifest: dict[str, Any]) -> None:
        """Give the store its place and its form, and remove the folder of the work.

        Raises:
            OutputError: it cannot be written.
        """
        with self._writing():
            # No manifest stands beside a store that is not its own, whenever this ends.
            manifest_of(self.output).unlink(missing_ok=True)
            if form == "npy":
                with atomic_folder(self.output, STORE_FILES) as temporary:
                    for name in STORE_FILES:
                        _link(self.folder / name, temporary / name)
            else:
                write_vectors(self.output, Store(self.folder), form)
            self._write_manifest(manifest)
        self.remove()

    def about(self) -> dict[str, Any]:
        """What the finished store tells of itself."""
        return Store(self.folder).about

    def sentences(self) -> Iterator[list[str]]:
        """The words of all sentences that are committed."""
        most = None if self.complete else self._store.sentences
        with (self.folder / SENTENCES).open("rb") as file:
            yield from map(json.loads, islice(file, most))

    def behind(self, sentences: "Iterator[Sentence]", end: bool = False) -> "Iterator[Sentence]":
        """The sentences behind those that are committed, of a corpus that can only be read from its beginning.

        Args:
            sentences: all of the corpus.
            end: whether none may stand there.

        Raises:
            OutputError: they are of another corpus.
        """
        number = 0
        for number, words in enumerate(self.sentences(), start=1):
            found = next(sentences, None)
            if found is None or found.words != words:
                raise self._other_text(number)
        if end and next(sentences, None):
            raise self._other_text(number + 1)
        return sentences

    def _other_text(self, number: int) -> OutputError:
        found = f"{self.folder}: was begun with another text from standard input; sentence {number} differs"
        return OutputError(f"{found}; {_EXPECTED}")


def _link(old: Path, new: Path) -> None:
    """Give a file a second name; where a file system has none, a copy."""
    try:
        os.link(old, new)
    except OSError:
        shutil.copy(old, new)


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
