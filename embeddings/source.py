"""Where biLMs come from and where they go."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from embeddings.errors import SourceError
from embeddings.published import PublishedFiles, find_files, read_options, read_weights

if TYPE_CHECKING:
    from embeddings.bilm import BiLM

Source = str | Path | tuple[str | Path, str | Path]
"""A folder with `options.json` and an HDF5 file, or the pair of such files."""


def find_source(source: Source) -> PublishedFiles:
    """The files behind a source.

    Raises:
        SourceError: there is no such folder or file, or it holds no biLM.
    """
    if isinstance(source, tuple):
        files = PublishedFiles(*map(Path, source))
        for path in (files.options, files.weights):
            if not path.is_file():
                raise SourceError(f"{path}: no such file; expected the {path.suffix.lstrip('.')} file of a biLM")
        return files
    folder = Path(source)
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise SourceError(f"{folder}: {found}; expected a folder with the options.json and the HDF5 file of a biLM")
    return find_files(folder)


def load_bilm(source: Source) -> "BiLM":
    """Build the biLM that a source describes, with its weights.

    Args:
        source: a folder with `options.json` and an HDF5 file, or the pair of such files.

    Raises:
        SourceError: the source does not exist or cannot be read; the message names the file and the key.
    """
    from embeddings.bilm import BiLM

    files = find_source(source)
    bilm = BiLM(read_options(files.options))
    read_weights(bilm, files.weights)
    return bilm


def random_bilm(source: Source, seed: int) -> "BiLM":
    """A biLM of the same sizes as a source's, freshly initialised: the baseline that shows what pretraining gives."""
    import keras

    from embeddings.bilm import BiLM

    keras.utils.set_random_seed(seed)
    return BiLM(read_options(find_source(source).options))


def checksum(source: Source) -> str:
    """SHA-256 over a biLM's options and weights files, in hexadecimal."""
    files = find_source(source)
    digest = hashlib.sha256()
    for path in (files.options, files.weights):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
