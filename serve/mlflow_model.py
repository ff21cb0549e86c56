"""A trained model as an MLflow pyfunc, logged as code: MLflow runs this file, and no object is pickled."""

import pandas
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from embeddings.keras_backend import prefer_backend
from models.predictions import shortened, to_json


class TelmoModel(PythonModel):
    """Answers for a column of texts, or for two columns of pairs of them, with what `Predictor` gives, as dicts."""

    def load_context(self, context):
        # Before Keras is imported: the requirements have no backend but the one that the model was logged with.
        prefer_backend(context.model_config["backend"])
        from models.predictor import Predictor

        self.predictor = Predictor.load(context.artifacts["model"])

    # With this type hint MLflow takes what is given as the signature says, and gives it here as a table.
    def predict(self, context, model_input: pandas.DataFrame, params=None):
        """Answer for raw texts.

        Args:
            params: `top_k`, most labels or translations of an answer, by default all, or of a tagger how many of the
                best paths are told, by default none; `return_spans`, whether a tagger tells spans.

        Returns:
            For each text the fields of its `Classification`, `Tagging` or `Translation`.

        Raises:
            InputError: a text has no words, or a parameter is out of its range.
        """
        asked = params or {}
        top_k, spans = asked.get("top_k"), asked.get("return_spans", True)
        rows = model_input.to_numpy().tolist()
        texts = rows if self.predictor.pairs else [row[0] for row in rows]
        if top_k and self.predictor.description.task == "tagging":
            found = self.predictor.tag(texts, paths=top_k)
        else:
            found = self.predictor.predict(texts)
        return [to_json(shortened(prediction, top_k, spans)) for prediction in found]


set_model(TelmoModel())
