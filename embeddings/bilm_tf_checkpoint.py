"""The biLM in the folder that bilm-tf's training writes."""

import re
from functools import cached_property

from embeddings.archive import Tree
from embeddings.errors import SourceError
from embeddings.published import HDF5, OPTIONS, PublishedBiLM
from embeddings.tensorflow_checkpoint import CELL_NAMES, INDEX, Checkpoint, checkpoint_files
from embeddings.weights import SOFTMAX, Arrays, checked, weight_shapes

_STEP = re.compile(r"\.ckpt(?:-(\d+))?\.index$")
_NEWEST = re.compile(rb'^model_checkpoint_path:\s*"(?:[^"\n]*/)?([^"/\n]+)"', re.MULTILINE)


class BilmTfCheckpoint(PublishedBiLM):
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
    def find(cls, tree: Tree) -> "BilmTfCheckpoint | None":
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
