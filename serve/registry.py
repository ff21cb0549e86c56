"""Models by name: a folder, `runs:/RUN/model`, `models:/NAME/VERSION` or `models:/NAME@ALIAS`; registering them,
too."""

import contextlib
import importlib.metadata
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embeddings.errors import ModelError
from models.description import DESCRIPTION, read_description

_REQUIREMENTS = ("tensorflow", "jax", "keras", "h5py", "numpy", "scipy", "spacy", "scikit-learn", "mlflow")


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
    with _told(model) as mlflow:
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
    with _told(model) as mlflow:
        place = f"models:/{_name(model)}/{version}" if version else model
        fetched = Path(mlflow.artifacts.download_artifacts(place, dst_path=folder))
    described = next(iter(sorted(fetched.rglob(DESCRIPTION))), None)
    if described is None:
        raise ModelError(f"{model}: registered, but not a model of Telmo (no {DESCRIPTION} in it)")
    found = described.parent
    return FoundModel(read_description(found).name if version is None else _name(model), version, found)


@contextlib.contextmanager
def _told(model: str) -> Iterator[Any]:
    """MLflow; what it finds wrong is told in the words of the house."""
    import mlflow

    try:
        yield mlflow
    except (mlflow.exceptions.MlflowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{model}: not found in {mlflow.get_tracking_uri()} ({reason})") from None


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


def _requirements() -> list[str]:
    """What answers need, as it is installed here; of the two backends there may be one."""
    found = []
    for package in _REQUIREMENTS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{package}=={importlib.metadata.version(package)}")
    return found


def log_model(folder: Path, example: str | list[str], name: str, alias: str) -> str:
    """Log a model folder to the active run as a pyfunc, with the code that runs it, and register it.

    Args:
        folder: of the trained model.
        example: a text to try it with, or a pair of them for a model of pairs.
        name: of the registered model.
        alias: that the new version gets.

    Returns:
        The new version.
    """
    import mlflow

    house = Path(__file__).parent.parent
    logged = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(
            Path(__file__).with_name("mlflow_model.py" if isinstance(example, str) else "mlflow_pairs.py")
        ),
        artifacts={"model": str(folder)},
        code_paths=[str(house / package) for package in ("embeddings", "models", "serve")],
        pip_requirements=_requirements(),
        input_example=[example],
    )
    client = mlflow.MlflowClient()
    with contextlib.suppress(mlflow.exceptions.MlflowException):
        client.create_registered_model(name)
    version = client.create_model_version(name, logged.model_uri, logged.run_id, model_id=logged.model_id).version
    client.set_registered_model_alias(name, alias, str(version))
    return str(version)
