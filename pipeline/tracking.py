"""One MLflow run: what goes into it, and the model that comes out.

Runs go to `MLFLOW_TRACKING_URI`, or by MLflow's own default to `mlflow.db` and `mlruns/` in the current folder;
`mlflow ui` shows them.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from embeddings.errors import OutputError
from pipeline.config import Tracking


class Run:
    """An MLflow run that is under way; `start_run` begins and ends it."""

    def __init__(self, mlflow: Any, run_id: str):
        self._mlflow = mlflow
        self.run_id = run_id

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
        self._mlflow.log_param(f"data.{context}.sha256", checksum)

    def artifact(self, path: Path, folder: str | None = None) -> None:
        self._mlflow.log_artifact(str(path), folder)

    def text(self, text: str, name: str) -> None:
        self._mlflow.log_text(text, name)

    def figure(self, figure: Any, name: str) -> None:
        self._mlflow.log_figure(figure, name)


@contextmanager
def start_run(tracking: Tracking, name: str, config: BaseModel) -> Iterator[Run]:
    """Begin a run and log the config, whole as a file and key by key as parameters. A block that fails ends the run
    as failed.

    Raises:
        OutputError: the tracking store cannot be used.
    """
    mlflow = _mlflow()
    try:
        mlflow.set_experiment(tracking.experiment)
        with mlflow.start_run(run_name=name) as active:
            values = config.model_dump(mode="json")
            mlflow.log_dict(values, "config.yaml")
            mlflow.log_params(dict(_flat(values)))
            yield Run(mlflow, active.info.run_id)
    except mlflow.exceptions.MlflowException as error:
        raise OutputError(f"{mlflow.get_tracking_uri()}: the MLflow store cannot be used ({error})") from None


def _mlflow() -> Any:
    """MLflow without its bars and greetings; a user's own settings win."""
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    import mlflow

    # Alembic tells every step of making a new database.
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return mlflow


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
