"""Checkpoints of TensorFlow, and the biLM in the folder that bilm-tf's training writes."""

import re
from functools import cached_property

import numpy as np

from embeddings.archive import Tree
from embeddings.checkpoint_index import read_index
from embeddings.errors import SourceError
from embeddings.published import HDF5, OPTIONS, PublishedBiLM
from embeddings.weights import SOFTMAX, Arrays, check_array, checked, weight_shapes

INDEX, DATA = ".index", ".data-"
_STEP = re.compile(r"\.ckpt(?:-(\d+))?\.index$")
_NEWEST = re.compile(rb'^model_checkpoint_path:\s*"(?:[^"\n]*/)?([^"/\n]+)"', re.MULTILINE)


class Checkpoint:
    """The arrays of a TensorFlow checkpoint by key, read one by one.

    Args:
        tree: the files.
        index: name of the file that ends in `.index`; its `.data-*` files are beside it.

    Raises:
        SourceError: a file is missing, truncated or broken.
    """

    def __init__(self, tree: Tree, index: str):
        # An unpacked archive lives as long as its tree.
        self.tree, self.where, self.files = tree, tree.where(index), checkpoint_files(tree, index)
        if index not in self.files:
            raise SourceError(f"{self.where}: missing; expected the index of a checkpoint")
        if len(self.files) == 1:
            raise SourceError(f"{self.where}: its data file {index.removesuffix(INDEX)}{DATA}* is missing")
        import tensorflow as tf

        folder, prefix = tree.folder(), index.removesuffix(INDEX)
        shards = {name.removeprefix(prefix + DATA): (folder / name).stat().st_size for name in self.files[1:]}
        self.size = sum(shards.values())
        try:
            self.stated = read_index(tree.read(index), shards)
            self._reader = tf.train.load_checkpoint(str(folder / prefix))
        except _broken(tf) as error:
            raise SourceError(f"{self.where}: broken or truncated checkpoint ({_told(error)})") from None

    def array(self, key: str, shape: tuple[int, ...]) -> np.ndarray:
        """One array of numbers.

        Raises:
            SourceError: it is missing, has another shape, is no floating point number, or is broken or truncated.
        """
        import tensorflow as tf

        check_array(self.stated.get(key), key, shape, self.where)
        try:
            return self._reader.get_tensor(key)
        except _broken(tf) as error:
            raise SourceError(f"{self.where}: key '{key}' cannot be read ({_told(error)})") from None

    def shape(self, key: str, rank: int) -> tuple[int, ...]:
        """The shape that is stated for an array of so many axes.

        Raises:
            SourceError: it is missing, or has another number of axes, or an empty one.
        """
        stated = self.stated.get(key)
        if stated is None:
            raise SourceError(f"{self.where}: key '{key}' is missing")
        if len(stated.shape) != rank or min(stated.shape) < 1:
            raise SourceError(f"{self.where}: key '{key}' has shape {list(stated.shape)}; expected {rank} axes")
        return stated.shape


def checkpoint_files(tree: Tree, index: str) -> tuple[str, ...]:
    """The names of a checkpoint's files that are there, its index first."""
    data = index.removesuffix(INDEX) + DATA
    return tuple(name for name in tree.names if name == index) + tuple(
        name for name in tree.names if name.startswith(data)
    )


def _broken(tf) -> tuple[type[Exception], ...]:
    """What TensorFlow raises for broken files: its own errors, and Python's where its bindings meet nonsense."""
    return tf.errors.OpError, ValueError, TypeError, RuntimeError, LookupError, OSError, MemoryError


def _told(error: Exception) -> str:
    """What TensorFlow says, without the path of what may be a temporary folder."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return re.sub(r"(?<!\S)\(?/\S*/", "", line)[:160]


class TrainingCheckpoint(PublishedBiLM):
    """A biLM in the folder that bilm-tf's training writes: `options.json`, `checkpoint` and `model.ckpt-N.*`. Its
    softmax comes along.

    Args:
        tree, options, index: the files and the names of two of them.
    """

    form = "bilm-tf training checkpoint"

    def __init__(self, tree: Tree, options: str, index: str):
        super().__init__(tree, options, index)

    @property
    def _weight_files(self) -> tuple[str, ...]:
        return checkpoint_files(self.tree, self._weights)

    @classmethod
    def find(cls, tree: Tree) -> "TrainingCheckpoint | None":
        """The newest checkpoint among the files of a tree, or None if there is none, or if its weights stand beside it
        in an HDF5 file already.

        Raises:
            SourceError: the file `checkpoint` names one that is not there.
        """
        options = tree.named(OPTIONS)
        if len(options) != 1:
            return None
        place = tree.within(options[0])
        beside = [name for name in tree.names if tree.within(name) == place]
        steps = {name: int(found[1] or 0) for name in beside if (found := _STEP.search(name))}
        if not steps or any(tree.head(name) == HDF5 for name in beside):
            return None
        newest = max(steps, key=lambda name: steps[name])
        if f"{place}checkpoint" in beside:
            named = _NEWEST.search(tree.read(f"{place}checkpoint"))
            if named:
                newest = f"{place}{named[1].decode('utf-8', 'replace')}{INDEX}"
        if newest not in steps:
            where, there = tree.where(f"{place}checkpoint"), ", ".join(sorted(steps))
            raise SourceError(f"{where}: names {newest}, which is missing; found {there}")
        return cls(tree, options[0], newest)

    @cached_property
    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(self.tree, self._weights)

    def arrays(self) -> Arrays:
        checkpoint, options = self._checkpoint, self.options
        arrays = {
            key: checkpoint.array(training_name(key, options.layers), shape) for key, shape in weight_shapes(options)
        }
        weights, bias = (f"lm/{key}" for key in SOFTMAX)
        if bias in checkpoint.stated:
            (words,) = checkpoint.shape(bias, 1)
            # Training with `share_embedding_softmax` has no softmax weights of its own.
            shared = weights not in checkpoint.stated and options.words == words
            arrays[SOFTMAX[0]] = (
                arrays["embedding"] if shared else checkpoint.array(weights, (words, options.projection))
            )
            arrays[SOFTMAX[1]] = checkpoint.array(bias, (words,))
        return checked(arrays, options, checkpoint.where)


def training_name(key: str, layers: int) -> str:
    """The name of a weight in bilm-tf's training graph (`dump_weights` of bilm-tf maps the other way)."""
    cell = re.fullmatch(r"(RNN_[01])/RNN/MultiRNNCell/Cell(\d+)/LSTMCell/(\w+)", key)
    if not cell:
        return f"lm/{key}"
    # The only layer of a biLM is in no MultiRNNCell.
    above = f"multi_rnn_cell/cell_{cell[2]}/" if layers > 1 else ""
    return f"lm/{cell[1]}/rnn/{above}lstm_cell/{CELL_NAMES[cell[3]]}"


CELL_NAMES = {"W_0": "kernel", "B": "bias", "W_P_0": "projection/kernel"}
"""An LSTM's weights as TensorFlow's `LSTMCell` names them."""
