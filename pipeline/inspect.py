"""The stage `inspect`: what a source holds."""

from typing import Any

from embeddings.archive import Folder, Tar, Tree, Zip
from embeddings.source import find_bilm, source_tree, stored_pair
from embeddings.stored import StoredBiLM
from embeddings.weights import MIX, SOFTMAX, parameters
from models.allennlp import is_archive
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
        return _bilm(pair)
    tree = source_tree(source)
    if DESCRIPTION in tree.names:
        return _model(tree)
    container = _CONTAINERS[type(tree)]
    if is_archive(tree):
        form = f"AllenNLP model {container}"
        return {"form": form, **_files(tree, tree.names), "next": "telmo convert makes a Telmo model of it"}
    found = _bilm(find_bilm(tree))
    return found | {"form": f"{found['form']} {container}"}


def _bilm(stored: StoredBiLM) -> dict[str, Any]:
    options, arrays = stored.options, stored.arrays()
    words = stored.vocabulary
    return {
        "form": stored.form,
        **_files(stored.tree, stored.files),
        "reads": _reads(stored),
        "layers": f"{options.layers} in each direction, {options.cells:,} cells"
        + (f" projected to {options.projection:,}" if options.projects_state else ""),
        "vectors": f"{options.layers + 1} layers of {options.dim:,} numbers a word",
        "parameters": parameters(options),
        "softmax": len(arrays[SOFTMAX[1]]) if SOFTMAX[1] in arrays else None,
        "mix": {"weights": arrays[MIX[0]].tolist(), "gamma": float(arrays[MIX[1]])} if MIX[0] in arrays else None,
        "vocabulary": {"words": len(words), "first": list(words[:8])} if words else None,
        "options": options.to_json(),
        "checksum": stored.checksum(),
    }


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
        "form": "Telmo model in a folder",
        **_files(tree, tree.names),
        "name": description.name,
        "task": description.task,
        "labels": description.labels,
        "tokenizer": description.tokenizer,
        "metrics": description.metrics,
    }
