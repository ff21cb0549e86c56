"""The weights of layers that PyTorch trained, in the form of Keras's layers.

PyTorch keeps a matrix as `[out, in]`, a convolution as `[out, in, width]`, and two biases for each gate of a recurrent
cell.
"""

from collections.abc import Mapping

import numpy as np

from embeddings.errors import SourceError

Arrays = list[np.ndarray]
"""What a layer's `set_weights` takes."""


class TorchWeights:
    """A state dict, read key by key, so that no weight is passed over unseen.

    Args:
        arrays: by their names.
        where: the file, for messages.
        prefix: of all names that are asked for.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], where: str, prefix: str = ""):
        self.where, self.prefix = where, prefix
        self._arrays = arrays
        self._taken: set[str] = set()

    def below(self, prefix: str) -> "TorchWeights":
        """The same weights, as seen from a module."""
        inner = TorchWeights(self._arrays, self.where, self.prefix + prefix)
        inner._taken = self._taken
        return inner

    def __contains__(self, key: str) -> bool:
        return self.prefix + key in self._arrays

    def count(self, key: str) -> int:
        """How many numbered weights there are: `key` holds a `{}` for the number."""
        count = 0
        while key.format(count) in self:
            count += 1
        return count

    def shape(self, key: str, axes: int) -> tuple[int, ...]:
        """The shape of a weight.

        Raises:
            SourceError: it is missing, empty, or has another number of axes.
        """
        name = self.prefix + key
        if name not in self._arrays:
            raise SourceError(f"{self.where}: key '{name}' is missing")
        shape = self._arrays[name].shape
        if len(shape) != axes or 0 in shape:
            raise SourceError(f"{self.where}: key '{name}' has shape {list(shape)}; expected {axes} axes")
        return shape

    def take(self, key: str, *shape: int) -> np.ndarray:
        """A weight, float32.

        Raises:
            SourceError: it is missing, has another shape, or holds something that is no number.
        """
        name = self.prefix + key
        found = self.shape(key, len(shape))
        if found != shape:
            raise SourceError(f"{self.where}: key '{name}' has shape {list(found)}; expected {list(shape)}")
        array = self._arrays[name]
        if array.dtype.kind == "f":
            with np.errstate(over="ignore"):
                array = array.astype(np.float32)
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise SourceError(f"{self.where}: key '{name}' holds values that are no finite floating point numbers")
        self._taken.add(name)
        return array

    def close(self) -> None:
        """Refuse whatever was not taken.

        Raises:
            SourceError: a weight is left.
        """
        rest = sorted(set(self._arrays) - self._taken)
        if rest:
            more = f" and {len(rest) - 1} more" if len(rest) > 1 else ""
            raise SourceError(f"{self.where}: key '{rest[0]}'{more} belongs to a part that cannot be converted")


def dense(weights: TorchWeights, width: int) -> Arrays:
    """A dense layer whose input has this width: kernel `[width, units]` and bias.

    Raises:
        SourceError: a weight is missing or of another shape, as in all functions here.
    """
    units, _ = weights.shape("weight", 2)
    return [weights.take("weight", units, width).T, weights.take("bias", units)]


def convolution(weights: TorchWeights, width: int) -> Arrays:
    """A convolution over vectors of this width: kernel `[places, width, filters]` and bias."""
    filters, _, places = weights.shape("weight", 3)
    return [weights.take("weight", filters, width, places).transpose(2, 1, 0), weights.take("bias", filters)]


def recurrent(weights: TorchWeights, cell: str, layer: int, width: int, bidirectional: bool, bias: bool) -> Arrays:
    """A layer of LSTM or GRU cells over vectors of this width, both directions one after another."""
    arrays: Arrays = []
    for ending in ("", "_reverse") if bidirectional else ("",):
        arrays += _direction(weights, cell, f"l{layer}{ending}", width, bias)
    return arrays


def _direction(weights: TorchWeights, cell: str, name: str, width: int, bias: bool) -> Arrays:
    """Kernel, recurrent kernel and bias. The LSTM's gates stand in the same order in both libraries; the GRU's are
    r, z, n in PyTorch and z, r, n in Keras."""
    rows, _ = weights.shape(f"weight_hh_{name}", 2)
    gates = 4 if cell == "lstm" else 3
    units = rows // gates
    kernel = weights.take(f"weight_ih_{name}", gates * units, width).T
    recurrent_kernel = weights.take(f"weight_hh_{name}", gates * units, units).T
    zeros = np.zeros(gates * units, np.float32)
    biases = [weights.take(f"bias_{part}_{name}", gates * units) if bias else zeros for part in ("ih", "hh")]
    if cell == "lstm":
        return [kernel, recurrent_kernel, biases[0] + biases[1]]
    order = np.r_[units : 2 * units, :units, 2 * units : 3 * units]
    return [kernel[:, order], recurrent_kernel[:, order], np.stack(biases)[:, order]]
