"""The published form of a biLM: `options.json` and an HDF5 file, as bilm-tf wrote and AllenNLP and simple_elmo read
them; in a folder, in a zip archive of the NLPL repository, or two files named one by one.

Telmo's own biLM folders are of this form. What the others do not know of stands beside it: the softmax and the ELMo
mix in the same HDF5 file, and the dictionaries of a biLM that reads by dictionaries in `dictionaries.json`.
"""

import json
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from embeddings.archive import LIMIT, Tree, reading
from embeddings.errors import SourceError
from embeddings.options import BiLMOptions
from embeddings.spelling import Spelling, spelling_of
from embeddings.stored import StoredBiLM
from embeddings.weights import EXTRAS, Arrays, check_array, checked, parameters, weight_shapes

OPTIONS, WEIGHTS, VOCABULARY, DICTIONARIES = "options.json", "weights.hdf5", "vocabulary.txt", "dictionaries.json"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_VOCABULARY = re.compile(r"vocab[\w-]*\.txt(\.gz)?")


class PublishedBiLM(StoredBiLM):
    """A biLM as `options.json` and an HDF5 file.

    Args:
        tree, options, weights: the files and the names of the two.
    """

    form = "bilm-tf files"

    def __init__(self, tree: Tree, options: str, weights: str):
        super().__init__(tree)
        self.files = (options, weights)

    @classmethod
    def find(cls, tree: Tree) -> "PublishedBiLM | None":
        """The biLM among the files of a tree, or None if no options are there.

        Raises:
            SourceError: there are options, but no weights, or several of one of them.
        """
        options = tree.named(OPTIONS)
        if not options:
            return None
        if len(options) > 1:
            raise SourceError(f"{tree.place}: expected one biLM, found the options {', '.join(options)}")
        place = tree.within(options[0])
        beside = [name for name in tree.names if tree.within(name) == place]
        weights = [name for name in beside if _holds_bilm(tree, name)] or [
            name for name in tree.names if _holds_bilm(tree, name)
        ]
        if len(weights) != 1:
            found = ", ".join(weights) or "none"
            raise SourceError(f"{tree.place}: expected one HDF5 file with the weights of a biLM, found {found}")
        return cls(tree, options[0], weights[0])

    @cached_property
    def options(self) -> BiLMOptions:
        name = self.files[0]
        return BiLMOptions.from_json(self._json(name), self.tree.where(name))

    def _json(self, name: str):
        try:
            return json.loads(self.tree.read(name))
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{self.tree.where(name)}: not JSON ({error})") from None

    def arrays(self) -> Arrays:
        name = self.files[1]
        with self.tree.open(name) as file:
            return read_hdf5(file, self.options, self.tree.where(name))

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        place = self.tree.within(self.files[1])
        found = [name for name in self.tree.names if _VOCABULARY.fullmatch(name.removeprefix(place))]
        if not found:
            return ()
        try:
            return tuple(line.strip() for line in self.tree.read(found[0]).decode().strip("\n").split("\n"))
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise SourceError(f"{self.tree.where(found[0])} line {line}: not UTF-8") from None

    @property
    def spelling(self) -> Spelling:
        words, characters, where = self.vocabulary, (), self.tree.place or self.files[0]
        try:
            if self.options.inputs == "dictionaries":
                name = self.tree.within(self.files[0]) + DICTIONARIES
                where = self.tree.where(name)
                if name not in self.tree.names:
                    raise ValueError("missing; the biLM reads its words by these dictionaries")
                values = self._json(name)
                words, characters = values["words"], values["characters"]
            return spelling_of(self.options, words, characters)
        except (KeyError, TypeError, ValueError) as error:
            raise SourceError(f"{where}: {error}") from None


def _holds_bilm(tree: Tree, name: str) -> bool:
    """Whether a file has a biLM's weights; a broken file counts if it is named as weights, to be refused by name
    later."""
    named = name.endswith(WEIGHTS)
    if tree.head(name) != _HDF5:
        return named
    try:
        with tree.open(name) as binary, h5py.File(binary) as file:
            return named or ("RNN_0" in file and ("char_embed" in file or "embedding" in file))
    except (OSError, RuntimeError, KeyError, ValueError):
        return named


def read_hdf5(binary: BinaryIO, options: BiLMOptions, where: str) -> Arrays:
    """The weights in an HDF5 file, and the softmax and ELMo mix if they are there.

    Raises:
        SourceError: the file is no HDF5, or a key is missing, has another shape than the options ask for, or leads out
            of the file.
    """
    if 4 * parameters(options) > LIMIT:
        raise SourceError(f"{where}: the options ask for {parameters(options):,} parameters; more than can be read")
    arrays: Arrays = {}
    try:
        with reading(where), h5py.File(binary) as file:
            for key, shape in weight_shapes(options):
                dataset = _dataset(file, key, where)
                if dataset is None and options.layers == 1:
                    # The name that bilm-tf's training gave to an only layer.
                    dataset = _dataset(file, key.replace("MultiRNNCell/Cell0/", ""), where)
                check_array(dataset, key, shape, where)
                arrays[key] = _values(dataset, key, where)
            for key in EXTRAS:
                dataset = _dataset(file, key, where)
                if dataset is not None and dataset.size <= LIMIT // 4:
                    arrays[key] = _values(dataset, key, where)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:  # h5py's words for broken files
        raise SourceError(f"{where}: broken HDF5 ({error})") from None
    return checked(arrays, options, where)


def _dataset(file: h5py.File, key: str, where: str) -> h5py.Dataset | None:
    """The array at a key, or None; a link to another place or file is refused."""
    found: h5py.Group | h5py.Dataset = file
    for part in key.split("/"):
        if not isinstance(found, h5py.Group) or part not in found:
            return None
        if not isinstance(found.get(part, getlink=True), h5py.HardLink):
            raise SourceError(f"{where}: key '{key}' is a link; expected an array")
        found = found[part]
    if not isinstance(found, h5py.Dataset):
        return None
    if found.is_virtual or found.external:
        raise SourceError(f"{where}: key '{key}' is kept in another file; expected an array")
    return found


def _values(dataset: h5py.Dataset, key: str, where: str) -> np.ndarray:
    try:
        return dataset[()]
    except (OSError, RuntimeError, ValueError, MemoryError) as error:
        raise SourceError(f"{where}: key '{key}' cannot be read ({error})") from None


def write_published(
    folder: Path,
    options: BiLMOptions,
    arrays: Arrays,
    vocabulary: Sequence[str] = (),
    spelling: Spelling | None = None,
) -> None:
    """Write a biLM into an existing folder.

    Args:
        folder: gets `options.json`, `weights.hdf5`, and what there is of `vocabulary.txt` and `dictionaries.json`.
        options: sizes and switches.
        arrays: weights, softmax and mix by their names, such as `checked` gives.
        vocabulary: words of the softmax or of the embedding.
        spelling: needed where it has dictionaries.
    """
    (folder / OPTIONS).write_text(json.dumps(options.to_json(), indent=2) + "\n", "utf-8")
    if vocabulary:
        (folder / VOCABULARY).write_text("".join(f"{word}\n" for word in vocabulary), "utf-8")
    if spelling and spelling.characters:
        text = json.dumps({"characters": list(spelling.characters), "words": list(spelling.words)}, ensure_ascii=False)
        (folder / DICTIONARIES).write_text(text + "\n", "utf-8")
    with h5py.File(folder / WEIGHTS, "w") as file:
        for key, array in arrays.items():
            file[key] = array
