"""What embeds texts below a head: the biLM of a source, or a SavedModel that embeds whole texts."""

from pathlib import Path

from embeddings.embedder import Embedder
from embeddings.source import Source, bilm_in, copy_bilm, find_bilm, load_bilm, source_tree, stored_pair
from embeddings.stored import StoredBiLM
from embeddings.text_embedding import StoredTextEmbedding, TextEmbedder

Stored = StoredBiLM | StoredTextEmbedding
AnyEmbedder = Embedder | TextEmbedder


def find_embedder(source: Source) -> Stored:
    """What a source holds, looked at and not run.

    Raises:
        SourceError: it holds nothing that embeds, or a biLM that is broken.
    """
    pair = stored_pair(source)
    if pair:
        return pair
    tree = source_tree(source)
    found = bilm_in(tree) or StoredTextEmbedding.find(tree)
    return found or find_bilm(tree)


def load_embedder(stored: Stored) -> AnyEmbedder:
    """What was found, ready to embed. A text embedding is a program, which this runs.

    Raises:
        SourceError: it cannot be read.
    """
    return stored.load() if isinstance(stored, StoredTextEmbedding) else Embedder(load_bilm(stored))


def shape_of(embedder: AnyEmbedder) -> tuple[int, int]:
    """Layers and numbers a vector of what an embedder gives."""
    if isinstance(embedder, TextEmbedder):
        return 1, embedder.dim
    options = embedder.bilm.options
    return options.layers + 1, options.dim


def copy_stored(stored: Stored, folder: Path) -> None:
    """Write what was found into an existing, empty folder: a biLM in the published form, a SavedModel as it is."""
    if isinstance(stored, StoredTextEmbedding):
        stored.copy_to(folder)
    else:
        copy_bilm(stored, folder)
