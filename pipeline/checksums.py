"""The identity of data."""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path


def checksum_of_file(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum_of_files(paths: Sequence[Path]) -> str:
    """SHA-256 of a file, or of the checksums of several in their order, in hexadecimal."""
    return joined([checksum_of_file(path) for path in paths])


def joined(checksums: Sequence[str]) -> str:
    """The checksum of files, made of those of each."""
    return checksums[0] if len(checksums) == 1 else hashlib.sha256("".join(checksums).encode()).hexdigest()


def checksum_of_sentences(sentences: Iterable[Sequence[str]], targets: Iterable[str | Sequence[str]] = ()) -> str:
    """SHA-256 of sentences and their labels or tags, in hexadecimal; where a word or a sentence ends makes a
    difference."""
    digest = hashlib.sha256()
    for sentence in chain(sentences, ([target] if isinstance(target, str) else target for target in targets)):
        digest.update("\x00".join(sentence).encode("utf-8", "surrogatepass") + b"\x01")
    return digest.hexdigest()
