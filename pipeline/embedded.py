"""Data that Telmo makes on any machine, by the names under which configs ask for them."""

from pathlib import Path

from pipeline import babel_pairs, docs_corpus

PREFIXES = (docs_corpus.PREFIX, babel_pairs.PREFIX)


def embedded_file(handle: str) -> Path:
    """The file behind a handle: a part of the docs corpus (`docs:...`) or translation pairs (`babel:...`).

    Raises:
        InputError: there is no such part.
    """
    make = docs_corpus.docs_file if handle.startswith(docs_corpus.PREFIX) else babel_pairs.babel_file
    return make(handle)
