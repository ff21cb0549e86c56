"""Models by name: a folder, `runs:/RUN/model`, `models:/NAME/VERSION` or `models:/NAME@ALIAS`; registering them,
too."""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embeddings.errors import ModelError
from embeddings.source import find_source
from embeddings.tokenizer import TokenizerName
from models.description import DESCRIPTION, read_description
from serve.aliases import CHALLENGER, CHAMPION, former_versions, move_alias, standing_on
from serve.lineage import BILM, CHECKSUM, add_head, bilm_tags, descent
from serve.tracking_server import NOT_THERE, quiet_mlflow, reason_of, without_login

SCORE = "telmo.score."
"""What the tags of a version begin with that tell its scores."""


@dataclass(frozen=True)
class FoundModel:
    """A model folder on this machine, under the name by which it is asked for; the version is that of the registry,
    if it came from there."""

    name: str
    version: str | None
    folder: Path


def is_registered(model: str | Path) -> bool:
    """Whether a model is named by its place in MLflow and not by a folder."""
    return str(model).startswith(("models:/", "runs:/"))


def has_alias(model: str) -> bool:
    """Whether a model is named by an alias, which may move."""
    return model.startswith("models:/") and "@" in model


def version_of(model: str) -> str:
    """The version on which the alias of `models:/NAME@ALIAS` stands.

    Raises:
        ModelError: there is none, or the registry does not answer.
    """
    with told(model) as mlflow:
        name, alias = model.removeprefix("models:/").split("@", 1)
        return str(mlflow.MlflowClient().get_model_version_by_alias(name, alias).version)


def find_model(model: str) -> FoundModel:
    """Find a model, and fetch it if MLflow has it.

    Args:
        model: a folder, `runs:/RUN/model`, `models:/NAME/VERSION` or `models:/NAME@ALIAS`.

    Raises:
        ModelError: there is no such model.
    """
    if not is_registered(model):
        folder = Path(model)
        return FoundModel(read_description(folder).name, None, folder)
    # By the number: the alias may move meanwhile.
    return fetch_model(model, version_of(model) if has_alias(model) else _version(model))


def fetch_model(model: str, version: str | None, folder: str | None = None) -> FoundModel:
    """Fetch a model from MLflow.

    Args:
        model: its place there.
        version: if it is a registered one.
        folder: where to put it; None for a folder that MLflow chooses.

    Raises:
        ModelError: there is no such model.
    """
    with told(model) as mlflow:
        place = f"models:/{_name(model)}/{version}" if version else model
        fetched = Path(mlflow.artifacts.download_artifacts(place, dst_path=folder))
    described = next(iter(sorted(fetched.rglob(DESCRIPTION))), None)
    if described is None:
        raise ModelError(f"{model}: registered, but not a model of Telmo (no {DESCRIPTION} in it)")
    found = described.parent
    return FoundModel(read_description(found).name if version is None else _name(model), version, found)


@contextlib.contextmanager
def told(model: str) -> Iterator[Any]:
    """MLflow; what it finds wrong is told in the words of the house."""
    mlflow = quiet_mlflow()
    try:
        yield mlflow
    except (mlflow.exceptions.MlflowException, OSError) as error:
        where, reason = without_login(mlflow.get_registry_uri()), reason_of(error)
        if getattr(error, "error_code", None) in NOT_THERE or isinstance(error, FileNotFoundError):
            raise ModelError(f"{model}: not found in {where} ({reason})") from None
        raise ModelError(
            f"{model}: {where} cannot be asked ({reason}); MLFLOW_TRACKING_URI names the MLflow to ask"
        ) from None


def find_served(models: Sequence[str], shadows: Mapping[str, str]) -> dict[str, FoundModel]:
    """Find the models of a server.

    Args:
        models: that answer.
        shadows: for the name of one of them the model that shadows it.

    Returns:
        What was found, by how it was asked for.

    Raises:
        ModelError: there is no such model, or two have the same name.
    """
    found = {model: find_model(model) for model in models}
    names = [found[model].name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise ModelError(f"{name}: two of the models have this name; expected a name of its own for each")
    for name, model in shadows.items():
        if name not in names:
            raise ModelError(
                f"--shadow {name}={model}: no model '{name}' is served; expected one of {', '.join(names)}"
            )
        if model in models:
            raise ModelError(f"--shadow {name}={model}: this model is served itself; expected another")
        found[model] = find_model(model)
    return found


def _name(model: str) -> str:
    return re.split("[/@]", model.removeprefix("models:/"))[0]


def _version(model: str) -> str | None:
    return None if model.startswith("runs:/") else model.removeprefix("models:/").partition("/")[2] or None


def log_model(
    folder: Path,
    example: str | list[str],
    name: str,
    alias: str | None = None,
    tokenizer: TokenizerName | None = None,
    scores: Mapping[str, float] | None = None,
) -> str:
    """Log the folder of a model or of a biLM to the active run as a pyfunc, with the code that runs it, and register
    it.

    Args:
        folder: of the trained model.
        example: a text to try it with, or a pair of them for a model of pairs.
        name: of the registered model.
        alias: that the new version gets; by default `champion` where no version ever had it, else `challenger`.
        tokenizer: of a biLM, how a text becomes words; a trained model knows.
        scores: of a biLM on held-out text, likewise.

    Returns:
        The new version.

    Raises:
        ModelError, SourceError: the folder holds no model, or no biLM.
        MlflowException: the registry does not take it.
    """
    import keras
    import mlflow

    from serve.model_code import model_code
    from serve.requirements import model_requirements
    from serve.signatures import bilm_signature, signature_of

    config = {"backend": keras.config.backend()}
    if tokenizer:
        kind, signature, config = BILM, bilm_signature(), config | {"tokenizer": tokenizer}
        tags = {"telmo.task": BILM, CHECKSUM: find_source(folder).checksum()}
    else:
        description = read_description(folder)
        kind, signature = "model", signature_of(description)
        tags, scores = {"telmo.task": description.task}, description.metrics
    with model_requirements() as requirements, model_code() as code:
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name(f"mlflow_{kind}.py")),
            artifacts={kind: str(folder)},
            code_paths=code,
            pip_requirements=requirements,
            input_example=[example],
            signature=signature,
            model_config=config,
        )
    tags |= {f"{SCORE}{metric}": repr(float(value)) for metric, value in (scores or {}).items()}
    version = _registered(logged, name, tags)
    give_alias(mlflow.MlflowClient(), name, alias, version)
    return version


def _described(tags: Mapping[str, str]) -> str:
    """What the page of a version says of it, in Markdown."""
    scores = {key.removeprefix(SCORE): float(value) for key, value in tags.items() if key.startswith(SCORE)}
    told = ", ".join(f"{metric} {value:.4g}" for metric, value in scores.items())
    kind = "A biLM" if tags["telmo.task"] == BILM else f"A model for {tags['telmo.task']}"
    where = "held-out text" if tags["telmo.task"] == BILM else "its test data"
    return " ".join(filter(None, [f"{kind}; on {where}: {told}." if told else f"{kind}.", descent(tags)]))


def _registered(logged: Any, name: str, tags: dict[str, str]) -> str:
    """The new version of a model that was logged; its run tells of which biLM."""
    import mlflow

    client = mlflow.MlflowClient()
    with contextlib.suppress(mlflow.exceptions.MlflowException):
        client.create_registered_model(name)
    tags = tags | bilm_tags(client, logged.run_id)
    made = client.create_model_version(
        name, logged.model_uri, logged.run_id, tags, description=_described(tags), model_id=logged.model_id
    )
    version = str(made.version)
    # The page of the logged model leads to the version by it.
    client.set_logged_model_tags(
        logged.model_id, {"mlflow.modelVersions": json.dumps([{"name": name, "version": version}])}
    )
    add_head(client, tags, name, version, logged.run_id)
    return version


def give_alias(client: Any, name: str, alias: str | None, version: str) -> None:
    """Let a new version have an alias; by default `champion` where none ever had it, else `challenger`. One that is new
    no more, as what was registered at an attempt of which no answer came, takes none from a newer one."""
    if alias is None:
        champion = standing_on(client, name, CHAMPION)
        first = champion is None and not former_versions(client, name, CHAMPION)
        alias = CHAMPION if first or champion == version else CHALLENGER
    if int(standing_on(client, name, alias) or 0) < int(version):
        move_alias(client, name, alias, version)


def place_of(name: str, version: str) -> str:
    """How a version is asked for: by its alias, if it has one and the registry tells."""
    aliases: Mapping[str, str] = {}
    with contextlib.suppress(ModelError), told(f"models:/{name}/{version}") as mlflow:
        aliases = mlflow.MlflowClient().get_registered_model(name).aliases
    alias = next((alias for alias, number in sorted(aliases.items()) if str(number) == version), None)
    return f"models:/{name}@{alias}" if alias else f"models:/{name}/{version}"
