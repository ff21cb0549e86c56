"""Vectors of many sentences, written as they come and read by position."""

import json
import mmap
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from embeddings.atomic import atomic_file, atomic_folder
from embeddings.growing import GrowingArray, GrowingLines

ABOUT, VECTORS, PLACES, SENTENCES = "store.json", "vectors.npy", "places.npy", "sentences.jsonl"
STORE_FILES = (ABOUT, VECTORS, PLACES, SENTENCES)
JOURNAL = "journal.json"
GROUP = 64 * 2**20
"""Bytes of vectors that whoever goes through a store has in memory, about."""


class Vectors(Sequence[np.ndarray]):
    """Vectors of sentences by position: `vectors[k]` is `[layers, rows, dim]` with a row a word, or one row of a
    sentence that was pooled.

    Attributes:
        layers, dim: of the arrays.
    """

    layers: int
    dim: int

    @abstractmethod
    def words(self, k: int) -> list[str]:
        """The words of a sentence."""

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[k] for k in range(len(self)))

    def dataset(self) -> Any:
        """All sentences in order as a `tf.data.Dataset`, read as they are asked for."""
        import tensorflow as tf

        dtype = self[0].dtype if len(self) else np.float32
        return tf.data.Dataset.from_generator(
            lambda: iter(self), output_signature=tf.TensorSpec([self.layers, None, self.dim], dtype)
        )


class FlatVectors(Vectors):
    """Vectors of all sentences one after the other.

    Args:
        vectors: `[rows, layers, dim]`, an array or what is read like one.
        places: int64 `[sentences + 1, 2]`: where each sentence begins, its row and its byte in `sentences`.
        sentences: file of the words of each sentence, a JSON list a line.
    """

    def __init__(self, vectors: Any, places: np.ndarray, sentences: Path):
        self.vectors, self.places, self.file_of_sentences = vectors, places, sentences
        self.layers, self.dim = vectors.shape[1:]

    def __len__(self) -> int:
        return len(self.places) - 1

    def __getitem__(self, k: Any) -> Any:
        first, last = self._between(k, 0)
        return np.asarray(self.vectors[first:last]).transpose(1, 0, 2)

    def words(self, k: int) -> list[str]:
        first, last = self._between(k, 1)
        with self.file_of_sentences.open("rb") as file:
            file.seek(first)
            return json.loads(file.read(last - first))

    def _between(self, k: int, column: int) -> tuple[int, int]:
        k = range(len(self))[k]
        return self.places[k, column], self.places[k + 1, column]

    def sentences(self, first: int = 0, last: int | None = None) -> Iterator[list[str]]:
        """The words of the sentences from one number to another."""
        with self.file_of_sentences.open("rb") as file:
            file.seek(self.places[first, 1])
            yield from map(json.loads, islice(file, (len(self) if last is None else last) - first))


class Store(FlatVectors):
    """Vectors in NumPy's own form, read through a memory map.

    store.json        what the writer tells
    vectors.npy, places.npy, sentences.jsonl    as in `FlatVectors`

    Args:
        folder: written by `Store.write` or a `StoreWriter`.

    Attributes:
        about: what `store.json` holds.
    """

    def __init__(self, folder: Path):
        self.about: dict[str, Any] = json.loads((folder / ABOUT).read_text("utf-8"))
        places = np.load(folder / PLACES)
        # An empty file cannot be mapped.
        vectors = np.load(folder / VECTORS, mmap_mode="r" if places[-1, 0] else None)
        super().__init__(vectors, places, folder / SENTENCES)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[k] for first, last in self.groups() for k in range(first, last))

    def groups(self) -> Iterator[tuple[int, int]]:
        """First and last sentence of each group of about `GROUP` bytes of vectors. What was read of a group is out of
        memory before the next one comes."""
        rows = max(1, GROUP // max(1, self.layers * self.dim * self.vectors.itemsize))
        begins = self.places[:, 0]
        cuts = [0]
        while cuts[-1] < len(self):
            cut = int(np.searchsorted(begins, begins[cuts[-1]] + rows))
            cuts.append(min(max(cuts[-1] + 1, cut), len(self)))
        for first, last in pairwise(cuts):
            yield first, last
            self.let_go()

    def let_go(self) -> None:
        """Have what was read of the vectors no longer count as memory of this process, to which the pages of the map
        belong until the machine runs short. They can be read again."""
        if isinstance(self.vectors.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            self.vectors.base.madvise(mmap.MADV_DONTNEED)

    @classmethod
    def write(cls, folder: Path, vectors: Iterable[np.ndarray]) -> "Store":
        """Write the layers `[layers, words, dim]` of sentences; the folder takes its name when it is complete.

        Raises:
            OutputError: the folder cannot be written.
        """
        with atomic_folder(folder, STORE_FILES) as temporary:
            writer = StoreWriter(temporary)
            for layers in vectors:
                writer.add(layers)
            writer.finish({})
        return cls(folder)


class StoreWriter:
    """Writes the files of a `Store` a sentence at a time. What was committed outlives the process, and a new writer
    goes on behind it.

    Args:
        folder: that is there. One with a journal is gone on with.

    Attributes:
        sentences, rows: written so far.
        progress: what the last commit said of itself, or an empty one.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        journal = folder / JOURNAL
        done = json.loads(journal.read_text("utf-8")) if journal.exists() else {}
        self.progress: dict[str, Any] = done.get("progress", {})
        self.sentences, self.rows, self._shape = done.get("sentences", 0), done.get("rows", 0), done.get("shape")
        self._places = GrowingArray(folder / PLACES, (2,), np.int64, self.sentences + 1 if done else 0)
        if not done:
            self._places.add_rows(np.zeros((1, 2)))
        self._lines = GrowingLines(folder / SENTENCES, done.get("bytes", 0))
        self._vectors = self._array() if self._shape else None

    def _array(self) -> GrowingArray:
        layers, dim, dtype = self._shape or (0, 0, "<f4")
        return GrowingArray(self._folder / VECTORS, (layers, dim), dtype, self.rows)

    def add(self, vectors: np.ndarray, words: Sequence[str] | None = None) -> None:
        """Write a sentence: its vectors `[layers, rows, dim]` and its words."""
        if self._vectors is None:
            self._shape = [vectors.shape[0], vectors.shape[2], vectors.dtype.str]
            self._vectors = self._array()
        self._vectors.add_rows(vectors.transpose(1, 0, 2))
        if words is not None:
            self._lines.add_values([list(words)])
        self.rows += vectors.shape[1]
        self.sentences += 1
        self._places.add_rows(np.array([[self.rows, self._lines.size]]))

    def commit(self, progress: dict[str, Any]) -> None:
        """Have all that was written on the disk, and say that it is.

        Args:
            progress: what the next writer is to know.
        """
        for file in (self._vectors, self._places, self._lines):
            if file:
                file.flush()
        self.progress = progress
        done = {"sentences": self.sentences, "rows": self.rows, "shape": self._shape, "bytes": self._lines.size}
        with atomic_file(self._folder / JOURNAL) as temporary:
            temporary.write_text(json.dumps(done | {"progress": progress}), "utf-8")

    def finish(self, about: dict[str, Any]) -> None:
        """Make the files a `Store`; the journal is then no more.

        Args:
            about: what the store tells of itself.
        """
        (self._vectors or self._array()).finish()
        self._places.finish()
        self._lines.flush()
        self._lines.close()
        with atomic_file(self._folder / ABOUT) as temporary:
            temporary.write_text(json.dumps(about, ensure_ascii=False, indent=2), "utf-8")
        (self._folder / JOURNAL).unlink(missing_ok=True)

    def close(self) -> None:
        """Let the files go, what was not committed to be cut off by the next writer."""
        for file in (self._vectors, self._places, self._lines):
            if file:
                file.close()
