"""Vectors in HDF5 as AllenNLP laid it out: a dataset `"0"`, `"1"`, ... a sentence, and `sentence_to_index`."""

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from embeddings.atomic import atomic_file
from embeddings.errors import InputError
from embeddings.store import Vectors

INDEX = "sentence_to_index"
AGAIN = "again"
"""An attribute of a dataset whose sentence occurs again: the number of the last one that is the same."""


def write_hdf5(path: Path, sentences: Iterable[Sequence[str]], vectors: Iterable[np.ndarray]) -> int:
    """Write the layers of sentences as `allennlp elmo` did.

    The file takes its name when it is complete. A sentence that occurs twice has two datasets; `sentence_to_index`
    names the last, and the attribute `again` of the first, too. It is one text with all sentences, which is in memory,
    so that a large corpus is better kept in another form.

    Args:
        path: the file.
        sentences: lists of words; the key in `sentence_to_index` is the words joined by spaces.
        vectors: for each sentence `[layers, rows, dim]`.

    Returns:
        The number of sentences.

    Raises:
        OutputError: the file cannot be written.
    """
    index: dict[str, int] = {}
    earlier: list[tuple[int, str]] = []
    count = 0
    with atomic_file(path) as temporary, _Disk(temporary, "w+") as disk:
        try:
            with h5py.File(disk, "w") as file:
                for sentence, layers in zip(sentences, vectors, strict=True):
                    file.create_dataset(str(count), data=layers)
                    text = " ".join(sentence)
                    if text in index:
                        earlier.append((index[text], text))
                    index[text] = count
                    count += 1
                    disk.check()
                for number, text in earlier:
                    file[str(number)].attrs[AGAIN] = index[text]
                mapping = file.create_dataset(INDEX, (1,), dtype=h5py.string_dtype("utf-8"))
                mapping[0] = json.dumps({text: str(number) for text, number in index.items()}, ensure_ascii=False)
        finally:
            # Behind a write that failed HDF5 may find what it did not write: that is not what is to be told.
            disk.check()
    return count


class _Disk(FileIO):
    """A file that takes what HDF5 writes, and keeps to itself that the disk does not. HDF5 cannot close a file that it
    cannot write, and takes the whole process with it when that ends."""

    _error: OSError | None = None

    def check(self) -> None:
        """Raises:
        OSError: something could not be written.
        """
        if self._error:
            raise self._error

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self._error = self._error or error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size or 0


class Hdf5Vectors(Vectors):
    """Vectors of a file that `write_hdf5` or AllenNLP wrote.

    Args:
        path: the file.
    """

    def __init__(self, path: Path):
        self._file = h5py.File(path)
        self._count = len(self._file) - (INDEX in self._file)
        first = self._file["0"].shape if self._count else (0, 0, 0)
        # One layer alone is `[words, dim]` in AllenNLP's files.
        self.layers, self.dim = first[0] if len(first) > 2 else 1, first[-1]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, k: Any) -> Any:
        found = self._file[str(range(len(self))[k])][()]
        return found if found.ndim > 2 else found[None]

    def words(self, k: int) -> list[str]:
        """The words of a sentence, parted at the spaces between them.

        Raises:
            InputError: the file does not know them. Of sentences that are the same AllenNLP's name the last alone.
        """
        number = range(len(self))[k]
        number = int(self._file[str(number)].attrs.get(AGAIN, number))
        if number not in self._texts:
            raise InputError(f"{self._file.filename}: knows no words of sentence {number}, only its vectors")
        text = self._texts[number]
        return text.split(" ") if text else []

    @cached_property
    def _texts(self) -> dict[int, str]:
        index = json.loads(self._file[INDEX][0])
        return {int(number): text for text, number in index.items()}
