"""Weights that PyTorch saved, read with `torch` and without running code from the file.

PyTorch is an optional extra: a file of weights is a pickle, and its reader is the one to trust with it.
"""

import pickle
import re
import warnings
import zipfile
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from embeddings.archive import reading
from embeddings.errors import SourceError

if TYPE_CHECKING:
    import torch

_REFUSED = re.compile(r"(Unsupported (?:global|operand|class)[^.,]*)")


def read_state(file: BinaryIO, where: str) -> dict[str, np.ndarray]:
    """The arrays of a state dict by their names.

    Args:
        file: what `torch.save` wrote, seekable.
        where: the file's place, for messages.

    Raises:
        SourceError: PyTorch is not installed, or the file is broken, or holds something else than named arrays.
    """
    arrays = {}
    for name, tensor in _load(file, where, "cpu").items():
        # A view may claim any size with a stride of 0: only what the file holds is believed.
        if tensor.nbytes > tensor.untyped_storage().nbytes():
            raise SourceError(f"{where}: key '{name}' has shape {list(tensor.shape)}; more than the file holds")
        try:
            arrays[name] = tensor.detach().numpy()
        except (RuntimeError, TypeError) as error:
            raise SourceError(f"{where}: key '{name}' cannot be read ({error})") from None
    return arrays


def read_shapes(file: BinaryIO, where: str) -> dict[str, tuple[int, ...]]:
    """The shapes of a state dict's arrays by their names; the numbers are not kept. Arguments and errors are those of
    `read_state`."""
    return {name: tuple(tensor.shape) for name, tensor in _load(file, where, "meta").items()}


def _load(file: BinaryIO, where: str, device: str) -> "dict[str, torch.Tensor]":
    try:
        import torch
    except ImportError:
        raise SourceError(
            f"{where}: written by PyTorch, which is not installed; expected the extra: pip install 'telmo[torch]'"
        ) from None
    _check_members(file, where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.load(file, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        # Its own words go on to advise to run the code.
        found = _REFUSED.search(str(error))
        what = f"{found[1]}; nothing but arrays is read" if found else "broken"
        raise SourceError(f"{where}: no weights of PyTorch ({what})") from None
    except Exception as error:  # Whatever a broken file leads to, and torch has many words for it.
        reason = next(iter(str(error).splitlines()), "").partition(". ")[0] or type(error).__name__
        raise SourceError(f"{where}: no weights of PyTorch (broken or truncated: {reason[:120]})") from None
    if not isinstance(state, dict):
        raise SourceError(f"{where}: holds a {type(state).__name__}; expected a state dict")
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided:
            raise SourceError(f"{where}: key '{name}' holds a {type(tensor).__name__}; expected an array")
    return state


def _check_members(file: BinaryIO, where: str) -> None:
    """PyTorch stores its arrays as they are, so that a compressed one can only be meant to fill the memory. The
    checksums are not looked at by PyTorch."""
    with reading(where):
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                for member in archive.infolist():
                    if member.compress_type != zipfile.ZIP_STORED:
                        raise SourceError(f"{where}: '{member.filename}' is compressed, as PyTorch never writes it")
                broken = archive.testzip()
                if broken:
                    raise SourceError(f"{where}: broken or truncated (the checksum of '{broken}' is another)")
        file.seek(0)
