"""Weights that PyTorch saved, read with `torch` and without running code from the file.

PyTorch is an optional extra: a file of weights is a pickle, and its reader is the one to trust with it.
"""

from typing import BinaryIO

import numpy as np

from embeddings.errors import SourceError


def read_state(file: BinaryIO, where: str) -> dict[str, np.ndarray]:
    """The arrays of a state dict by their names.

    Args:
        file: what `torch.save` wrote, seekable.
        where: the file's place, for messages.

    Raises:
        SourceError: PyTorch is not installed, or the file is broken, or holds something else than named arrays.
    """
    try:
        import torch
    except ImportError:
        raise SourceError(
            f"{where}: written by PyTorch, which is not installed; expected the extra: pip install 'telmo[torch]'"
        ) from None
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # Whatever a broken pickle leads to, and torch has many words for it.
        raise SourceError(f"{where}: no weights of PyTorch ({str(error).splitlines()[0][:200]})") from None
    if not isinstance(state, dict):
        raise SourceError(f"{where}: holds a {type(state).__name__}; expected a state dict")
    arrays = {}
    for name, tensor in state.items():
        if not (isinstance(name, str) and isinstance(tensor, torch.Tensor)):
            raise SourceError(f"{where}: key '{name}' holds a {type(tensor).__name__}; expected an array")
        try:
            arrays[name] = tensor.detach().to_dense().numpy()
        except (RuntimeError, TypeError) as error:
            raise SourceError(f"{where}: key '{name}' cannot be read ({error})") from None
    return arrays
