"""ELMo as TF-Hub published it (`google/elmo/1..3`): a module of TensorFlow 1 whose variables are a checkpoint.

Its graph is read for the switches that shape the computation, and never run.
"""

from collections.abc import Iterator
from functools import cached_property
from itertools import count, takewhile
from typing import Any

from embeddings.archive import Tree
from embeddings.characters import CHARACTERS
from embeddings.errors import SourceError
from embeddings.options import MAX_CHARACTERS_PER_WORD, BiLMOptions
from embeddings.saved_graph import read_graph
from embeddings.stored import StoredBiLM
from embeddings.tensorflow_checkpoint import CELL_NAMES, Checkpoint, checkpoint_files
from embeddings.tensorflow_checkpoint_index import MAGIC
from embeddings.weights import MIX, Arrays, cell_key, check_size, checked, weight_shapes

GRAPH, INDEX = "saved_model.pb", "variables/variables.index"


class HubModule(StoredBiLM):
    """The biLM and the ELMo mix of a TF-Hub module of TensorFlow 1.

    Sizes are read off the shapes of the variables; clips, activation, skip connections and the longest word off the
    graph, or where its nodes have other names than bilm-tf gave them taken to be as in the published modules (3, 3,
    relu, yes, 50).

    Args:
        tree: the files.
        place: the folder in the tree, with a slash at its end unless it is the uppermost.
    """

    form = "TF-Hub module"

    def __init__(self, tree: Tree, place: str):
        super().__init__(tree)
        self.graph, self.index = place + GRAPH, place + INDEX
        self.files = (self.graph, *checkpoint_files(tree, self.index))

    @classmethod
    def find(cls, tree: Tree) -> "HubModule | None":
        """The module among the files of a tree, or None.

        Raises:
            SourceError: there are several, or its variables are missing or cut short.
        """
        places = [tree.within(name) for name in tree.named(GRAPH)]
        found = [place for place in places if _holds_bilm(tree, place)]
        if len(found) > 1:
            raise SourceError(f"{tree.place}: expected one biLM, found the modules {', '.join(found)}")
        return cls(tree, found[0]) if found else None

    @cached_property
    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(self.tree, self.index)

    @cached_property
    def options(self) -> BiLMOptions:
        shape = self._checkpoint.shape
        rows, character_dim = shape("bilm/char_embed", 2)
        if rows != CHARACTERS:
            raise SourceError(
                f"{self._checkpoint.where}: key 'bilm/char_embed' has {rows} rows; expected {CHARACTERS} characters"
            )
        filters = [shape(name, 4) for name in self._numbered("CNN/W_cnn_{}")]
        layers = len(list(self._numbered(cell_key(0, 0).replace("Cell0", "Cell{}") + "/W_0")))
        first = cell_key(0, 0)
        cells = shape(module_name(f"{first}/B"), 1)[0] // 4
        projected = module_name(f"{first}/W_P_0")
        stated: dict[str, Any] = {
            "projection": shape(projected, 2)[1] if projected in self._checkpoint.stated else cells,
            "cells": cells,
            "layers": layers,
            "filters": tuple((width, channels) for _, width, _, channels in filters),
            "character_dim": character_dim,
            "highways": len(list(self._numbered("CNN_high_{}/W_carry"))),
        }
        try:
            options = BiLMOptions(**stated | self._switches(min((width for _, width, _, _ in filters), default=1)))
        except ValueError as error:
            raise SourceError(f"{self._checkpoint.where}: not the shapes of a biLM ({error})") from None
        check_size(options, self._checkpoint.where)
        return options

    def _numbered(self, name: str) -> Iterator[str]:
        """The keys that are there of a weight's name with 0, 1, 2, ... in it."""
        names = (module_name(name.format(k)) for k in count())
        return takewhile(self._checkpoint.stated.__contains__, names)

    def _switches(self, narrowest_filter: int) -> dict[str, Any]:
        switches = _Graph(self.tree.read(self.graph), self.tree.where(self.graph)).switches()
        if "positions" in switches:
            # A filter of width w has max_characters - w + 1 positions.
            switches["max_characters"] = switches.pop("positions") + narrowest_filter - 1
        return switches

    def arrays(self) -> Arrays:
        checkpoint, options, arrays = self._checkpoint, self.options, {}
        for key, (rows, *others) in weight_shapes(options):
            # The module's table of characters has a row for padding.
            padding = int(key == "char_embed")
            arrays[key] = checkpoint.array(module_name(key), (rows + padding, *others))[padding:]
        if all(key in checkpoint.stated for key in MIX):
            for key, shape in zip(MIX, ((options.layers + 1,), ()), strict=True):
                arrays[key] = checkpoint.array(key, shape)
        return checked(arrays, options, checkpoint.where)


def _holds_bilm(tree: Tree, place: str) -> bool:
    """Whether a SavedModel is ELMo's module. One whose index is missing or cut short counts if it is marked as a
    TF-Hub module, to be refused by name later."""
    if place + INDEX not in tree.names:
        return False
    index = tree.read(place + INDEX)
    cut = not index.endswith(MAGIC)
    return b"bilm/" in index or (cut and f"{place}tfhub_module.pb" in tree.names)


def module_name(key: str) -> str:
    """The name of a weight in the module's checkpoint."""
    group, slash, last = key.rpartition("/LSTMCell/")
    return f"bilm/{group}/rnn/lstm_cell/{CELL_NAMES[last]}" if slash else f"bilm/{key}"


class _Graph:
    """The nodes of a biLM in the graph of a SavedModel.

    Args:
        data: of the file.
        where: the file, for messages.

    Raises:
        SourceError: it is no SavedModel.
    """

    def __init__(self, data: bytes, where: str):
        graph = read_graph(data, where).graph_def
        # A module holds its signatures' copies of the biLM as bilm, bilm_1, ...; one of them is enough.
        self.nodes = {node.name: node for node in graph.node if node.name.startswith("bilm/")}

    def switches(self) -> dict[str, Any]:
        """The options that the graph tells: those whose nodes are found."""
        switches: dict[str, Any] = {}
        after_pools = {node.op.lower() for node in self.nodes.values() if self._input_ops(node)[:1] == ["MaxPool"]}
        activations = after_pools & {"relu", "tanh"}
        if len(activations) == 1:
            switches["activation"] = activations.pop()
        windows = [node.attr["ksize"].list.i for node in self.nodes.values() if node.op == "MaxPool"]
        positions = [window[2] for window in windows if len(window) == 4]
        if positions and 1 <= max(positions) <= 10 * MAX_CHARACTERS_PER_WORD:
            switches["positions"] = max(positions)
        cells = [node for node in self.nodes.values() if "/lstm_cell/" in node.name]
        if any(node.op == "Split" for node in cells):
            switches |= {"cell_clip": None, "projection_clip": None}
            for node in cells:
                if node.op == "Minimum" and node.name.rpartition("/")[0].rpartition("/")[2].startswith("clip_by_value"):
                    # What is clipped is the projection's product, or the sum that is the memory.
                    kind = "projection_clip" if self._input_ops(node)[0] == "MatMul" else "cell_clip"
                    switches[kind] = self._constant(node.input[1])
        loops = [node for node in self.nodes.values() if "/MultiRNNCell/Cell1/" in node.name]
        if any(node.op.startswith("TensorArrayRead") for node in loops):
            # A layer that adds what it read to what it makes of it.
            switches["skip_connections"] = any(
                node.op in ("Add", "AddV2") and any(op.startswith("TensorArrayRead") for op in self._input_ops(node))
                for node in loops
            )
        return switches

    def _input_ops(self, node) -> list[str]:
        names = (name.lstrip("^").partition(":")[0] for name in node.input)
        return [self.nodes[name].op if name in self.nodes else "" for name in names]

    def _constant(self, name: str) -> float | None:
        node = self.nodes.get(name)
        values = node.attr["value"].tensor.float_val if node and node.op == "Const" else []
        return float(values[0]) if len(values) == 1 and values[0] > 0 else 3.0
