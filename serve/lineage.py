"""From which biLM a model comes, and which models come from a biLM, in MLflow's own terms and in tags.

A run that reads a biLM has its checksum; the version that is registered with this checksum is an input of the run, and
so of the model that comes out of it. The version of the model says so, too, and that of the biLM names the model.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

BILM, CHECKSUM, VERSION, RUN = "bilm", "telmo.bilm.sha256", "telmo.bilm", "telmo.bilm.run_id"
HEAD = "telmo.head."
"""What the tags of a biLM's version begin with that name the models above it."""


def link_bilm(client: Any, run_id: str, checksum: str, place: str | None = None) -> None:
    """Tell a run which biLM it reads.

    Args:
        client: of MLflow.
        run_id: of the run.
        checksum: of the biLM.
        place: of the biLM in the registry, as `models:/NAME/VERSION`, or of a model above it; where it is not known or
            another by now, the biLM is found by the checksum.
    """
    from mlflow.entities import LoggedModelInput

    client.set_tag(run_id, CHECKSUM, checksum)
    found = _version(client, checksum, place)
    if found is None:
        return
    client.set_tag(run_id, VERSION, f"models:/{found.name}/{found.version}")
    client.set_tag(run_id, RUN, found.run_id)
    model_id = found.source.removeprefix("models:/")
    if model_id.startswith("m-"):
        client.log_inputs(run_id, models=[LoggedModelInput(model_id)])


def bilm_tags(client: Any, run_id: str) -> dict[str, str]:
    """What `link_bilm` told a run."""
    told = client.get_run(run_id).data.tags
    return {key: told[key] for key in (VERSION, RUN) if key in told}


def descent(tags: Mapping[str, str]) -> str | None:
    """What the page of a version says of its biLM, in Markdown."""
    if VERSION not in tags:
        return None
    name, version = _parts(tags[VERSION])
    return f"Trained on [{name}, version {version}](#/models/{name}/versions/{version})."


def add_head(client: Any, tags: Mapping[str, str], name: str, version: str, run_id: str) -> None:
    """Name a model at the version of the biLM that its tags tell of, if they do."""
    if VERSION in tags:
        with _if_there():
            client.set_model_version_tag(*_parts(tags[VERSION]), f"{HEAD}{name}.{version}", run_id)


def remove_head(client: Any, tags: Mapping[str, str], name: str, version: str) -> None:
    """Undo `add_head`."""
    if VERSION in tags:
        with _if_there():
            client.delete_model_version_tag(*_parts(tags[VERSION]), f"{HEAD}{name}.{version}")


def heads_of(tags: Mapping[str, str]) -> list[str]:
    """The models that the tags of a biLM's version name."""
    found = [key.removeprefix(HEAD).rpartition(".") for key in sorted(tags) if key.startswith(HEAD)]
    return [f"models:/{name}/{version}" for name, _, version in found]


@contextmanager
def _if_there() -> Iterator[None]:
    """Where a version may have been deleted."""
    from mlflow.exceptions import MlflowException

    with suppress(MlflowException):
        yield


def _version(client: Any, checksum: str, place: str | None) -> Any:
    asked = None
    if place:
        with _if_there():
            asked = client.get_model_version(*_parts(place))
    if asked and asked.tags.get(CHECKSUM) == checksum:
        return asked
    found = client.search_model_versions(f"tags.`{CHECKSUM}` = '{checksum}' AND tags.`telmo.task` = '{BILM}'")
    # The first of those that are the same.
    return min(found, key=lambda version: version.creation_timestamp, default=asked)


def _parts(place: str) -> tuple[str, str]:
    name, _, version = place.removeprefix("models:/").rpartition("/")
    return name, version
