"""Vectors in Parquet, for pandas, polars and Spark: a row a sentence.

sentence     int64, its number
words        list of strings
layer_0 ...  for each layer a list of vectors, one a word, each a list of `dim` numbers; of a sentence that was pooled
             one vector. Where the layers were made one, the column is `vectors`.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import parquet

from embeddings.atomic import atomic_file
from embeddings.store import GROUP, Store, Vectors

KEY = b"telmo"


def write_parquet(path: Path, store: Store) -> None:
    """Write a store as one file, which takes its name when it is complete.

    Raises:
        OutputError: the file cannot be written.
    """
    pooled = bool(store.about.get("pooled"))
    names = store.about.get("names") or [f"layer_{k}" for k in range(store.layers)]
    schema = schema_of(names, pooled, store.dim, store.vectors.dtype).with_metadata(_metadata(store.about))
    with atomic_file(path) as temporary, parquet.ParquetWriter(temporary, schema, **WRITING) as writer:
        for first, last in store.groups():
            begins = store.places[first : last + 1, 0]
            vectors = store.vectors[begins[0] : begins[-1]]
            writer.write_table(table_of(schema, first, store.sentences(first, last), begins - begins[0], vectors))


# Numbers without pattern grow by compression.
WRITING: dict[str, Any] = {"compression": "none", "use_dictionary": ["words.list.element"], "write_statistics": False}


def schema_of(names: Sequence[str], pooled: bool, dim: int, dtype: Any) -> pyarrow.Schema:
    """The columns of a file.

    Args:
        names: of the layers.
        pooled: whether a sentence has one vector.
        dim, dtype: of a vector.
    """
    vector = pyarrow.list_(pyarrow.from_numpy_dtype(np.dtype(dtype)), dim)
    kind = vector if pooled else pyarrow.list_(vector)
    fields = [("sentence", pyarrow.int64()), ("words", pyarrow.list_(pyarrow.string()))]
    return pyarrow.schema([*fields, *((name, kind) for name in names)])


def _metadata(about: dict[str, Any]) -> dict[bytes, bytes]:
    return {KEY: json.dumps(about, ensure_ascii=False).encode()}


def table_of(
    schema: pyarrow.Schema, first: int, sentences: Iterable[Sequence[str]], begins: np.ndarray, vectors: np.ndarray
) -> pyarrow.Table:
    """Sentences as rows.

    Args:
        schema: of the table.
        first: number of the first sentence.
        sentences: the words of each.
        begins: int `[sentences + 1]`: where each begins in `vectors`.
        vectors: `[rows, layers, dim]`.
    """
    columns = [
        pyarrow.array(range(first, first + len(begins) - 1), pyarrow.int64()),
        pyarrow.array(sentences, schema.field("words").type),
    ]
    offsets = pyarrow.array(begins, pyarrow.int32())
    for k, field in enumerate(list(schema)[2:]):
        numbers = pyarrow.array(np.ascontiguousarray(vectors[:, k]).reshape(-1))
        column = pyarrow.FixedSizeListArray.from_arrays(numbers, vectors.shape[2])
        if not pyarrow.types.is_fixed_size_list(field.type):
            column = pyarrow.ListArray.from_arrays(offsets, column, type=field.type)
        columns.append(column)
    return pyarrow.table(columns, schema)


class ParquetShard:
    """Writes a file sentence by sentence, with a row group in memory.

    Args:
        path: the file.
        schema: of `schema_of`.
        first: number of the first sentence.
    """

    def __init__(self, path: Path, schema: pyarrow.Schema, first: int = 0):
        self._schema, self._first = schema, first
        self._writer = parquet.ParquetWriter(path, schema, **WRITING)
        self._clear()

    def _clear(self) -> None:
        self._vectors: list[np.ndarray] = []
        self._words: list[list[str]] = []
        self._bytes = 0

    def add(self, vectors: np.ndarray, words: Sequence[str]) -> None:
        """Write a sentence: its vectors `[layers, rows, dim]` and its words."""
        self._vectors.append(vectors)
        self._words.append(list(words))
        self._bytes += vectors.nbytes
        if self._bytes >= GROUP:
            self._write()

    def _write(self) -> None:
        if self._words:
            begins = np.cumsum([0, *(vectors.shape[1] for vectors in self._vectors)])
            vectors = np.concatenate(self._vectors, axis=1).transpose(1, 0, 2)
            self._writer.write_table(table_of(self._schema, self._first, self._words, begins, vectors))
            self._first += len(self._words)
        self._clear()

    def finish(self, about: dict[str, Any]) -> None:
        """Write what is left, and what the file tells of itself."""
        self._write()
        self._writer.add_key_value_metadata(_metadata(about))

    def __enter__(self) -> "ParquetShard":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()


def about_parquet(path: Path) -> dict[str, Any]:
    """What a file tells of itself.

    Raises:
        OSError, ValueError, KeyError: it is none that Telmo wrote.
    """
    return json.loads((parquet.read_metadata(path).metadata or {})[KEY])


class ParquetVectors(Vectors):
    """Vectors of one file, or of a folder of several, that Telmo wrote. One row group at a time is in memory.

    Args:
        path: the file or the folder.
    """

    def __init__(self, path: Path):
        files = list(path.glob("*.parquet")) if path.is_dir() else [path]
        # By number: from a hundred thousand on the names are longer.
        files.sort(key=lambda file: (len(file.name), file.name))
        about_parquet(files[0])
        schema = parquet.read_schema(files[0])
        self._names = schema.names[2:]
        self._groups, rows = [], []
        for file in files:
            footer = parquet.read_metadata(file)
            for group in range(footer.num_row_groups):
                self._groups.append((file, group))
                rows.append(footer.row_group(group).num_rows)
        self._begins = np.cumsum([0, *rows])
        self._group, self._table = -1, None
        kinds = schema.types[2:]
        self._pooled = any(map(pyarrow.types.is_fixed_size_list, kinds))
        sizes = [(kind if self._pooled else kind.value_type).list_size for kind in kinds]
        self.layers, self.dim = len(kinds), max(sizes, default=0)

    def __len__(self) -> int:
        return int(self._begins[-1])

    def __getitem__(self, k: Any) -> Any:
        row = self._row(k)
        values = [row[name].values if self._pooled else row[name].values.flatten() for name in self._names]
        return np.stack([np.asarray(value).reshape(-1, self.dim) for value in values])

    def words(self, k: int) -> list[str]:
        return self._row(k)["words"].as_py()

    def _row(self, k: int) -> dict[str, Any]:
        k = range(len(self))[k]
        group = int(np.searchsorted(self._begins, k, side="right")) - 1
        if group != self._group:
            file, number = self._groups[group]
            # Opened for as long as it takes: a store may have more files than a process may hold open.
            with parquet.ParquetFile(file) as opened:
                self._group, self._table = group, opened.read_row_group(number)
        assert self._table is not None
        return {name: self._table[name][k - int(self._begins[group])] for name in ("words", *self._names)}
