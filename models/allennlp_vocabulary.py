"""The vocabulary of an AllenNLP archive: one file a namespace, and how its indexers look words up in it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embeddings.archive import Tree
from embeddings.errors import SourceError
from models.allennlp_config import Section
from models.features import Feature

_FOLDER, _NOT_PADDED = "vocabulary/", "vocabulary/non_padded_namespaces.txt"
_PADDING, _UNKNOWN, _NEW_LINE = "@@PADDING@@", "@@UNKNOWN@@", "@@NEWLINE@@"

_BYTES = 0xF4 + 2
"""Rows that UTF-8 needs: its largest byte has the row of its value and one more."""


@dataclass(frozen=True)
class Indexed:
    """A feature, and for each of its rows the row of AllenNLP's embedding that holds it."""

    feature: Feature
    rows: np.ndarray


class Vocabularies:
    """The namespaces of an archive.

    Args:
        tree: of the archive.
        config: the section `vocabulary`, or None.

    Raises:
        SourceError: a file is missing or broken, as in all methods.
    """

    def __init__(self, tree: Tree, config: Section | None):
        self._tree = tree
        self._unknown = config.take("oov_token", _UNKNOWN, str) if config else _UNKNOWN
        self._not_padded = [line.strip() for line in self._lines(_NOT_PADDED)]

    def size(self, namespace: str) -> int:
        """Entries of a namespace, with padding and the unknown."""
        if f"{_FOLDER}{namespace}.txt" not in self._tree.names:
            return 2
        return len(self._lines(f"{_FOLDER}{namespace}.txt")) + self._is_padded(namespace)

    def labels(self, namespace: str) -> list[str]:
        """The entries of a namespace, in order."""
        lines = self._lines(f"{_FOLDER}{namespace}.txt")
        labels = [_PADDING, *lines] if self._is_padded(namespace) else lines
        if len(set(labels)) < len(labels) or not labels:
            raise SourceError(f"{self._where(namespace)}: expected a label a line, each once")
        return labels

    def words(self, namespace: str, lowercase: bool) -> Indexed:
        """The feature that looks words up in a namespace."""
        entries, rows = self._entries(namespace)
        return Indexed(Feature(entries, lowercase), rows)

    def characters(self, namespace: str, tokenizer: Section | None, size: int) -> Indexed:
        """The feature that looks characters up in a namespace, or takes bytes as they are.

        Args:
            namespace: of the vocabulary.
            tokenizer: the indexer's section `character_tokenizer`, or None.
            size: rows of the embedding.
        """
        if tokenizer is None:
            return self.words(namespace, lowercase=False)
        tokenizer.only("type", "character")
        lowercase = tokenizer.take("lowercase_characters", False, bool)
        marks = [tokenizer.take(key, [], list) for key in ("start_tokens", "end_tokens")]
        encoding = tokenizer.take("byte_encoding", None, str)
        tokenizer.close()
        if encoding is not None:
            if encoding.lower() not in ("utf-8", "utf8"):
                tokenizer.fail("byte_encoding", f"is '{encoding}', which cannot be converted; expected 'utf-8'")
            if size < _BYTES:
                tokenizer.fail("byte_encoding", f"needs {_BYTES} rows of an embedding; the weights have {size}")
            return Indexed(_marked(tokenizer, None, lowercase, marks, {k: k for k in range(size)}), np.arange(size))
        entries, rows = self._entries(namespace)
        numbers = {int(row): k for k, row in enumerate(rows)}
        return Indexed(_marked(tokenizer, entries, lowercase, marks, numbers), rows)

    def _entries(self, namespace: str) -> tuple[list[str], np.ndarray]:
        if not self._is_padded(namespace):
            raise SourceError(f"{self._where(namespace)}: a namespace without padding; only labels can be converted so")
        lines = self._lines(f"{_FOLDER}{namespace}.txt")
        # Of equal lines the last one counts.
        row = {line.replace(_NEW_LINE, "\n"): k for k, line in enumerate(lines, start=1)}
        if self._unknown not in row:
            raise SourceError(f"{self._where(namespace)}: no line '{self._unknown}' for what is unknown")
        unknown = row.pop(self._unknown)
        return list(row), np.array([0, unknown, *row.values()])

    def _is_padded(self, namespace: str) -> bool:
        return not any(
            namespace.endswith(pattern[1:]) if pattern.startswith("*") else namespace == pattern
            for pattern in self._not_padded
        )

    def _where(self, namespace: str) -> str:
        return self._tree.where(f"{_FOLDER}{namespace}.txt")

    def _lines(self, name: str) -> list[str]:
        if name not in self._tree.names:
            raise SourceError(f"{self._tree.where(name)}: is missing")
        try:
            lines = re.split(r"\r?\n", self._tree.read(name).decode("utf-8"))
        except UnicodeDecodeError:
            raise SourceError(f"{self._tree.where(name)}: not UTF-8") from None
        return lines[:-1] if lines and not lines[-1] else lines


def _marked(
    tokenizer: Section, entries: list[str] | None, lowercase: bool, marks: Sequence[list], numbers: dict[int, int]
) -> Feature:
    """A feature with its marks, which are characters of the vocabulary or numbers of rows."""
    plain = Feature(entries, lowercase=False)
    read: list[list[int]] = []
    for key, values in zip(("start_tokens", "end_tokens"), marks, strict=True):
        read.append([])
        for mark in values:
            if isinstance(mark, str) and entries is not None:
                read[-1].append(plain.row(mark))
            elif type(mark) is int and numbers.get(mark, 0) > 0:
                read[-1].append(numbers[mark])
            else:
                tokenizer.fail(key, f"has the mark {mark!r}, which is not in the vocabulary")
    begin, end = read
    return Feature(entries, lowercase, begin, end, rows=None if entries is not None else len(numbers))
