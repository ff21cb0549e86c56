"""Where biLMs come from and where they go.

A source is known by looking into it: each form of `_FORMS` says whether it finds itself among the files.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from embeddings.archive import Files, Tree, open_tree
from embeddings.errors import SourceError
from embeddings.published import PublishedBiLM, write_published
from embeddings.stored import StoredBiLM

if TYPE_CHECKING:
    from embeddings.bilm import BiLM

Source = str | Path | tuple[str | Path, str | Path]
"""A folder, an archive, a TF-Hub handle, or the pair of options and weights, also as one string with a comma."""

_FORMS = (("embeddings.published", "PublishedBiLM"),)


def find_source(source: Source) -> StoredBiLM:
    """What a source holds.

    Raises:
        SourceError: there is no such place, or it holds no biLM.
    """
    if isinstance(source, str) and "," in source and not Path(source).exists():
        options, _, weights = source.partition(",")
        source = (options, weights)
    if isinstance(source, tuple):
        paths = [Path(path) for path in source]
        for path in paths:
            if not path.is_file():
                raise SourceError(f"{path}: no such file; expected options.json and the HDF5 file of a biLM")
        return PublishedBiLM(Files(*paths), *map(str, paths))
    tree = source_tree(source)
    found = find_bilm(tree)
    if found is None:
        raise SourceError(
            f"{tree.place}: no biLM in it; expected options.json and an HDF5 file, a TF-Hub module or ELMoForManyLangs"
        )
    return found


def source_tree(source: str | Path) -> Tree:
    """The files at a source.

    Raises:
        SourceError: there is nothing, or nothing that holds files.
    """
    path = Path(source)
    if not path.exists():
        raise SourceError(f"{source}: does not exist; expected a biLM: a folder, an archive or a TF-Hub handle")
    return open_tree(path)


def find_bilm(tree: Tree) -> StoredBiLM | None:
    """The biLM among files, or None.

    Raises:
        SourceError: there is one, but a part of it is missing.
    """
    for module, name in _FORMS:
        found = getattr(import_module(module), name).find(tree)
        if found is not None:
            return found
    return None


def load_bilm(source: Source) -> "BiLM":
    """Build the biLM that a source holds, with its weights.

    Args:
        source: a folder or an archive with `options.json` and an HDF5 file, a TF-Hub handle, module folder or its
            archive, an ELMoForManyLangs folder, or the pair of options and weights.

    Raises:
        SourceError: the source does not exist or cannot be read; the message names the file and the key.
    """
    stored = find_source(source)
    # Before the layers are built, so that nothing is allocated for sizes that the weights do not have.
    arrays = stored.arrays()
    from embeddings.bilm import BiLM
    from embeddings.weights import fill

    bilm = BiLM(stored.options, stored.spelling)
    fill(bilm, arrays)
    return bilm


def random_bilm(source: Source, seed: int) -> "BiLM":
    """A biLM of the same sizes as a source's, freshly initialised: the baseline that shows what pretraining gives."""
    import keras

    from embeddings.bilm import BiLM

    stored = find_source(source)
    keras.utils.set_random_seed(seed)
    return BiLM(stored.options, stored.spelling)


def copy_bilm(source: Source, folder: Path) -> None:
    """Write a source's biLM into an existing folder, in the published form."""
    stored = find_source(source)
    write_published(folder, stored.options, stored.arrays(), stored.vocabulary, stored.spelling)


def checksum(source: Source) -> str:
    """SHA-256 over a biLM's files, in hexadecimal."""
    return find_source(source).checksum()
