"""Stores of vectors in every form that Telmo writes."""

from pathlib import Path
from typing import Literal

from embeddings.atomic import check_file, check_folder
from embeddings.errors import InputError, OutputError
from embeddings.store import STORE_FILES, Store, Vectors
from embeddings.store_zarr import ZARR_FILES, zarr

StoreFormat = Literal["hdf5", "parquet", "zarr", "npy"]
SUFFIXES: dict[str, StoreFormat] = {".hdf5": "hdf5", ".h5": "hdf5", ".parquet": "parquet", ".zarr": "zarr", "": "npy"}
"""The form that the ending of a name tells; a name without one is that of a folder in NumPy's form."""


def store_format(path: Path) -> StoreFormat:
    """The form that a name tells.

    Raises:
        InputError: it tells none.
    """
    if path.suffix not in SUFFIXES:
        known = f"{', '.join(filter(None, SUFFIXES))}, or no ending for a folder"
        raise InputError(f"{path}: cannot tell the form of '{path.suffix}'; expected {known}")
    return SUFFIXES[path.suffix]


def check_replaceable(output: Path, form: StoreFormat) -> None:
    """That an output has a place, that what stands there is an earlier one, and that it can be written.

    Raises:
        OutputError: it has none, or something else stands there.
        ConfigError: the form is Zarr, which is not installed.
    """
    if form == "zarr":
        zarr()
    if form in ("npy", "zarr"):
        check_folder(output, STORE_FILES if form == "npy" else ZARR_FILES)
        return
    check_file(output)
    if output.is_file() and output.stat().st_size:
        check_earlier(output, form)


def check_earlier(path: Path, form: StoreFormat) -> None:
    """That a file of HDF5 or Parquet is an earlier store, and nobody's own.

    Raises:
        OutputError: it is none.
    """
    try:
        if form == "hdf5":
            import h5py

            from embeddings.store_hdf5 import INDEX

            with h5py.File(path) as file:
                file[INDEX]
        else:
            from embeddings.store_parquet import about_parquet

            about_parquet(path)
    except (OSError, ValueError, KeyError):
        raise OutputError(f"{path}: is not of `telmo embed`; expected an earlier store, or nothing") from None


def open_vectors(path: Path | str) -> Vectors:
    """A store of any form, to be read by position.

    Raises:
        InputError: there is none at this place.
        ConfigError: it is Zarr, which is not installed.

    Example:
        >>> vectors = open_vectors(Path("vectors.parquet"))
        >>> vectors.words(0), vectors[0].shape
        (['Hello', 'world'], (3, 2, 128))
    """
    path = Path(path)
    form = store_format(path)
    try:
        if form == "hdf5":
            from embeddings.store_hdf5 import Hdf5Vectors

            return Hdf5Vectors(path)
        if form == "parquet":
            from embeddings.store_parquet import ParquetVectors

            return ParquetVectors(path)
        if form == "zarr":
            from embeddings.store_zarr import ZarrVectors

            return ZarrVectors(path)
        return Store(path)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise InputError(f"{path}: no store of vectors ({error}); expected what `telmo embed` wrote") from None


def write_vectors(path: Path, store: Store, form: StoreFormat) -> None:
    """Write a store in another form than its own.

    Raises:
        OutputError: it cannot be written.
        ConfigError: the form is Zarr, which is not installed.
    """
    if form == "hdf5":
        from embeddings.store_hdf5 import write_hdf5

        write_hdf5(path, store.sentences(), store)
    elif form == "parquet":
        from embeddings.store_parquet import write_parquet

        write_parquet(path, store)
    else:
        from embeddings.store_zarr import write_zarr

        write_zarr(path, store)
