"""An embedding that is under way: what is done of it outlives the process, and the next one goes on from there."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embeddings.atomic import atomic_file, atomic_folder
from embeddings.errors import OutputError
from embeddings.growing import GrowingArray, GrowingLines
from embeddings.store import ABOUT, JOURNAL, SENTENCES, STORE_FILES, Store, StoreWriter
from embeddings.stores import StoreFormat, write_vectors
from pipeline.work_folder import EXPECTED, WorkFolder, manifest_of

if TYPE_CHECKING:
    from embeddings.embedder import Embedder, Learned
    from pipeline.sentence_stream import Sentence


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
        return OutputError(f"{found}; {EXPECTED}")


def _link(old: Path, new: Path) -> None:
    """Give a file a second name; where a file system has none, a copy."""
    try:
        os.link(old, new)
    except OSError:
        shutil.copy(old, new)
