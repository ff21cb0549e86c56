"""Where biLMs come from and where they go.

A source is known by looking into it: each form of `_FORMS` says whether it finds itself among the files.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from embeddings.archive import Files, Folder, Tree, open_tree, reading
from embeddings.bundled import DEFAULT, bundled
from embeddings.errors import SourceError
from embeddings.handle import is_handle, resolve_handle
from embeddings.published import VOCABULARY, PublishedBiLM, write_published
from embeddings.stored import StoredBiLM
from embeddings.vocabulary import Vocabulary

if TYPE_CHECKING:
    from embeddings.bilm import BiLM

Source = str | Path | StoredBiLM | tuple[str | Path, str | Path]
"""`telmo-small-en`, a folder, an archive, a TF-Hub handle, or the pair of options and weights, also as one string with
a comma; or what was found there before, so that it is not looked for again."""

_BILM = f"{DEFAULT}, a folder, an archive or a TF-Hub handle"

_FORMS = (
    ("embeddings.exported", "ExportedBiLM"),
    # Before the published form, which has options too.
    ("embeddings.bilm_tf_checkpoint", "BilmTfCheckpoint"),
    ("embeddings.published", "PublishedBiLM"),
    ("embeddings.hub_module", "HubModule"),
    ("embeddings.many_langs", "ManyLangsBiLM"),
)


def find_source(source: Source) -> StoredBiLM:
    """What a source holds.

    Raises:
        SourceError: there is no such place, or it holds no biLM.
    """
    if isinstance(source, StoredBiLM):
        return source
    return stored_pair(source) or find_bilm(source_tree(source))


def stored_pair(source: Source) -> PublishedBiLM | None:
    """The biLM of options and weights that were named one by one, or None if the source is of another kind.

    Raises:
        SourceError: one of the two is no file.
    """
    if isinstance(source, str) and "," in source and not is_handle(source) and not Path(source).exists():
        options, _, weights = source.partition(",")
        source = (options, weights)
    if not isinstance(source, tuple):
        return None
    paths = [Path(path) for path in source]
    for path in paths:
        if not path.is_file():
            raise SourceError(f"{path}: no such file; expected options and weights, as OPTIONS.json,WEIGHTS.hdf5")
    return PublishedBiLM(Files(*paths), *map(str, paths))


def source_tree(source: Source) -> Tree:
    """The files at a source that is no pair.

    Raises:
        SourceError: there is nothing, or nothing that holds files.
    """
    if is_handle(source):
        return Folder(resolve_handle(str(source)), str(source))
    if folder := bundled(source):
        return Folder(folder, str(source))
    if not str(source).strip():
        raise SourceError(f"the source is empty; expected a biLM: {_BILM}")
    path = Path(source)  # type: ignore[arg-type]
    with reading(str(path)):
        exists = path.exists()
    if not exists:
        raise SourceError(f"{source}: does not exist; expected a biLM: {_BILM}")
    return open_tree(path)


def bilm_in(tree: Tree) -> StoredBiLM | None:
    """The biLM among files, or None.

    Raises:
        SourceError: there is one, but a part of it is missing, or there are several.
    """
    for module, name in _FORMS:
        found = getattr(import_module(module), name).find(tree)
        if found is not None:
            return found
    return None


def find_bilm(tree: Tree) -> StoredBiLM:
    """The biLM among files.

    Raises:
        SourceError: there is none, or a part of it is missing.
    """
    found = bilm_in(tree)
    if found:
        return found
    if tree.named("weights.th"):
        raise SourceError(f"{tree.place}: a model that AllenNLP trained, no biLM; `telmo convert` makes a model of it")
    if tree.named("saved_model.pb"):
        raise SourceError(
            f"{tree.place}: a SavedModel, but no biLM; one that embeds whole texts is a source of `telmo train` alone"
        )
    raise SourceError(
        f"{tree.place}: no biLM in it; expected options.json and an HDF5 file, a TF-Hub module or ELMoForManyLangs"
    )


def load_bilm(source: Source = DEFAULT) -> "BiLM":
    """Build the biLM that a source holds, with its weights.

    Args:
        source: `telmo-small-en`, a folder or an archive with `options.json` and an HDF5 file, a TF-Hub handle, module
            folder or its archive, an ELMoForManyLangs folder, or the pair of options and weights.

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
    """Write a source's biLM into an existing folder, in the published form, with the counts of its vocabulary."""
    stored = find_source(source)
    write_published(folder, stored.options, stored.arrays(), stored.vocabulary, stored.spelling)
    Vocabulary(stored.vocabulary, stored.counts).write_counts(folder / VOCABULARY)
