"""The weights of a biLM as named arrays: the names and shapes that bilm-tf gave them in its HDF5 files.

Every reader of a format hands over such arrays and every writer takes them; nobody but `_variables` here knows which
variable of the layers an array belongs to.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from embeddings.archive import LIMIT
from embeddings.errors import SourceError
from embeddings.options import BiLMOptions

if TYPE_CHECKING:
    from embeddings.bilm import BiLM

Arrays = dict[str, np.ndarray]

SOFTMAX = ("softmax/W", "softmax/b")
"""`[words, projection]` and `[words]`: the softmax of the language model."""

MIX = ("aggregation/weights", "aggregation/scaling")
"""`[layers + 1]` before the softmax, and `[]`: the ELMo mix that came with a biLM."""

HEAD = ("adaptive_softmax/head/W", "adaptive_softmax/head/b")
"""`[words + clusters, projection]` and `[words + clusters]`: the head of an adaptive softmax, the clusters behind the
frequent words."""


def tail_keys(cluster: int) -> tuple[str, str, str]:
    """`[width, projection]`, `[words, width]` and `[words]`: the projection, the rows and the biases of a cluster of an
    adaptive softmax."""
    place = f"adaptive_softmax/tail_{cluster}"
    return f"{place}/W_proj", f"{place}/W", f"{place}/b"


_MOST, _FILTERS = 1000, 100
"""Most layers, highways and characters of a word, and most filters. The published models have 4, 2, 50 and 7."""


def cell_key(direction: int, layer: int, cell: str = "projected_lstm") -> str:
    """Where a cell's weights stand; direction 0 is forward. Those that bilm-tf does not have are named apart."""
    names = {"projected_lstm": "LSTMCell", "lstm": "ForgetGateLSTMCell", "gru": "GRUCell", "rnn": "BasicRNNCell"}
    return f"RNN_{direction}/RNN/MultiRNNCell/Cell{layer}/{names.get(cell, 'OriginalLSTMCell')}"


def weight_shapes(options: BiLMOptions) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The name and the shape of every weight that a biLM of these options has."""
    if options.words:
        yield "embedding", (options.words, options.word_dim)
    if options.spelled:
        yield "char_embed", (options.characters, options.character_dim)
        for k, (width, count) in enumerate(options.filters):
            yield f"CNN/W_cnn_{k}", (1, width, options.character_dim, count)
            yield f"CNN/b_cnn_{k}", (count,)
        for k in range(options.highways):
            for gate in ("carry", "transform"):
                yield f"CNN_high_{k}/W_{gate}", (options.features, options.features)
                yield f"CNN_high_{k}/b_{gate}", (options.features,)
    if options.projects_tokens:
        yield "CNN_proj/W_proj", (options.word_dim + options.features, options.projection)
        yield "CNN_proj/b_proj", (options.projection,)
    for direction in range(options.directions):
        for k in range(options.layers):
            cell = cell_key(direction, k, options.cell)
            yield f"{cell}/W_0", (2 * options.projection, options.blocks * options.cells)
            yield f"{cell}/B", (options.blocks * options.cells,)
            if options.projects_state:
                yield f"{cell}/W_P_0", (options.cells, options.projection)


def parameters(options: BiLMOptions) -> int:
    """How many numbers a biLM learns, its softmax left out."""
    return sum(prod(shape) for _, shape in weight_shapes(options))


def check_size(options: BiLMOptions, where: str) -> None:
    """Whether a biLM of these options is one that can be read, before anything of its size is made.

    Raises:
        SourceError: it is not.
    """
    for size in ("layers", "highways", "max_characters"):
        if (found := getattr(options, size)) > _MOST:
            raise SourceError(f"{where}: {size} {found:,}; more than can be read")
    if len(options.filters) > _FILTERS:
        raise SourceError(f"{where}: {len(options.filters):,} filters; more than can be read")
    if 4 * parameters(options) > LIMIT:
        raise SourceError(f"{where}: the options ask for {parameters(options):,} parameters; more than can be read")


def check_array(array: Any, key: str, shape: tuple[int, ...], where: str) -> None:
    """Whether something with a shape and a type is the weight that the options ask for.

    Raises:
        SourceError: it is missing, or has another shape or type.
    """
    if array is None:
        raise SourceError(f"{where}: key '{key}' is missing")
    if tuple(array.shape) != shape:
        raise SourceError(f"{where}: key '{key}' has shape {list(array.shape)}; the options ask for {list(shape)}")
    if array.dtype.kind != "f":
        raise SourceError(f"{where}: key '{key}' holds {array.dtype}; expected floating point numbers")


def checked(arrays: Mapping[str, np.ndarray], options: BiLMOptions, where: str) -> Arrays:
    """The weights that the options ask for and the extras of `extra_shapes`, float32.

    Raises:
        SourceError: a weight is missing, has another shape, or holds something that is no number.
    """
    shapes = dict(weight_shapes(options)) | extra_shapes(arrays.get, options, where)
    for key, shape in shapes.items():
        check_array(arrays.get(key), key, shape, where)
    checked = {key: np.asarray(arrays[key], np.float32, order="C") for key in shapes}
    for key, array in checked.items():
        if not np.isfinite(array).all():
            raise SourceError(f"{where}: key '{key}' holds infinities or values that are no numbers")
    return checked


def extra_shapes(find: Callable[[str], Any], options: BiLMOptions, where: str) -> dict[str, tuple[int, ...]]:
    """The name and the shape of what a biLM brings beside its own weights: a softmax, full or adaptive, and the ELMo
    mix. The numbers of words are those of the biases, which therefore come first.

    Args:
        find: gives something with a shape by its name, or None.

    Raises:
        SourceError: there is more than can be read.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    if find(SOFTMAX[0]) is not None and find(SOFTMAX[1]) is not None:
        words = _length(find(SOFTMAX[1]))
        shapes |= zip(SOFTMAX, ((words, options.projection), (words,)), strict=True)
    if find(MIX[0]) is not None and find(MIX[1]) is not None:
        shapes |= zip(MIX, ((options.layers + 1,), ()), strict=True)
    if find(HEAD[0]) is not None:
        clusters = max(1, next(k for k in count() if find(tail_keys(k)[0]) is None))
        entries = max(_length(find(HEAD[1])), clusters + 1)
        shapes |= zip(HEAD[::-1], ((entries,), (entries, options.projection)), strict=True)
        for projection, kernel, bias in map(tail_keys, range(clusters)):
            width, words = _length(find(projection)), _length(find(bias))
            shapes |= {projection: (width, options.projection), bias: (words,), kernel: (words, width)}
    if 4 * (numbers := sum(map(prod, shapes.values()))) > LIMIT:
        raise SourceError(f"{where}: a softmax of {numbers:,} numbers; more than can be read")
    return shapes


def _length(found: Any) -> int:
    """The rows of an array, and 1 for what has none or is missing, which its shape will then tell."""
    return max(1, (getattr(found, "shape", None) or (1,))[0])


def fill(bilm: "BiLM", arrays: Mapping[str, np.ndarray]) -> None:
    """Give a biLM its weights; they are as `checked` returns them."""
    for key, variable in _variables(bilm):
        variable.assign(arrays[key])


def arrays_of(bilm: "BiLM") -> Arrays:
    """The weights of a biLM."""
    return {key: variable.numpy() for key, variable in _variables(bilm)}


def _variables(bilm: "BiLM") -> Iterator[tuple[str, "_Stored"]]:
    encoder, options = bilm.token_encoder, bilm.options
    if options.words:
        yield "embedding", _WithoutPadding(encoder.word_vectors)
    if options.spelled:
        yield "char_embed", _WithoutPadding(encoder.character_vectors)
    for k, convolution in enumerate(encoder.convolutions):
        yield f"CNN/W_cnn_{k}", _WithAxis(convolution.kernel)
        yield f"CNN/b_cnn_{k}", _Stored(convolution.bias)
    for k, highway in enumerate(encoder.highways):
        for gate, dense in (("carry", highway.carry), ("transform", highway.transform)):
            yield f"CNN_high_{k}/W_{gate}", _Stored(dense.kernel)
            yield f"CNN_high_{k}/b_{gate}", _Stored(dense.bias)
    if encoder.project:
        yield "CNN_proj/W_proj", _Stored(encoder.project.kernel)
        yield "CNN_proj/b_proj", _Stored(encoder.project.bias)
    for direction, stack in enumerate(bilm.stacks):
        for k, layer in enumerate(stack.layers):
            cell = cell_key(direction, k, options.cell)
            yield f"{cell}/W_0", _Stored(layer.kernel, layer.cell.recurrent_kernel)
            yield f"{cell}/B", _Stored(layer.bias)
            if options.projects_state:
                yield f"{cell}/W_P_0", _Stored(layer.cell.projection_kernel)


class _Stored:
    """The variables that are one array in the file, one above the other."""

    def __init__(self, *variables):
        self.variables = variables

    def assign(self, array: np.ndarray) -> None:
        if len(self.variables) == 1:
            self.variables[0].assign(array)
            return
        first = 0
        for variable in self.variables:
            variable.assign(array[first : first + variable.shape[0]])
            first += variable.shape[0]

    def numpy(self) -> np.ndarray:
        from keras import ops

        arrays = [ops.convert_to_numpy(variable) for variable in self.variables]
        return np.concatenate(arrays) if len(arrays) > 1 else arrays[0]


class _WithAxis(_Stored):
    """A convolution, stored as `[1, width, dim, count]`."""

    def assign(self, array):
        super().assign(array[0])

    def numpy(self):
        return super().numpy()[None]


class _WithoutPadding(_Stored):
    """A table whose row 0, padding, is not stored."""

    def assign(self, array):
        super().assign(np.concatenate([np.zeros_like(array[:1]), array]))

    def numpy(self):
        return super().numpy()[1:]
