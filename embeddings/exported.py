"""The SavedModels that Telmo exports, read back."""

from functools import cached_property
from typing import Any

from embeddings.archive import Tree
from embeddings.errors import SourceError
from embeddings.options import BiLMOptions
from embeddings.spelling import Spelling, spelling_of
from embeddings.stored import StoredBiLM
from embeddings.tensorflow_checkpoint import Checkpoint, checkpoint_files
from embeddings.weights import MIX, Arrays, arrays_of, check_size, checked, parameters

INDEX = "variables/variables.index"
DESCRIPTION = "assets.extra/telmo.json"
FILES = (DESCRIPTION, "saved_model.pb", "fingerprint.pb", "variables", "assets")
"""What Telmo needs to read a biLM back. That folder of a SavedModel is for whatever others add to it."""


class ExportedBiLM(StoredBiLM):
    """The biLM and the ELMo mix of a SavedModel that `export_saved_model` wrote. Its program is not run.

    Args:
        tree: the files.
        place: the folder in the tree, with a slash at its end; nothing for the uppermost.
    """

    form = "Telmo SavedModel"

    def __init__(self, tree: Tree, place: str):
        super().__init__(tree)
        self._where, self._index = tree.where(place + DESCRIPTION), place + INDEX
        self.files = (place + DESCRIPTION, *checkpoint_files(tree, self._index))

    @classmethod
    def find(cls, tree: Tree) -> "ExportedBiLM | None":
        """The biLM among the files of a tree, or None.

        Raises:
            SourceError: there are several.
        """
        found = [name.removesuffix(DESCRIPTION) for name in tree.names if f"/{name}".endswith(f"/{DESCRIPTION}")]
        if len(found) > 1:
            raise SourceError(f"{tree.place}: expected one biLM, found {len(found)} SavedModels")
        return cls(tree, found[0]) if found else None

    @cached_property
    def _description(self) -> dict[str, Any]:
        description = self.tree.json(self.files[0])
        if not isinstance(description, dict):
            raise SourceError(f"{self._where}: holds a {type(description).__name__}; expected an object")
        return description

    @cached_property
    def options(self) -> BiLMOptions:
        options = BiLMOptions.from_json(self._description.get("options"), self._where)
        check_size(options, self._where)
        return options

    @property
    def layer_norm(self) -> bool:
        """Whether its mix normalises the layers."""
        return self._description.get("layer_norm") is True

    def _entries(self, key: str) -> list[str]:
        entries = self._description.get(key)
        if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
            raise SourceError(f"{self._where}: key '{key}' holds no list of words")
        return entries

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        return tuple(self._entries("words")) if self.options.inputs == "words" else ()

    @property
    def spelling(self) -> Spelling:
        try:
            return spelling_of(self.options, self._entries("words"), self._entries("characters"))
        except ValueError as error:
            raise SourceError(f"{self._where}: {error}") from None

    def arrays(self) -> Arrays:
        options, checkpoint = self.options, Checkpoint(self.tree, self._index)
        if 4 * parameters(options) > checkpoint.size:
            raise SourceError(
                f"{checkpoint.where}: its data files hold {checkpoint.size:,} bytes; the options ask for "
                f"{parameters(options):,} numbers"
            )
        from embeddings.bilm import BiLM
        from embeddings.saved_model import weight_name

        # The layers know which of their variables make an array.
        bilm = BiLM(options, self.spelling)
        for variable in bilm.weights:
            variable.assign(checkpoint.array(_key(f"weights/{weight_name(variable)}"), tuple(variable.shape)))
        arrays = arrays_of(bilm)
        for key, shape in zip(MIX, ((options.layers + 1,), ()), strict=True):
            arrays[key] = checkpoint.array(_key(key.replace("aggregation/", "mix/")), shape)
        return checked(arrays, options, checkpoint.where)


def _key(name: str) -> str:
    """The checkpoint's key of an entry of a dictionary; TensorFlow writes its slashes as `.S`."""
    holder, _, entry = name.partition("/")
    return f"{holder}/{entry.replace('.', '..').replace('/', '.S')}/.ATTRIBUTES/VARIABLE_VALUE"
