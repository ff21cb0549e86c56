"""The stage `convert`: from one form to another."""

from pathlib import Path

from embeddings.convert import convert_bilm, form_of
from embeddings.errors import OutputError
from embeddings.source import source_tree, stored_pair
from models.allennlp import convert_archive, is_archive


def convert_stage(source: str, target: Path, form: str | None = None) -> str:
    """Write a biLM in another form, or make a model folder of an AllenNLP archive.

    Args:
        source: what to read.
        target: where to write.
        form: of the biLM's target; by default what the target's name tells.

    Returns:
        What was written, in words.

    Raises:
        SourceError: the source cannot be read, or has a part that Telmo does not have.
        OutputError: the target cannot be written.
    """
    written = form_of(target, form)
    if not stored_pair(source):
        tree = source_tree(source)
        if is_archive(tree):
            if form:
                raise OutputError(f"{source}: an AllenNLP archive becomes a model folder; it has no form '{form}'")
            description = convert_archive(tree, target)
            return f"a model for {description.task} with {len(description.labels)} labels"
    convert_bilm(source, target, written)
    return {"files": "a biLM folder", "zip": "a zip archive of a biLM", "saved-model": "a SavedModel"}[written]
