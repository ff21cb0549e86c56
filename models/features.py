"""What a head sees of words beside ELMo: the rows of vectors that stand for words and for their characters.

Row 0 is padding, row 1 is whatever the vocabulary lacks, and the entries of the vocabulary follow.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from embeddings.errors import ModelError
from models.description import FEATURES
from models.options import CharacterInput, HeadOptions, WordInput
from models.pretrained_vectors import PretrainedVectors

SHORTEST = 8
"""Characters of the narrowest group of words."""

GROUPS = 4
"""Groups of words that every batch has, so that one graph serves nearly all."""


@dataclass(frozen=True)
class Feature:
    """How words, or their characters, become rows.

    Args:
        entries: the vocabulary, or None where the rows are those of UTF-8 bytes: a byte's value and one more.
        lowercase: whether the word is put in lower case first.
        begin, end: rows of marks around the characters of a word.
        rows: number of rows, where it is not that of the vocabulary.
    """

    entries: list[str] | None
    lowercase: bool = False
    begin: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)
    rows: int | None = None

    def __post_init__(self):
        lists = (self.begin, self.end, self.entries or [])
        kinds = (int, int, str)
        if not all(isinstance(x, list) and all(type(v) is k for v in x) for x, k in zip(lists, kinds, strict=True)):
            raise ValueError("expected lists of strings and of whole numbers")
        if any(not 0 < row < self.size for row in [*self.begin, *self.end]):
            raise ValueError(f"a mark has a row outside 1 to {self.size - 1}")

    @property
    def size(self) -> int:
        """Rows in all."""
        return self.rows or (257 if self.entries is None else len(self.entries) + 2)

    @cached_property
    def _row(self) -> dict[str, int]:
        return {entry: k for k, entry in enumerate(self.entries or [], start=2)}

    def row(self, word: str) -> int:
        """The row of a word."""
        return self._row.get(word.lower() if self.lowercase else word, 1)

    def character_rows(self, word: str) -> list[int]:
        """The rows of a word's characters, with the marks around them."""
        word = word.lower() if self.lowercase else word
        if self.entries is None:
            inner = [byte + 1 for byte in word.encode("utf-8", "replace")]
        else:
            inner = [self._row.get(character, 1) for character in word]
        return self.begin + inner + self.end


class Features:
    """The features of a head, by the names of its inputs.

    Args:
        parts: what each is.
    """

    def __init__(self, parts: dict[str, Feature]):
        self.parts = parts

    @classmethod
    def learned(
        cls, options: HeadOptions, sentences: Sequence[Sequence[str]], vectors: PretrainedVectors | None = None
    ) -> "Features":
        """The features that a head's options ask for, with the vocabularies of texts.

        Args:
            options: of the head.
            sentences: the training texts.
            vectors: word vectors; each word that has one is in the vocabulary of words, however rare it is.
        """
        counts = Counter(word for words in sentences for word in words)
        return cls({part.name: _learned(part, counts, vectors) for part in options.features})

    @property
    def rows(self) -> dict[str, int]:
        """How many rows of vectors each part needs."""
        return {name: feature.size for name, feature in self.parts.items()}

    def arrays(self, options: HeadOptions, sentences: Sequence[Sequence[str]]) -> dict[str, Any]:
        """What a head takes of a batch, for each of its inputs of words or characters.

        Returns:
            By the input's name: for words, rows int32 `[batch, time]`. For characters, a dict: `groups`, a list of
            int32 `[distinct words, characters]`, of short words and then of ever longer ones, so that one long word
            does not make all others as long; and `place`, int32 `[batch, time]`, a word's number in the groups one
            after another. Padding is 0. The first `GROUPS` groups are always there, with one row of padding if there
            are no such words, so that batches are alike in form.
        """
        width = max(map(len, sentences))
        arrays: dict[str, Any] = {}
        for part in options.features:
            feature = self.parts[part.name]
            if isinstance(part, WordInput):
                arrays[part.name] = _padded([[feature.row(word) for word in words] for words in sentences], width)
            else:
                groups, place = _grouped(feature, part, sentences)
                rows = [[place[word] for word in words] for words in sentences]
                arrays[part.name] = {"groups": groups, "place": _padded(rows, width)}
        return arrays

    def write(self, folder: Path) -> None:
        """Write the features into a model folder."""
        values = {name: asdict(feature) for name, feature in self.parts.items()}
        (folder / FEATURES).write_text(json.dumps(values, ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def read(cls, folder: Path, options: HeadOptions) -> "Features":
        """Read the features of a model folder.

        Raises:
            ModelError: the file is missing or broken, or lacks a feature that the head asks for.
        """
        if not options.features:
            return cls({})
        path = folder / FEATURES
        try:
            features = cls({name: Feature(**values) for name, values in json.loads(path.read_text("utf-8")).items()})
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror}); the head asks for features") from None
        except (TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"{path}: not the features of a model ({error})") from None
        for part in options.features:
            if part.name not in features.parts:
                raise ModelError(f"{path}: no feature '{part.name}'; the head asks for it")
        return features


def _learned(part: WordInput | CharacterInput, counts: Mapping[str, int], vectors: PretrainedVectors | None) -> Feature:
    found: Counter[str] = Counter()
    for word, count in counts.items():
        if isinstance(part, CharacterInput):
            for character in word:
                found[character] += count
        else:
            found[word.lower() if part.lowercase else word] += count
    entries = [entry for entry, count in sorted(found.items(), key=_frequent_first) if count >= part.min_count]
    if isinstance(part, CharacterInput):
        # With marks around it a word of one character has a window of three.
        size = len(entries) + 2
        return Feature(entries, begin=[size], end=[size + 1], rows=size + 2)
    if vectors:
        known = set(entries)
        more = {word.lower() if part.lowercase else word for word in vectors.vectors}
        entries += sorted(more - known)
    return Feature(entries, lowercase=part.lowercase)


def _frequent_first(pair: tuple[str, int]) -> tuple[int, str]:
    return -pair[1], pair[0]


def _padded(rows: Sequence[Sequence[int]], width: int) -> np.ndarray:
    together = np.zeros((len(rows), width), np.int32)
    for k, row in enumerate(rows):
        together[k, : len(row)] = row
    return together


def _grouped(
    feature: Feature, part: CharacterInput, sentences: Sequence[Sequence[str]]
) -> tuple[list[np.ndarray], dict[str, int]]:
    spelled = {word: feature.character_rows(word) for words in sentences for word in words}
    shortest = max((SHORTEST, *part.widths))
    groups: list[np.ndarray] = []
    place: dict[str, int] = {}
    first = 0
    for width, words in _by_length(spelled, shortest):
        # TensorFlow convolves no batch of nothing.
        groups.append(_padded([spelled[word] for word in words] or [[]], width))
        place |= {word: k for k, word in enumerate(words, start=first)}
        first += len(groups[-1])
    return groups, place


def _by_length(spelled: dict[str, list[int]], shortest: int) -> Iterator[tuple[int, list[str]]]:
    """Words of up to so many characters: groups of twice the width of the one before, and beyond them of four times."""
    words = sorted(spelled, key=lambda word: len(spelled[word]))
    width, first, groups = shortest, 0, 0
    while first < len(words) or groups < GROUPS:
        last = first
        while last < len(words) and len(spelled[words[last]]) <= width:
            last += 1
        yield width, words[first:last]
        groups += 1
        width, first = (2 if groups < GROUPS else 4) * width, last
