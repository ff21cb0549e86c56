"""Tensors of the Open Inference Protocol, in JSON and as bytes behind it.

The binary tensor data extension puts the numbers and strings of tensors behind the JSON of a request or an answer, in
the order in which the JSON names them; the header `Inference-Header-Content-Length` says where the JSON ends. A string
is its length in four bytes, little endian, and then its bytes.

Source: KServe, Open Inference Protocol, version 2, and its extension `binary_tensor_data`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np

from serve.errors import RequestError

HEADER_LENGTH = "Inference-Header-Content-Length"

_LENGTH = 4
_DIGITS = 20


@dataclass(frozen=True)
class Tensor:
    """A tensor of an answer.

    Args:
        values: strings for `BYTES`, flat; an array of any shape for `FP32`.
    """

    name: str
    datatype: Literal["BYTES", "FP32"]
    shape: tuple[int, ...]
    values: Sequence[str] | np.ndarray

    def to_list(self) -> list:
        """The values, flat, as JSON has them."""
        return self.values.ravel().tolist() if isinstance(self.values, np.ndarray) else list(self.values)

    def to_bytes(self) -> bytes:
        """The values as they stand behind the JSON."""
        if isinstance(self.values, np.ndarray):
            return self.values.astype("<f4").tobytes()
        encoded = [value.encode() for value in self.values]
        return b"".join(part for one in encoded for part in (len(one).to_bytes(_LENGTH, "little"), one))


def split(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    """The JSON of a request, and the bytes behind it.

    Args:
        header_length: of the request's header, if it has one.

    Raises:
        RequestError: the header is no length within the body.
    """
    if header_length is None:
        return body, b""
    # Of much longer numbers some are no `int` for Python.
    readable = len(header_length) <= _DIGITS and header_length.isascii() and header_length.isdigit()
    length = int(header_length) if readable else -1
    if not 0 <= length <= len(body):
        raise RequestError(f"{HEADER_LENGTH} is {header_length[:20]!a}; expected a length within the {len(body)} bytes")
    return body[:length], body[length:]


def parts(data: bytes, sizes: Sequence[int | None], names: Sequence[str]) -> list[bytes | None]:
    """Part the bytes behind the JSON among tensors; one without a size has none.

    Raises:
        RequestError: there are more or less bytes than the sizes say.
    """
    if (expected := sum(size or 0 for size in sizes)) != len(data):
        named = ", ".join(f"{name!a}" for name, size in zip(names, sizes, strict=True) if size is not None)
        whose = f"the binary_data_size of {named} says {expected}" if named else "no input has a binary_data_size"
        raise RequestError(f"{len(data)} bytes behind the JSON of the request, but {whose}")
    found: list[bytes | None] = []
    place = 0
    for size in sizes:
        found.append(None if size is None else data[place : place + size])
        place += size or 0
    return found


def strings_of_bytes(data: bytes, count: int, name: str) -> list[str]:
    """The strings of a `BYTES` tensor.

    Args:
        count: how many of them its shape wants.

    Raises:
        RequestError: they are cut off, are more or less, or are no UTF-8.
    """
    found: list[str] = []
    place = 0
    while place < len(data):
        if len(found) == count:
            raise RequestError(f"{name}: more bytes than its shape's {count} strings have")
        start = place + _LENGTH
        place = start + int.from_bytes(data[place:start], "little")
        if start > len(data) or place > len(data):
            raise RequestError(f"{name}: string {len(found)} is cut off; expected a length of four bytes and so many")
        try:
            found.append(data[start:place].decode())
        except UnicodeDecodeError as error:
            raise RequestError(f"{name}: string {len(found)} is no UTF-8 at byte {error.start}") from None
    if len(found) != count:
        raise RequestError(f"{name}: {len(found)} strings; its shape wants {count}")
    return found


def strings_of_json(data: Sequence[str] | Sequence[list[str]], shape: Sequence[int], name: str) -> list[str]:
    """The strings of a `BYTES` tensor whose values are in the JSON, flat or nested as its shape says.

    Raises:
        RequestError: they are not as many as the shape wants, or are nested otherwise.
    """
    rows = [row for row in data if isinstance(row, list)]
    if rows and (len(shape) != 2 or any(len(row) != shape[1] for row in rows)):
        raise RequestError(f"{name}: data is not nested as its shape {list(shape)} says")
    found = [value for row in rows for value in row] if rows else [str(value) for value in data]
    if len(found) != prod(shape):
        raise RequestError(f"{name}: data has {len(found)} values; its shape {list(shape)} wants {prod(shape)}")
    return found
