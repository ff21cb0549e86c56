"""What embeds texts below a head: the biLM of a source, or a SavedModel that embeds whole texts."""

import shutil
from pathlib import Path

from embeddings.embedder import Embedder
from embeddings.errors import SourceError
from embeddings.source import Source, copy_bilm, find_bilm, find_source, load_bilm, source_tree, stored_pair
from embeddings.stored import checksum_of
from embeddings.text_embedding import GRAPH, TextEmbedder, is_text_embedding, load_text_embedder

AnyEmbedder = Embedder | TextEmbedder


def embeds_texts(source: Source) -> bool:
    """Whether a source gives one vector a text, not one a word.

    Raises:
        SourceError: it holds nothing that embeds.
    """
    if stored_pair(source):
        return False
    tree = source_tree(source)
    try:
        find_bilm(tree)
    except SourceError:
        if tree.named(GRAPH) and is_text_embedding(tree):
            return True
        raise
    return False


def load_embedder(source: Source) -> AnyEmbedder:
    """What a source holds, ready to embed.

    Raises:
        SourceError: it cannot be read.
    """
    return load_text_embedder(source) if embeds_texts(source) else Embedder(load_bilm(source))


def shape_of(embedder: AnyEmbedder) -> tuple[int, int]:
    """Layers and numbers a vector of what an embedder gives."""
    if isinstance(embedder, TextEmbedder):
        return 1, embedder.dim
    options = embedder.bilm.options
    return options.layers + 1, options.dim


def copy_source(source: Source, folder: Path) -> None:
    """Write what embeds into an existing, empty folder: a biLM in the published form, a SavedModel as it is."""
    if not embeds_texts(source):
        copy_bilm(source, folder)
        return
    tree = source_tree(source)
    (graph,) = tree.named(GRAPH)
    shutil.copytree(tree.folder() / tree.within(graph), folder, dirs_exist_ok=True)


def checksum(source: Source) -> str:
    """SHA-256 over the files of what embeds, in hexadecimal."""
    if not embeds_texts(source):
        return find_source(source).checksum()
    tree = source_tree(source)
    return checksum_of(tree, tree.names)
