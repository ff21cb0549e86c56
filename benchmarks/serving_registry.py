"""A registry of models for serving.py, in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from serving_sides import environment

LOG = """
import sys, mlflow
from pathlib import Path
from models.description import read_description
from serve.registry import log_model
folder, name = Path(sys.argv[1]), sys.argv[2]
with mlflow.start_run():
    print(log_model(folder, read_description(folder).example, name, "champion"))
"""


class Registry:
    """MLflow with SQLite; within `with`, processes that are started find it, too."""

    def __init__(self, folder: Path):
        folder.mkdir()
        self.folder, self.address = folder, f"sqlite:///{folder}/mlflow.db"

    def __enter__(self) -> "Registry":
        self._before = os.environ.get("MLFLOW_TRACKING_URI")
        os.environ["MLFLOW_TRACKING_URI"] = self.address
        return self

    def __exit__(self, *_: Any) -> None:
        os.environ.pop("MLFLOW_TRACKING_URI")
        if self._before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = self._before

    def log(self, model: str, name: str) -> str:
        """Register a model folder; its version, which becomes the champion. MLflow tries the model, hence a process."""
        command = [sys.executable, "-c", LOG, str(Path(model).resolve()), name]
        done = subprocess.run(command, cwd=self.folder, env=environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"error: {model} was not registered:\n{done.stderr[-4000:]}")
        return done.stdout.split()[-1]

    def move(self, name: str, version: str) -> None:
        """The alias `champion`."""
        from mlflow import MlflowClient

        MlflowClient(self.address).set_registered_model_alias(name, "champion", version)
