"""The stage `inspect`: what a source holds."""

from typing import Any

from embeddings.archive import Folder, Tar, Tree, Zip
from embeddings.source import bilm_in, find_bilm, source_tree, stored_pair
from embeddings.stored import StoredBiLM
from embeddings.stored_softmax import StoredAdaptiveSoftmax, softmax_of
from embeddings.text_embedding import StoredTextEmbedding
from embeddings.weights import MIX, Arrays, parameters
from models.allennlp import archive_in
from models.description import DESCRIPTION, read_description

_CONTAINERS: dict[type[Tree], str] = {Zip: "in a zip archive", Tar: "in a tar archive", Folder: "in a folder"}


def inspect_stage(source: str) -> dict[str, Any]:
    """Look into a source and read all of its weights.

    Returns:
        What there is to say, in the order in which a person wants it; nothing but what JSON can hold.

    Raises:
        SourceError: it holds nothing that Telmo reads, or what it holds is broken.
    """
    pair = stored_pair(source)
    if pair:
        return _bilm(pair) | {"place": source}
    tree = source_tree(source)
    archive = archive_in(tree)
    if DESCRIPTION in tree.names:
        found = _model(tree)
    elif archive:
        found = {
            "form": "AllenNLP model",
            **_files(archive, archive.names),
            "next": "telmo convert makes a Telmo model of it",
        }
    else:
        stored = bilm_in(tree) or StoredTextEmbedding.find(tree) or find_bilm(tree)
        found = _text_embedding(stored) if isinstance(stored, StoredTextEmbedding) else _bilm(stored)
    return found | {"form": f"{found['form']} {_CONTAINERS[type(tree)]}"}


def _text_embedding(stored: StoredTextEmbedding) -> dict[str, Any]:
    return {
        "form": stored.form,
        **_files(stored.tree, stored.files),
        "vectors": "one a text; a source of classifiers alone",
        "next": "telmo train runs it, for it is a program: take it from whom you trust",
        "checksum": stored.checksum(),
    }


def _bilm(stored: StoredBiLM) -> dict[str, Any]:
    options, arrays = stored.options, stored.arrays()
    words, ways = stored.vocabulary, "in each direction" if stored.options.bidirectional else "forward"
    return {
        "form": stored.form,
        **_files(stored.tree, stored.files),
        "reads": _reads(stored),
        "layers": f"{options.layers} {ways}, {options.cells:,} cells"
        + (f" projected to {options.projection:,}" if options.projects_state else ""),
        "vectors": f"{options.layers + 1} layers of {options.dim:,} numbers a word",
        "parameters": parameters(options),
        "softmax": _softmax(arrays),
        "mix": _mix(arrays) if MIX[0] in arrays else None,
        "vocabulary": {"words": len(words), "first": list(words[:8])} if words else None,
        "options": options.to_json(),
        "checksum": stored.checksum(),
    }


def _softmax(arrays: Arrays) -> str | None:
    softmax = softmax_of(arrays)
    if isinstance(softmax, StoredAdaptiveSoftmax):
        cutoffs = ", ".join(f"{first:,}" for first in softmax.cutoffs)
        return f"adaptive, over {softmax.words:,} words, in clusters from {cutoffs} on"
    return f"over {softmax.words:,} words" if softmax else None


def _mix(arrays: Arrays) -> dict[str, Any]:
    weights, gamma = (arrays[key] for key in MIX)
    return {"weights": [round(float(weight), 6) for weight in weights], "gamma": round(float(gamma), 6)}


def _reads(stored: StoredBiLM) -> str:
    options = stored.options
    if options.inputs == "words":
        return f"{options.words:,} words by their number"
    if options.inputs == "characters":
        return f"words as UTF-8 bytes, {options.max_characters - 2} at most"
    words = f" and {options.words:,} words" if options.words else ""
    return f"words by dictionaries of {options.characters:,} characters{words}, {options.max_characters - 2} characters"


def _files(tree: Tree, names) -> dict[str, Any]:
    return {"place": tree.place, "files": {name: _size(tree, name) for name in names}}


def _size(tree: Tree, name: str) -> int:
    with tree.open(name) as file:
        return file.seek(0, 2)


def _model(tree: Tree) -> dict[str, Any]:
    description = read_description(tree.folder())
    return {
        "form": "Telmo model",
        **_files(tree, tree.names),
        "name": description.name,
        "task": description.task,
        "labels": description.labels,
        "tokenizer": description.tokenizer,
        "metrics": description.metrics,
    }
