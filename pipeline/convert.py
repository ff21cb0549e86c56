"""The stage `convert`: from one form to another."""

from pathlib import Path

from embeddings.convert import check_target, convert_bilm, form_of
from embeddings.errors import OutputError
from embeddings.source import find_bilm, source_tree, stored_pair
from embeddings.stored import StoredBiLM
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
    stored: StoredBiLM | None = stored_pair(source)
    if not stored:
        tree = source_tree(source)
        if is_archive(tree):
            if form:
                raise OutputError(f"{source}: an AllenNLP archive becomes a model folder; it has no form '{form}'")
            check_target(source, target, is_file=False)
            description = convert_archive(tree, target)
            return f"the model '{description.name}' for {description.task} with {len(description.labels)} labels"
        check_target(source, target, written == "zip")
        stored = find_bilm(tree)
    convert_bilm(stored, target, written)
    alone = " that Telmo alone reads, for it has dictionaries" if stored.options.inputs == "dictionaries" else ""
    return {
        "files": f"a biLM folder{alone}",
        "zip": f"a zip archive of a biLM{alone}",
        "saved-model": "a SavedModel, without softmax and vocabulary",
    }[written]
