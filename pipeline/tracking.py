"""One MLflow run: what goes into it, and the model that comes out.

Runs go to `MLFLOW_TRACKING_URI`, or by MLflow's own default to `mlflow.db` and `mlruns/` in the current folder;
`mlflow ui` shows them.
"""

import logging
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from embeddings.errors import OutputError
from pipeline.config import Tracking
from pipeline.config_file import flat

MOST_PARAMS = 100
"""That MLflow takes at once."""

_PACKAGES = ("telmo", "keras", "tensorflow", "jax", "numpy", "scikit-learn", "scipy", "spacy", "h5py", "mlflow")


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that make a result what it is, and Keras's backend."""
    import keras

    found = {"python": platform.python_version(), "backend": keras.config.backend()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


class Run:
    """An MLflow run that is under way; `start_run` begins and ends it."""

    def __init__(self, mlflow: Any, run_id: str, goes_on: bool = False):
        self._mlflow = mlflow
        self.run_id = run_id
        # Parameters cannot change.
        self._say = mlflow.set_tags if goes_on else mlflow.log_params

    def params(self, values: dict[str, Any]) -> None:
        """Say what the run was given; what has a name that MLflow does not take gets one that is like it."""
        named = [(re.sub(r"[^\w.\- :]", "_", name), value) for name, value in values.items()]
        for first in range(0, len(named), MOST_PARAMS):
            self._say(dict(named[first : first + MOST_PARAMS]))

    def metrics(self, values: dict[str, float], step: int | None = None) -> None:
        self._mlflow.log_metrics(values, step=step)

    def data_set(self, name: str, checksum: str, context: str) -> None:
        """Say which data were used: their name and SHA-256, and whether to train, validate or test."""
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.data.sources import LocalArtifactDatasetSource  # type: ignore[attr-defined]

        # MLflow keeps digests of at most 36 characters; the whole one is a parameter.
        source = LocalArtifactDatasetSource(name)
        data = MetaDataset(source, name=Path(name).name, digest=checksum[:36])  # type: ignore[abstract]
        self._mlflow.log_input(data, context=context)
        self.params({f"data.{context}.sha256": checksum})

    def note(self, key: str, text: str) -> None:
        """A tag."""
        self._mlflow.set_tag(key, text)

    def artifact(self, path: Path, folder: str | None = None) -> None:
        self._mlflow.log_artifact(str(path), folder)

    def text(self, text: str, name: str) -> None:
        self._mlflow.log_text(text, name)

    def figure(self, figure: Any, name: str) -> None:
        self._mlflow.log_figure(figure, name)

    def child(self) -> str | None:
        """The id of the run that is under way within this one."""
        active = self._mlflow.active_run()
        return active.info.run_id if active and active.info.run_id != self.run_id else None

    def end_child(self, run_id: str, tags: dict[str, Any], status: str = "FINISHED") -> None:
        """Say how a run within this one ended, in place of what it said itself."""
        client = self._mlflow.MlflowClient()
        client.set_terminated(run_id, status)
        for name, value in tags.items():
            client.set_tag(run_id, name, value)

    def end_children(self) -> None:
        """Say of the runs within this one that they were killed, if they could not say so themselves."""
        client = self._mlflow.MlflowClient()
        mine = f"tags.mlflow.parentRunId = '{self.run_id}' and attributes.status = 'RUNNING'"
        for child in client.search_runs([client.get_run(self.run_id).info.experiment_id], mine):
            client.set_terminated(child.info.run_id, "KILLED")


@contextmanager
def start_run(tracking: Tracking, name: str, config: BaseModel, run_id: str | None = None) -> Iterator[Run]:
    """Begin a run and log the config, whole as a file and key by key as parameters. A block that fails ends the run
    as failed. A run that begins within another is its child.

    Args:
        tracking: where.
        name: of the run.
        config: of the stage.
        run_id: of a run that broke off and goes on; if the store does not know it, a new one begins.

    Raises:
        OutputError: the tracking store cannot be used.
    """
    mlflow = _mlflow()
    try:
        mlflow.set_experiment(tracking.experiment)
        run_id = run_id if run_id and _knows(mlflow, run_id, tracking.experiment) else None
        within = mlflow.active_run() is not None
        with mlflow.start_run(run_id, run_name=None if run_id else name, nested=within) as active:
            values = config.model_dump(mode="json")
            mlflow.log_dict(values, "config.yaml")
            run = Run(mlflow, active.info.run_id, goes_on=bool(run_id))
            if not run_id:
                # Parameters cannot change; what a config changed before its run went on stands in the file.
                run.params(dict(flat(values)))
            run.params({f"version.{name}": version for name, version in versions().items()})
            yield run
    except mlflow.exceptions.MlflowException as error:
        raise OutputError(f"{mlflow.get_tracking_uri()}: the MLflow store cannot be used ({error})") from None


def _knows(mlflow: Any, run_id: str, experiment: str) -> bool:
    try:
        info = mlflow.get_run(run_id).info
        return info.lifecycle_stage == "active" and mlflow.get_experiment(info.experiment_id).name == experiment
    except mlflow.exceptions.MlflowException:
        return False


def _mlflow() -> Any:
    """MLflow without its bars and greetings; a user's own settings win."""
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    import mlflow

    # Alembic tells every step of making a new database.
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return mlflow
