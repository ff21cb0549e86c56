"""Vectors as a Zarr group, for machines that share a file system: the arrays `vectors` and `places` and the file
`sentences.jsonl`, as in `FlatVectors`."""

import shutil
from pathlib import Path
from typing import Any

from embeddings.atomic import atomic_folder
from embeddings.errors import ConfigError
from embeddings.store import SENTENCES, FlatVectors, Store

ZARR_FILES = ("zarr.json", "vectors", "places", SENTENCES)
CHUNK = 8 * 2**20
"""Bytes of a chunk, about."""


def zarr() -> Any:
    """The library, which is an extra.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import zarr
    except ImportError:
        raise ConfigError("Zarr is not installed; expected it for this format: pip install 'telmo[zarr]'") from None
    return zarr


def write_zarr(path: Path, store: Store) -> None:
    """Write a store as a group, which takes its name when it is complete.

    Raises:
        ConfigError: Zarr is not installed.
        OutputError: the folder cannot be written.
    """
    library = zarr()
    rows = max(1, CHUNK // max(1, store.layers * store.dim * store.vectors.itemsize))
    with atomic_folder(path, ZARR_FILES) as temporary:
        group = library.create_group(temporary, attributes=store.about)
        shape, dtype = store.vectors.shape, store.vectors.dtype
        chunks = (rows, *(max(1, n) for n in shape[1:]))
        vectors = group.create_array("vectors", shape=shape, chunks=chunks, dtype=dtype, compressors=None)
        for first in range(0, len(store.vectors), rows):
            vectors[first : first + rows] = store.vectors[first : first + rows]
            store.let_go()
        group.create_array("places", data=store.places)
        shutil.copy(store.file_of_sentences, temporary / SENTENCES)


class ZarrVectors(FlatVectors):
    """Vectors of a group that Telmo wrote, read chunk by chunk.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path):
        group = zarr().open_group(path, mode="r")
        super().__init__(group["vectors"], group["places"][:], path / SENTENCES)
