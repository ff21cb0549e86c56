"""The published form of a biLM: `options.json` and an HDF5 file, as bilm-tf wrote and AllenNLP and simple_elmo read
them; in a folder, in a zip archive of the NLPL repository, or two files named one by one.

Telmo's own biLM folders are of this form. What the others do not know of stands beside it: the softmax and the ELMo
mix in the same HDF5 file, and the dictionaries of a biLM that reads by dictionaries in `dictionaries.json`.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from embeddings.archive import LIMIT, Tree
from embeddings.errors import SourceError
from embeddings.options import BiLMOptions
from embeddings.spelling import Spelling, spelling_of
from embeddings.stored import StoredBiLM
from embeddings.vocabulary import COUNTS, parse_counts, split_lines
from embeddings.weights import Arrays, check_array, check_size, checked, extra_shapes, weight_shapes

OPTIONS, WEIGHTS, VOCABULARY, DICTIONARIES = "options.json", "weights.hdf5", "vocabulary.txt", "dictionaries.json"
FILES = (OPTIONS, WEIGHTS, VOCABULARY, DICTIONARIES, VOCABULARY.removesuffix(".txt") + COUNTS)
HDF5 = b"\x89HDF\r\n\x1a\n"
_VOCABULARY = re.compile(r"vocab[\w-]*\.txt(\.gz)?")


class PublishedBiLM(StoredBiLM):
    """A biLM as `options.json` and an HDF5 file.

    Args:
        tree, options, weights: the files and the names of the two.
    """

    form = "bilm-tf files"

    def __init__(self, tree: Tree, options: str, weights: str):
        super().__init__(tree)
        self._options, self._weights = options, weights

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
        shown = tree.named("")
        beside = [name for name in shown if tree.within(name) == place]
        weights = (
            _weights_among(tree, beside)
            or _weights_among(tree, shown)
            # Something else or broken, to be refused by its name.
            or [name for name in shown if name.endswith(".hdf5")]
        )
        if len(weights) != 1:
            found = ", ".join(weights) or "none"
            raise SourceError(f"{tree.place}: expected one HDF5 file with the weights of a biLM, found {found}")
        return cls(tree, options[0], weights[0])

    @property
    def files(self) -> tuple[str, ...]:  # type: ignore[override]
        """Options and weights, and what gives words their numbers."""
        spelled = {"words": self._vocabulary, "dictionaries": self._dictionaries}.get(self.options.inputs)
        return (self._options, *self._weight_files, *([spelled] if spelled in self.tree.names else []))

    @property
    def _weight_files(self) -> tuple[str, ...]:
        return (self._weights,)

    @property
    def _dictionaries(self) -> str:
        return self.tree.within(self._options) + DICTIONARIES

    @property
    def _vocabulary(self) -> str | None:
        place = self.tree.within(self._weights)
        found = [name for name in self.tree.names if _VOCABULARY.fullmatch(name.removeprefix(place))]
        if len(found) > 1 and self.options.inputs == "words":
            raise SourceError(f"{self.tree.place}: expected one vocabulary, found {', '.join(found)}")
        return found[0] if found else None

    @cached_property
    def options(self) -> BiLMOptions:
        name = self._options
        options = BiLMOptions.from_json(self.tree.json(name), self.tree.where(name))
        check_size(options, self.tree.where(name))
        return options

    def arrays(self) -> Arrays:
        name = self._weights
        with self.tree.open(name) as file:
            return read_hdf5(file, self.options, self.tree.where(name))

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        name = self._vocabulary
        return tuple(line.strip(" \t\r") for line in split_lines(self.tree.text(name))) if name else ()

    @cached_property
    def counts(self) -> np.ndarray | None:
        beside = (self._vocabulary or "").removesuffix(".gz").removesuffix(".txt") + COUNTS
        if not self._vocabulary or beside not in self.tree.names:
            return None
        return parse_counts(split_lines(self.tree.text(beside)), len(self.vocabulary), self.tree.where(beside))

    @property
    def spelling(self) -> Spelling:
        words, characters, where = self.vocabulary, (), self.tree.place or self._options
        try:
            if self.options.inputs == "dictionaries":
                name = self._dictionaries
                where = self.tree.where(name)
                if name not in self.tree.names:
                    raise ValueError("missing; the biLM reads its words by these dictionaries")
                values = self.tree.json(name)
                words, characters = values["words"], values["characters"]
            return spelling_of(self.options, words, characters)
        except (KeyError, TypeError, ValueError) as error:
            raise SourceError(f"{where}: {error}") from None


def _weights_among(tree: Tree, names: Iterable[str]) -> list[str]:
    """The files that have a biLM's weights. Only where several may are they opened, which for a member of a zip archive
    means to unpack it."""
    found = [name for name in names if name.endswith(WEIGHTS) or tree.head(name) == HDF5]
    return found if len(found) == 1 else [name for name in found if _holds_bilm(tree, name)]


def _holds_bilm(tree: Tree, name: str) -> bool:
    """Whether a file has a biLM's weights; a broken file counts if it is named as weights, to be refused by name
    later."""
    named = name.endswith(WEIGHTS)
    if tree.head(name) != HDF5:
        return named
    with tree.open(name) as binary:
        try:
            with _reading(name), h5py.File(binary) as file:
                there = file.id.links.exists
                return named or (there(b"RNN_0") and (there(b"char_embed") or there(b"embedding")))
        except SourceError:
            return named


def read_hdf5(binary: BinaryIO, options: BiLMOptions, where: str) -> Arrays:
    """The weights in an HDF5 file, and the softmax and ELMo mix if they are there.

    Raises:
        SourceError: the file is no HDF5, or a key is missing, has another shape than the options ask for, or leads out
            of the file.
    """
    arrays: Arrays = {}
    with _reading(where), h5py.File(binary) as file:
        for key, shape in weight_shapes(options):
            with _reading(where, key):
                dataset = _dataset(file, key, where)
                if dataset is None and options.layers == 1:
                    # The name that bilm-tf's training gave to an only layer.
                    dataset = _dataset(file, key.replace("MultiRNNCell/Cell0/", ""), where)
                check_array(dataset, key, shape, where)
                arrays[key] = _values(dataset, key, where)
        for key, shape in extra_shapes(lambda key: _dataset(file, key, where), options, where).items():
            with _reading(where, key):
                check_array(dataset := _dataset(file, key, where), key, shape, where)
                arrays[key] = _values(dataset, key, where)
    return checked(arrays, options, where)


@contextmanager
def _reading(where: str, key: str | None = None) -> Iterator[None]:
    try:
        yield
    except SourceError:
        raise
    except Exception as error:  # h5py has as many words for broken files as its C library.
        place = f"{where}: key '{key}'" if key else f"{where}:"
        raise SourceError(f"{place} cannot be read ({' '.join(str(error).split())[:200]})") from None


def _dataset(file: h5py.File, key: str, where: str) -> h5py.Dataset | None:
    """The array at a key, or None; a link to another place or file is refused."""
    found: h5py.Group | h5py.Dataset = file
    for part in key.split("/"):
        # Not `part in found`, which follows a link, into another file too.
        if not isinstance(found, h5py.Group) or not found.id.links.exists(part.encode()):
            return None
        if found.id.links.get_info(part.encode()).type != h5py.h5l.TYPE_HARD:
            raise SourceError(f"{where}: key '{key}' is a link; expected an array")
        found = found[part]
    if not isinstance(found, h5py.Dataset):
        return None
    if found.is_virtual or found.external:
        raise SourceError(f"{where}: key '{key}' is kept in another file; expected an array")
    return found


def _values(dataset: h5py.Dataset, key: str, where: str) -> np.ndarray:
    """The numbers of a dataset, if it is no larger than it may be and not only declared."""
    if dataset.nbytes > LIMIT or (dataset.size and not dataset.id.get_storage_size()):
        raise SourceError(f"{where}: key '{key}' declares the shape {list(dataset.shape)} but holds no such array")
    return dataset[()]


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
