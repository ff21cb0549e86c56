"""A trained model as an MLflow pyfunc, logged as code: MLflow runs this file, and no object is pickled."""

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from models.predictions import to_json
from models.predictor import Predictor


class TelmoModel(PythonModel):
    """Answers for a column of texts with what `Predictor` gives, as dicts."""

    def load_context(self, context):
        self.predictor = Predictor.load(context.artifacts["model"])

    # MLflow reads the type hint and holds callers to it.
    def predict(self, context, model_input: list[str], params=None):
        """Answer for raw texts.

        Returns:
            For each text the fields of its `Classification`, `Tagging` or `Translation`.
        """
        return [to_json(prediction) for prediction in self.predictor.predict(list(model_input))]


set_model(TelmoModel())
