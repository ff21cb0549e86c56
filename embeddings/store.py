"""Files of vectors: HDF5 in AllenNLP's layout to hand out, a memory map to train from."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from embeddings.atomic import atomic_file, atomic_folder


def write_hdf5(path: Path, sentences: Iterable[Sequence[str]], vectors: Iterable[np.ndarray]) -> int:
    """Write the layers of sentences as `allennlp elmo` did: a dataset `"0"`, `"1"`, ... a sentence and
    `sentence_to_index`.

    The file takes its name when it is complete. A sentence that occurs twice has two datasets; `sentence_to_index`
    names the last.

    Args:
        path: the file.
        sentences: lists of words; the key in `sentence_to_index` is the words joined by spaces.
        vectors: for each sentence float32 `[layers, words, dim]`.

    Returns:
        The number of sentences.

    Raises:
        OutputError: the file cannot be written.
    """
    index: dict[str, str] = {}
    count = 0
    with atomic_file(path) as temporary, h5py.File(temporary, "w") as file:
        for sentence, layers in zip(sentences, vectors, strict=True):
            file.create_dataset(str(count), data=layers)
            index[" ".join(sentence)] = str(count)
            count += 1
        mapping = file.create_dataset("sentence_to_index", (1,), dtype=h5py.string_dtype("utf-8"))
        mapping[0] = json.dumps(index, ensure_ascii=False)
    return count


SHAPE = "shape.json"


class Store:
    """Layers of many sentences in one flat file, read through a memory map.

    `store[k]` is float32 `[layers, words, dim]`, a view into the file.

    Args:
        folder: written by `Store.write`.
    """

    def __init__(self, folder: Path):
        shape = json.loads((folder / SHAPE).read_text("utf-8"))
        self.layers, self.dim = shape["layers"], shape["dim"]
        self._first_word = np.load(folder / "first_word.npy")
        values = self._first_word[-1] * self.layers * self.dim
        # An empty file cannot be mapped.
        self._values = np.memmap(folder / "vectors.f32", np.float32, "r", shape=(values,)) if values else np.empty(0)

    @classmethod
    def write(cls, folder: Path, vectors: Iterable[np.ndarray]) -> "Store":
        """Write the layers `[layers, words, dim]` of sentences; the folder takes its name when it is complete.

        Raises:
            OutputError: the folder cannot be written.
        """
        lengths, shape = [0], {"layers": 0, "dim": 0}
        with atomic_folder(folder, (SHAPE, "vectors.f32", "first_word.npy")) as temporary:
            with (temporary / "vectors.f32").open("wb") as file:
                for layers in vectors:
                    shape = {"layers": layers.shape[0], "dim": layers.shape[2]}
                    lengths.append(layers.shape[1])
                    file.write(np.ascontiguousarray(layers, np.float32).data)
            np.save(temporary / "first_word.npy", np.cumsum(lengths, dtype=np.int64))
            (temporary / SHAPE).write_text(json.dumps(shape), "utf-8")
        return cls(folder)

    def __len__(self) -> int:
        return len(self._first_word) - 1

    def __getitem__(self, k: int) -> np.ndarray:
        first, last = self._first_word[k : k + 2] * (self.layers * self.dim)
        return self._values[first:last].reshape(self.layers, -1, self.dim)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[k] for k in range(len(self)))
