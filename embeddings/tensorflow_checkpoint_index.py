"""The index of a TensorFlow checkpoint: what is in it, read before TensorFlow reads it.

TensorFlow ends the whole process where an index states nonsense. What passes here is safe to hand on; the numbers
themselves, and their checksums, are left to TensorFlow.

The index is a table as LevelDB writes them (its `table_format.md`): blocks of keys and values, a block that names these
blocks, and 48 bytes that name that one. The values are the messages of `tensor_bundle.proto`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

FOOTER = 48
MAGIC = bytes.fromhex("57fb808b247547db")
"""The last bytes of a whole index."""
MOST_READ = 100


@dataclass(frozen=True)
class Stated:
    """What an index says of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype


def read_index(data: bytes, shards: Mapping[str, int]) -> dict[str, Stated]:
    """The arrays of a checkpoint.

    Args:
        data: the index.
        shards: the sizes of its data files, by what their names end in, such as `00000-of-00001`.

    Raises:
        ValueError: the index is cut short or broken, or names numbers that the data files do not hold.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.tensor_bundle_pb2 import BundleEntryProto, BundleHeaderProto

    entries = dict(_entries(data))
    try:
        header = BundleHeaderProto.FromString(entries.pop(b"", b""))
        messages = {key.decode(): BundleEntryProto.FromString(value) for key, value in entries.items()}
    except DecodeError as error:
        raise ValueError(str(error)) from None
    if header.endianness != BundleHeaderProto.LITTLE or not 1 <= header.num_shards <= 100_000:
        raise ValueError("its header is not that of a checkpoint of this machine's kind")
    stated = {}
    for key, entry in messages.items():
        shard = f"{entry.shard_id:05d}-of-{header.num_shards:05d}"
        if shard not in shards:
            raise ValueError(f"key '{key}' is in the data file {shard}, which is missing")
        if entry.offset < 0 or entry.size < 0 or entry.offset + entry.size > shards[shard]:
            raise ValueError(f"key '{key}' ends beyond the data file {shard} of {shards[shard]:,} bytes")
        stated[key] = _stated(key, entry)
    return stated


def _stated(key: str, entry) -> Stated:
    from tensorflow import dtypes

    shape = tuple(dim.size for dim in entry.shape.dim)
    if entry.slices:
        raise ValueError(f"key '{key}' is cut into slices; expected whole arrays")
    if entry.shape.unknown_rank or min(shape, default=0) < 0 or len(shape) > 8 or prod(shape) > 2**50:
        raise ValueError(f"key '{key}' has no shape that an array can have")
    try:
        dtype = dtypes.as_dtype(entry.dtype)
        kind = np.dtype(dtype.as_numpy_dtype)
    except (TypeError, KeyError) as error:
        raise ValueError(f"key '{key}' holds no known type ({error})") from None
    # Strings have no size that their shape would tell; they are not asked for.
    if kind.kind in "fiub" and prod(shape) * kind.itemsize != entry.size:
        raise ValueError(f"key '{key}' of shape {list(shape)} and {dtype.name} has {entry.size:,} bytes")
    return Stated(shape, kind)


def _entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """All keys and values of a table."""
    if len(data) < FOOTER or not data.endswith(MAGIC):
        raise ValueError("it does not end as an index ends")
    footer = data[-FOOTER:]
    _, place = _handle(footer, 0)
    (offset, size), _ = _handle(footer, place)
    read = 0
    for _, named in _block(data, offset, size):
        for key, value in _block(data, *_handle(named, 0)[0]):
            # A key tells how much it shares with the one before, and a block can be named again and again.
            read += len(key) + len(value)
            if read > MOST_READ * len(data):
                raise ValueError(f"its keys and values are more than {MOST_READ} times as long as the index itself")
            yield key, value


def _handle(data: bytes, place: int) -> tuple[tuple[int, int], int]:
    """Where a block begins and its size; then where its name ends."""
    offset, place = _varint(data, place)
    size, place = _varint(data, place)
    return (offset, size), place


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    # A byte behind a block tells whether it is compressed, which checkpoints are not.
    if offset + size + 5 > len(data) - FOOTER or size < 4 or data[offset + size]:
        raise ValueError("a block of its table is cut short or compressed")
    block = data[offset : offset + size]
    # Behind the entries: the places of some of them, and how many places.
    end = size - 4 - 4 * int.from_bytes(block[-4:], "little")
    place, key = 0, b""
    while place < end:
        shared, place = _varint(block, place)
        new, place = _varint(block, place)
        length, place = _varint(block, place)
        if shared > len(key) or place + new + length > end:
            raise ValueError("an entry of its table is cut short")
        key = key[:shared] + block[place : place + new]
        yield key, block[place + new : place + new + length]
        place += new + length


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number whose bytes have 7 bits each, the lowest first; then where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            break
        number |= (data[place] & 127) << shift
        place += 1
        if data[place - 1] < 128:
            return number, place
    raise ValueError("a number of its table is cut short")
