"""A trained model of pairs of texts as an MLflow pyfunc; not in `mlflow_model`, since MLflow knows inputs by type."""

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from models.predictions import to_json
from models.predictor import Predictor


class TelmoPairs(PythonModel):
    """Answers for pairs of texts with what `Predictor` gives, as dicts."""

    def load_context(self, context):
        self.predictor = Predictor.load(context.artifacts["model"])

    # MLflow reads the type hint and holds callers to it.
    def predict(self, context, model_input: list[list[str]], params=None):
        """Answer for pairs of raw texts.

        Returns:
            For each pair the fields of its `Classification`.
        """
        return [to_json(prediction) for prediction in self.predictor.predict(list(model_input))]


set_model(TelmoPairs())
