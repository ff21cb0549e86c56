"""A biLM as an MLflow pyfunc, logged as code: MLflow runs this file, and no object is pickled."""

import pandas
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from embeddings.errors import InputError
from embeddings.keras_backend import prefer_backend
from embeddings.selection import Selection
from embeddings.tokenizer import is_text, tokenize
from models.columns import texts_of_table


class TelmoBiLM(PythonModel):
    """A vector for each text; `telmo embed` gives those of its words."""

    def load_context(self, context):
        # Before Keras is imported: the requirements have no backend but the one that the biLM was logged with.
        prefer_backend(context.model_config["backend"])
        from embeddings.embedder import Embedder
        from embeddings.source import load_bilm

        self.embedder = Embedder(load_bilm(context.artifacts["bilm"]))
        self.tokenizer = context.model_config["tokenizer"]

    # With this type hint MLflow takes what is given as the signature says, and gives it here as a table.
    def predict(self, context, model_input: pandas.DataFrame, params=None):
        """Embed raw texts.

        Args:
            model_input: as for a trained model that reads no pairs (`mlflow_model.py`).
            params: `layers`, as `Selection` knows them, one behind another where there are several, by default
                `average`; `pool`, `mean` or `max` over the words of a text, by default `mean`.

        Returns:
            For each text a list of numbers, of zeros where it has no words.

        Raises:
            ConfigError: the biLM has no such layers.
            InputError: a text is none, or the pool is another.
        """
        asked = {"layers": "average", "pool": "mean"} | (params or {})
        if asked["pool"] not in ("mean", "max"):
            raise InputError(f"pool '{asked['pool']}'; expected mean or max")
        selection = Selection(**asked)
        selection.names(self.embedder.bilm.options.layers + 1)
        words = [self._words(text, k) for k, text in enumerate(texts_of_table(model_input))]
        kept = selection.function()
        return [kept(layers).ravel().tolist() for layers in self.embedder.embed(words)]

    def _words(self, text, position):
        if not is_text(text):
            raise InputError(f"texts[{position}] is {text!a:.80}; expected Unicode text")
        return [token.text for token in tokenize(text, self.tokenizer)]


set_model(TelmoBiLM())
