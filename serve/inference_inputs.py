"""The texts of a request of the Open Inference Protocol."""

from typing import Any

from serve.errors import NotUsable, RequestError, TooLarge
from serve.inference_schemas import InferRequest
from serve.tensors import parts, strings_of_bytes, strings_of_json

INPUT = "text"
"""The one tensor that models take."""


def texts_of(asked: InferRequest, behind: bytes, pairs: bool, max_texts: int) -> list[Any]:
    """The texts of a request, or its pairs of texts.

    Args:
        behind: the bytes behind the JSON.

    Raises:
        RequestError: the tensor is not what its shape says.
        NotUsable: it is not what the model takes.
        TooLarge: there are too many texts.
    """
    names = [tensor.name for tensor in asked.inputs]
    if names != [INPUT]:
        found = ", ".join(f"{name[:40]!a}" for name in names)
        raise NotUsable(f"the inputs are {found}; expected one, '{INPUT}'")
    (tensor,) = asked.inputs
    if tensor.datatype != "BYTES":
        raise NotUsable(f"'{INPUT}' has the datatype {tensor.datatype[:40]!a}; expected BYTES")
    if tensor.parameters.shared_memory_region is not None:
        raise NotUsable(f"'{INPUT}' is in shared memory; this server has none")
    shapes = "[n, 2], as this model reads pairs" if pairs else "[n] or [n, 1]"
    rows, width = (*tensor.shape, 1)[:2] if tensor.shape else (0, 0)
    if len(tensor.shape) > 2 or width != (2 if pairs else 1):
        raise NotUsable(f"'{INPUT}' has the shape {tensor.shape}; expected {shapes}")
    if rows > max_texts:
        raise TooLarge(f"'{INPUT}' holds {rows} texts; expected at most {max_texts}")
    (binary,) = parts(behind, [tensor.parameters.binary_data_size], names)
    if (binary is None) == (tensor.data is None):
        raise RequestError(
            f"'{INPUT}' has {'no data' if binary is None else 'data twice'}; expected it in JSON or behind"
        )
    strings = (
        strings_of_json(tensor.data or [], tensor.shape, INPUT)
        if binary is None
        else strings_of_bytes(binary, rows * width, INPUT)
    )
    return [list(pair) for pair in zip(strings[::2], strings[1::2], strict=True)] if pairs else strings
