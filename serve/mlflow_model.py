"""A trained model as an MLflow pyfunc, logged as code: MLflow runs this file, and no object is pickled."""

from dataclasses import asdict
from typing import Any

import mlflow
from mlflow.models import set_model

from models.predictor import Predictor


class TelmoModel(mlflow.pyfunc.PythonModel):
    """Answers for a column of texts with what `Predictor` gives, as dicts."""

    def load_context(self, context: Any) -> None:
        self.predictor = Predictor.load(context.artifacts["model"])

    def predict(self, context: Any, model_input: list[str], params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Args: model_input: raw texts. Returns: for each text the fields of its `Classification` or `Tagging`."""
        return [asdict(prediction) for prediction in self.predictor.predict(list(model_input))]


set_model(TelmoModel())
