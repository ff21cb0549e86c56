"""A biLM at rest."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import cached_property
from typing import ClassVar

import numpy as np

from embeddings.archive import Tree
from embeddings.options import BiLMOptions
from embeddings.spelling import Spelling, spelling_of
from embeddings.weights import Arrays


class StoredBiLM(ABC):
    """What a source holds. Each form in which biLMs were published has its own subclass; all hand over the same
    options, arrays and spelling.

    Nothing but the names of files is looked at before it is asked for.

    Args:
        tree: the files.

    Attributes:
        form: the form's name, for people.
        files: the names of the files in the tree that make the biLM.
        layer_norm: whether its mix normalises the layers.
    """

    form: ClassVar[str]
    files: tuple[str, ...]

    def __init__(self, tree: Tree):
        self.tree = tree

    @cached_property
    @abstractmethod
    def options(self) -> BiLMOptions:
        """Its sizes and switches.

        Raises:
            SourceError: they cannot be read, as for everything below.
        """

    @abstractmethod
    def arrays(self) -> Arrays:
        """Its weights, and the softmax and the ELMo mix if it brings them, as `weights.checked` gives them."""

    @property
    def layer_norm(self) -> bool:
        return False

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The words of its softmax or of its embedding, in order; empty where it brings none."""
        return ()

    @cached_property
    def counts(self) -> np.ndarray | None:
        """How often each word of the vocabulary occurred in the text of the training, int64 `[words]`, or None where
        nobody knows."""
        return None

    @property
    def spelling(self) -> Spelling:
        """How it reads words."""
        return spelling_of(self.options)

    def checksum(self) -> str:
        """SHA-256 over its files, in hexadecimal."""
        return checksum_of(self.tree, self.files)


def checksum_of(tree: Tree, names: Iterable[str]) -> str:
    """SHA-256 over files, in hexadecimal."""
    digest = hashlib.sha256()
    for name in names:
        with tree.open(name) as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())  # type: ignore[arg-type]
    return digest.hexdigest()
