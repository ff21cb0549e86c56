"""Vectors in Parquet, for pandas, polars and Spark: a row a sentence.

sentence     int64, its number
words        list of strings
layer_0 ...  for each layer a list of vectors, one a word, each a list of `dim` numbers; of a sentence that was pooled
             one vector. Where the layers were made one, the column is `vectors`.
"""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import parquet

from embeddings.atomic import atomic_file
from embeddings.store import Store, Vectors

KEY = b"telmo"
ROW_GROUP = 64 * 2**20
"""Bytes of vectors in a row group, about; a reader has one in memory."""


def write_parquet(path: Path, store: Store) -> None:
    """Write a store as one file, which takes its name when it is complete.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_file(path) as temporary, parquet.ParquetWriter(temporary, schema_of(store), **WRITING) as writer:
        for first, last in groups_of(store):
            writer.write_table(table_of(store, first, last))


# Numbers without pattern grow by compression.
WRITING: dict[str, Any] = {"compression": "none", "use_dictionary": ["words.list.element"], "write_statistics": False}


def groups_of(store: Store) -> Iterator[tuple[int, int]]:
    """First and last sentence of each row group."""
    rows = max(1, ROW_GROUP // max(1, store.layers * store.dim * store.vectors.itemsize))
    begins = store.places[:, 0]
    cuts = [0]
    while cuts[-1] < len(store):
        cuts.append(max(cuts[-1] + 1, int(np.searchsorted(begins, begins[cuts[-1]] + rows))))
        cuts[-1] = min(cuts[-1], len(store))
    return pairwise(cuts)


def schema_of(store: Store) -> pyarrow.Schema:
    vector = pyarrow.list_(pyarrow.from_numpy_dtype(store.vectors.dtype), store.dim)
    kind = vector if store.about.get("pooled") else pyarrow.list_(vector)
    names = store.about.get("names") or [f"layer_{k}" for k in range(store.layers)]
    fields = [("sentence", pyarrow.int64()), ("words", pyarrow.list_(pyarrow.string()))]
    about = json.dumps(store.about, ensure_ascii=False).encode()
    return pyarrow.schema([*fields, *((name, kind) for name in names)], {KEY: about})


def table_of(store: Store, first: int, last: int) -> pyarrow.Table:
    """Some sentences of a store, from number `first` on, as rows."""
    schema = schema_of(store)
    begins = store.places[first : last + 1, 0]
    vectors = store.vectors[begins[0] : begins[-1]]
    columns = [
        pyarrow.array(range(first, last), pyarrow.int64()),
        pyarrow.array(store.sentences(first, last), schema.field("words").type),
    ]
    offsets = pyarrow.array(begins - begins[0], pyarrow.int32())
    for k, field in enumerate(list(schema)[2:]):
        numbers = pyarrow.array(np.ascontiguousarray(vectors[:, k]).reshape(-1))
        column = pyarrow.FixedSizeListArray.from_arrays(numbers, store.dim)
        if not store.about.get("pooled"):
            column = pyarrow.ListArray.from_arrays(offsets, column, type=field.type)
        columns.append(column)
    return pyarrow.table(columns, schema)


class ParquetVectors(Vectors):
    """Vectors of one file, or of a folder of several, that Telmo wrote. One row group at a time is in memory.

    Args:
        path: the file or the folder.
    """

    def __init__(self, path: Path):
        files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        self._files = [parquet.ParquetFile(file) for file in files]
        self._names = self._files[0].schema_arrow.names[2:]
        self._groups = [(file, group) for file in self._files for group in range(file.num_row_groups)]
        rows = [file.metadata.row_group(group).num_rows for file, group in self._groups]
        self._begins = np.cumsum([0, *rows])
        self._group, self._table = -1, None
        kinds = self._files[0].schema_arrow.types[2:]
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
            self._group, self._table = group, file.read_row_group(number)
        assert self._table is not None
        return {name: self._table[name][k - int(self._begins[group])] for name in ("words", *self._names)}
