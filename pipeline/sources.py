"""Where biLMs come from, with those that MLflow has: what `embeddings.source` takes, `models:/NAME@ALIAS`,
`models:/NAME/VERSION` and `runs:/RUN/model`. Of a trained model it is the biLM below it.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embeddings import source as places
from embeddings.errors import SourceError
from embeddings.published import OPTIONS
from embeddings.stored import StoredBiLM
from serve.registry import has_alias, is_registered, told, version_of

if TYPE_CHECKING:
    from embeddings.bilm import BiLM
    from embeddings.embedders import Stored
    from pipeline.tracking import Run


def local_source(source: Any) -> Any:
    """A source on this machine: what MLflow has is fetched, anything else is given back.

    Raises:
        ModelError: MLflow has no such model.
        SourceError: it holds no biLM.
    """
    if not isinstance(source, str) or not is_registered(source):
        return source
    place = registered_place(source)
    with told(source) as mlflow:
        fetched = _fetched(place, mlflow.get_tracking_uri())
    found = next(iter(sorted(fetched.rglob(OPTIONS))), None)
    if found is None:
        raise SourceError(f"{source}: registered, but holds no biLM; expected one, or a model above one")
    return str(found.parent)


def registered_place(source: str) -> str:
    """A place in MLflow by the number of the version, since the alias may move.

    Raises:
        ModelError: no version has the alias.
    """
    return f"{source.split('@', maxsplit=1)[0]}/{version_of(source)}" if has_alias(source) else source


@cache
def _fetched(place: str, uri: str) -> Path:
    import mlflow

    return Path(mlflow.artifacts.download_artifacts(place))


def find_source(source: Any) -> StoredBiLM:
    """As `embeddings.source.find_source`."""
    return places.find_source(local_source(source))


def find_embedder(source: Any) -> "Stored":
    """As `embeddings.embedders.find_embedder`."""
    from embeddings import embedders

    return embedders.find_embedder(local_source(source))


def load_bilm(source: Any) -> "BiLM":
    """As `embeddings.source.load_bilm`."""
    return places.load_bilm(local_source(source))


def tell_source(run: "Run", source: str | None, found: "Stored | None") -> None:
    """Tell a run what it reads.

    Args:
        run: that is told.
        source: as it was asked for.
        found: there; a SavedModel that embeds texts is no biLM, of which there is nothing to tell.
    """
    if source and run.is_tracked and isinstance(found, StoredBiLM):
        run.source(found.checksum(), registered_place(source) if source.startswith("models:/") else None)
