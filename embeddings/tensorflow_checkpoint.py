"""Checkpoints of TensorFlow."""

import re

import numpy as np

from embeddings.archive import Tree
from embeddings.errors import SourceError
from embeddings.tensorflow_checkpoint_index import read_index
from embeddings.weights import check_array

INDEX, DATA = ".index", ".data-"
CELL_NAMES = {"W_0": "kernel", "B": "bias", "W_P_0": "projection/kernel"}
"""An LSTM's weights as TensorFlow's `LSTMCell` names them."""


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
