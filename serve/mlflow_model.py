"""A trained model as an MLflow pyfunc, logged as code: MLflow runs this file, and no object is pickled."""

import pandas
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from embeddings.keras_backend import prefer_backend
from models.columns import texts_of_table
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
            model_input: given to MLflow as a list of texts, `{"text": [...]}` or a table of one column of any name; as
                a list of pairs, a dict of two lists or a table of two columns, the first text first, for a model of
                pairs. Of a table with more columns MLflow hands on the first ones, whatever their names are: take
                those of the texts out of it, as `table[["text"]]`.
            params: `top_k`, most labels or translations of an answer, by default all, or of a tagger how many of the
                best paths are told, by default none; `return_spans`, whether a tagger tells spans.

        Returns:
            For each text the fields of its `Classification`, `Tagging` or `Translation`.

        Raises:
            InputError: a text is none or has no words, or a parameter is out of its range.
        """
        asked = params or {}
        top_k, spans = asked.get("top_k"), asked.get("return_spans", True)
        texts = texts_of_table(model_input, self.predictor.pairs)
        if top_k and self.predictor.description.task == "tagging":
            found = self.predictor.tag(texts, paths=top_k)
        else:
            found = self.predictor.predict(texts)
        return [to_json(shortened(prediction, top_k, spans)) for prediction in found]


set_model(TelmoModel())
