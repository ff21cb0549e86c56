"""What the registry has: versions of models, their aliases, scores, and where they come from."""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from embeddings.errors import ModelError
from serve import lineage
from serve.aliases import CHAMPION, remember, roll_back, standing_on
from serve.registry import SCORE, told
from serve.versions import every_page, versions_named

GATE = "telmo.gate"
"""The tag of a version that says what became of it when it was to be promoted; details stand behind further dots."""


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Args:
        name, version: of the model.
        aliases: that stand on it.
        task: of the model, `bilm` for a biLM; None for a model that is none of Telmo's.
        scores: on its test data.
        created: when it was registered.
        run_id: of the run that made it.
        bilm: the version of the biLM that it was trained on, as a place in MLflow, if it is registered.
        heads: of a biLM, the models that were trained on it, likewise.
        gate: what became of it when it was to be promoted, or `rolled back`.
    """

    name: str
    version: str
    aliases: tuple[str, ...]
    task: str | None
    scores: dict[str, float]
    created: datetime
    run_id: str
    bilm: str | None
    heads: list[str]
    gate: str | None

    @property
    def place(self) -> str:
        return f"models:/{self.name}/{self.version}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"created": self.created.isoformat()}


def registered_models() -> dict[str, list[Version]]:
    """All registered models, the newest version of each first.

    Raises:
        ModelError: the registry does not answer.
    """
    with told("registered models") as mlflow:
        client, found = mlflow.MlflowClient(), {}
        for model in every_page(client.search_registered_models):
            found[model.name] = _versions(client, model)
        return found


def versions_of(name: str) -> list[Version]:
    """The versions of a registered model, the newest first.

    Raises:
        ModelError: there is no such model, or the registry does not answer.
    """
    with told(f"models:/{name}") as mlflow:
        client = mlflow.MlflowClient()
        return _versions(client, client.get_registered_model(name))


def find_version(name: str, which: str) -> Version:
    """A version of a registered model.

    Args:
        name: of the model.
        which: its number, or an alias with or without `@`.

    Raises:
        ModelError: there is none.
    """
    versions = versions_of(name)
    for version in versions:
        if which == version.version or which.removeprefix("@") in version.aliases:
            return version
    known = [one.version for one in versions] + [f"@{alias}" for one in versions for alias in one.aliases]
    raise ModelError(f"models:/{name}: no version '{which}'; expected one of {', '.join(known) or 'those to come'}")


def compare_versions(one: Version, other: Version) -> dict[str, Any]:
    """How two versions differ.

    Returns:
        `versions`, both; `scores`, for each metric that of the two and their difference; `params` of their runs that
        differ; and `data`, for train, validation and test name and digest.

    Raises:
        ModelError: the registry does not answer.
    """
    with told(one.place) as mlflow:
        runs = [_run(mlflow.MlflowClient(), version.run_id) for version in (one, other)]
    params = [{k: v for k, v in run["params"].items() if not k.endswith(".sha256")} for run in runs]
    return {
        "versions": [one.to_json(), other.to_json()],
        "scores": {
            metric: {"values": [a, b], "difference": None if a is None or b is None else b - a}
            for metric, (a, b) in _beside(one.scores, other.scores).items()
        },
        "params": {key: [a, b] for key, (a, b) in _beside(*params).items() if a != b},
        "data": {context: [a, b] for context, (a, b) in _beside(*(run["data"] for run in runs)).items()},
    }


def roll_back_model(name: str, alias: str = CHAMPION) -> tuple[str | None, str]:
    """Have an alias stand on the version that it stood on before.

    Returns:
        The version that it stood on, or None if that was deleted, and the one that it stands on now.

    Raises:
        ModelError: there is no version before.
    """
    with told(f"models:/{name}@{alias}") as mlflow:
        client = mlflow.MlflowClient()
        old, new = roll_back(client, name, alias)
        if old:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            client.set_model_version_tag(name, old, GATE, "rolled back")
            client.set_model_version_tag(name, old, f"{GATE}.rolled_back", f"to {new} at {now}")
        return old, new


def delete_version(version: Version, with_aliases: bool = False) -> bool:
    """Delete a version, and with its last version the registered model. The run that made it stays, with the model.

    Args:
        version: as it was when it was asked for.
        with_aliases: whether the aliases that it had then go with it.

    Returns:
        Whether the registered model is deleted, too.

    Raises:
        ModelError: an alias stands on it, or one came to stand on it meanwhile.
    """
    now = find_version(version.name, version.version)
    check_deletable(now, with_aliases)
    if new := [f"@{alias}" for alias in now.aliases if alias not in version.aliases]:
        raise ModelError(f"{version.place}: {', '.join(new)} came to stand on it meanwhile; not deleted")
    with told(version.place) as mlflow:
        client = mlflow.MlflowClient()
        for alias in now.aliases:
            remember(client, version.name, alias)
        tags = client.get_model_version(version.name, version.version).tags
        client.delete_model_version(version.name, version.version)
        lineage.remove_head(client, tags, version.name, version.version)
        if versions_named(client, version.name):
            return False
        client.delete_registered_model(version.name)
        return True


def check_deletable(version: Version, with_aliases: bool) -> None:
    """Refuse a version that an alias stands on.

    Raises:
        ModelError: one does.
    """
    if version.aliases and not with_aliases:
        found = ", ".join(f"@{alias}" for alias in version.aliases)
        raise ModelError(f"{version.place}: {found} stands on it; expected a version without an alias, or --with-alias")


def current_version(name: str, alias: str) -> str | None:
    """The version that an alias stands on, or None.

    Raises:
        ModelError: there is no such model, or the registry does not answer.
    """
    with told(f"models:/{name}@{alias}") as mlflow:
        return standing_on(mlflow.MlflowClient(), name, alias)


def _versions(client: Any, model: Any) -> list[Version]:
    aliases: dict[str, list[str]] = {}
    for alias, number in sorted(model.aliases.items()):
        aliases.setdefault(str(number), []).append(alias)
    found = versions_named(client, model.name)
    versions = [_version(one, tuple(aliases.get(str(one.version), ()))) for one in found]
    return sorted(versions, key=lambda version: -int(version.version))


def _version(found: Any, aliases: tuple[str, ...]) -> Version:
    tags = found.tags
    return Version(
        name=found.name,
        version=str(found.version),
        aliases=aliases,
        task=tags.get("telmo.task"),
        scores=_scores(tags),
        created=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
        run_id=found.run_id,
        bilm=tags.get(lineage.VERSION),
        heads=lineage.heads_of(tags),
        gate=tags.get(GATE),
    )


def _scores(tags: Mapping[str, str]) -> dict[str, float]:
    """The scores that tags tell; anybody may write tags, and what is no number is none."""
    found = {}
    for key, value in tags.items():
        if key.startswith(SCORE):
            with suppress(ValueError):
                found[key.removeprefix(SCORE)] = float(value)
    return found


def _run(client: Any, run_id: str) -> dict[str, dict[str, Any]]:
    """What a run was given; nothing of one that is gone."""
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException:
        return {"params": {}, "data": {}}
    data = {}
    for used in run.inputs.dataset_inputs:
        context = next((tag.value for tag in used.tags if tag.key == "mlflow.data.context"), "data")
        data[context] = f"{used.dataset.name} {used.dataset.digest}"
    return {"params": run.data.params, "data": data}


def _beside(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {key: (one.get(key), other.get(key)) for key in dict.fromkeys([*one, *other])}


def main_score(scores: Mapping[str, float]) -> tuple[str, float] | None:
    """The score by which a model is known."""
    for metric in ("f1", "micro_f1", "accuracy", "chrf", "exact_match", "forward_perplexity"):
        if metric in scores and not math.isnan(scores[metric]):
            return metric, scores[metric]
    return next(iter(scores.items()), None)
