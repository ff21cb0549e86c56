"""The published form of a biLM: `options.json` and an HDF5 file, as bilm-tf wrote and AllenNLP and simple_elmo read
them.

Every weight of the layers has one key in the file; `_keys` is the only place that knows which.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from embeddings.errors import SourceError
from embeddings.options import BiLMOptions

if TYPE_CHECKING:
    from embeddings.bilm import BiLM

OPTIONS, WEIGHTS, VOCABULARY = "options.json", "weights.hdf5", "vocabulary.txt"
SOFTMAX = ("softmax/W", "softmax/b")
"""Where Telmo keeps the softmax of the language model, under bilm-tf's own names; other readers pass over it."""


@dataclass(frozen=True)
class PublishedFiles:
    """The files of one biLM on disk."""

    options: Path
    weights: Path

    @property
    def vocabulary(self) -> Path:
        return self.weights.parent / VOCABULARY


def find_files(folder: Path) -> PublishedFiles:
    """The options and the weights in a folder.

    Raises:
        SourceError: the folder lacks one of them, or has several HDF5 files that hold a biLM.
    """
    options = folder / OPTIONS
    if not options.is_file():
        raise SourceError(f"{folder}: no {OPTIONS} in this folder; expected a biLM ({OPTIONS} and an HDF5 file)")
    weights = [path for path in sorted(folder.glob("*.hdf5")) if _holds_bilm(path)]
    if len(weights) != 1:
        found = ", ".join(path.name for path in weights) or "none"
        raise SourceError(f"{folder}: expected one HDF5 file with the weights of a biLM, found {found}")
    return PublishedFiles(options, weights[0])


def _holds_bilm(path: Path) -> bool:
    """Whether a file has a biLM's weights; a file that is no HDF5 counts if it is named as weights, to be refused by
    name later."""
    try:
        with h5py.File(path) as file:
            return "RNN_0" in file and ("char_embed" in file or "embedding" in file)
    except OSError:
        return path.name == WEIGHTS


def read_options(path: Path) -> BiLMOptions:
    """Read `options.json`.

    Raises:
        SourceError: the file is missing, is no JSON, or lacks a key.
    """
    try:
        return BiLMOptions.from_json(json.loads(path.read_text("utf-8")), str(path))
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise SourceError(f"{path}: not JSON ({error})") from None


def read_weights(bilm: "BiLM", path: Path) -> None:
    """Fill a biLM from an HDF5 file.

    Raises:
        SourceError: the file is no HDF5, or a key is missing or has another shape than the options ask for.
    """
    try:
        with h5py.File(path) as file:
            for key, variable, form in _keys(bilm):
                variable.assign(form.read(_array(file, key, form.shape(variable.shape), path)))
    except OSError as error:
        raise SourceError(f"{path}: cannot be read as HDF5 ({error})") from None


def read_softmax(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """The softmax's weights `[vocabulary, projection]` and bias `[vocabulary]`, or None where the file has none."""
    with h5py.File(path) as file:
        if SOFTMAX[0] not in file:
            return None
        return file[SOFTMAX[0]][()], file[SOFTMAX[1]][()]


def write_published(folder: Path, bilm: "BiLM", vocabulary: list[str], softmax: tuple[Any, Any] | None = None) -> None:
    """Write a biLM into an existing folder as `options.json`, `weights.hdf5` and `vocabulary.txt`."""
    (folder / OPTIONS).write_text(json.dumps(bilm.options.to_json(), indent=2) + "\n", "utf-8")
    (folder / VOCABULARY).write_text("".join(f"{word}\n" for word in vocabulary), "utf-8")
    with h5py.File(folder / WEIGHTS, "w") as file:
        for key, variable, form in _keys(bilm):
            file[key] = form.write(_numpy(variable))
        for key, array in zip(SOFTMAX, softmax or (), strict=False):
            file[key] = _numpy(array)


def _numpy(array) -> np.ndarray:
    import keras

    return keras.ops.convert_to_numpy(array)


@dataclass(frozen=True)
class _Form:
    """How a variable differs from its array in the file."""

    leading_axis: bool = False  # a convolution is stored as [1, width, dim, count]
    padding_row: bool = False  # row 0, padding, is not stored

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.leading_axis:
            return (1, *shape)
        return (shape[0] - 1, *shape[1:]) if self.padding_row else tuple(shape)

    def read(self, array: np.ndarray) -> np.ndarray:
        if self.leading_axis:
            return array[0]
        return np.concatenate([np.zeros_like(array[:1]), array]) if self.padding_row else array

    def write(self, array: np.ndarray) -> np.ndarray:
        if self.leading_axis:
            return array[None]
        return array[1:] if self.padding_row else array


_PLAIN = _Form()


def _keys(bilm: "BiLM") -> Iterator[tuple[str, Any, _Form]]:
    """Each key of the file with its variable and the form in which it is stored.

    An LSTM's input and recurrent kernels are one array in the file; they come here as one `_Stacked`.
    """
    encoder = bilm.token_encoder
    yield "char_embed", encoder.character_vectors, _Form(padding_row=True)
    for k, convolution in enumerate(encoder.convolutions):
        yield f"CNN/W_cnn_{k}", convolution.kernel, _Form(leading_axis=True)
        yield f"CNN/b_cnn_{k}", convolution.bias, _PLAIN
    for k, highway in enumerate(encoder.highways):
        yield f"CNN_high_{k}/W_carry", highway.carry.kernel, _PLAIN
        yield f"CNN_high_{k}/b_carry", highway.carry.bias, _PLAIN
        yield f"CNN_high_{k}/W_transform", highway.transform.kernel, _PLAIN
        yield f"CNN_high_{k}/b_transform", highway.transform.bias, _PLAIN
    if encoder.project:
        yield "CNN_proj/W_proj", encoder.project.kernel, _PLAIN
        yield "CNN_proj/b_proj", encoder.project.bias, _PLAIN
    for direction, stack in enumerate((bilm.forward_stack, bilm.backward_stack)):
        for k, lstm in enumerate(stack.lstms):
            cell = f"RNN_{direction}/RNN/MultiRNNCell/Cell{k}/LSTMCell"
            yield f"{cell}/W_0", _Stacked(lstm.kernel, lstm.cell.recurrent_kernel), _PLAIN
            yield f"{cell}/B", lstm.bias, _PLAIN
            yield f"{cell}/W_P_0", lstm.cell.projection_kernel, _PLAIN


class _Stacked:
    """Two variables that the file keeps one above the other."""

    def __init__(self, upper, lower):
        self.upper, self.lower = upper, lower
        self.shape = (upper.shape[0] + lower.shape[0], upper.shape[1])

    def assign(self, array: np.ndarray) -> None:
        self.upper.assign(array[: self.upper.shape[0]])
        self.lower.assign(array[self.upper.shape[0] :])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.concatenate([_numpy(self.upper), _numpy(self.lower)])


def _array(file: h5py.File, key: str, shape: tuple[int, ...], path: Path) -> np.ndarray:
    found = file.get(key)
    if not isinstance(found, h5py.Dataset):
        raise SourceError(f"{path}: key '{key}' is missing")
    if found.shape != shape:
        raise SourceError(f"{path}: key '{key}' has shape {list(found.shape)}; the options ask for {list(shape)}")
    return found[()].astype(np.float32)
