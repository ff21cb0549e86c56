"""Word vectors in text form: a word and its numbers on each line (GloVe; word2vec and fastText, whose first line says
how many words and numbers there are)."""

import bz2
import gzip
import lzma
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embeddings.errors import SourceError

_OPEN: dict[str, Any] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
SUFFIXES = (".txt", ".vec")
"""Of the files, before that of a compression."""


def is_vectors(source: str) -> bool:
    """Whether a source is, by its name, a file of word vectors."""
    path = Path(source)
    return Path(path.stem if path.suffix in _OPEN else path.name).suffix in SUFFIXES and not path.is_dir()


@dataclass(frozen=True)
class PretrainedVectors:
    """Word vectors.

    Args:
        vectors: float32 `[dim]` of each word.
        dim: numbers of a vector.
    """

    vectors: dict[str, np.ndarray]
    dim: int

    @classmethod
    def read(cls, path: str | Path, wanted: Collection[str], most: int = 50_000) -> "PretrainedVectors":
        """Read the vectors of some words and of their forms in lower case, and those that the file begins with, which
        are of the most frequent words. It is read line by line, and the others are not kept.

        Args:
            path: the file, plain or compressed (gz, xz, bz2).
            wanted: the words, such as those of the training texts.
            most: vectors from the file's begin, so that a text may have words that training texts lack.

        Raises:
            SourceError: the file cannot be read, or a line is not a word and its numbers.
        """
        wanted = {form for word in wanted for form in (word, word.lower())}
        vectors: dict[str, np.ndarray] = {}
        dim = 0
        for number, line in _lines(Path(path)):
            if number == 1 and len(header := line.split()) == 2 and all(part.isdecimal() for part in header):
                continue
            # The first line says how many numbers follow a word, which may itself hold spaces.
            dim = dim or line.count(" ")
            word, *numbers = line.rsplit(" ", dim)
            if dim < 2 or len(numbers) != dim:
                raise SourceError(f"{path} line {number}: not a word and {dim or 'its'} numbers: '{line[:60]}'")
            if (word in wanted or number <= most) and word not in vectors:
                try:
                    vectors[word] = np.array(numbers, np.float32)
                except ValueError:
                    raise SourceError(f"{path} line {number}: not a word and {dim} numbers: '{line[:60]}'") from None
        if not dim:
            raise SourceError(f"{path}: no word vectors in it; expected a word and its numbers on each line")
        return cls(vectors, dim)

    def of(self, word: str) -> np.ndarray | None:
        """The vector of a word, or of its form in lower case, or None."""
        return self.vectors.get(word, self.vectors.get(word.lower()))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        with _OPEN.get(path.suffix, open)(path, "rt", encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                yield number, line.rstrip(" \r\n")
    except UnicodeDecodeError:
        raise SourceError(f"{path} after line {number}: not UTF-8; expected word vectors in text form") from None
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise SourceError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
