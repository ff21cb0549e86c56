"""Several classifiers that answer as one."""

from collections.abc import Sequence

import numpy as np

from embeddings.errors import ModelError
from models.predictions import Classification, classification
from models.predictor import Predictor, Text


class Ensemble:
    """The mean of the probabilities of several models, such as a head and TF-IDF, or a head of several seeds.

    Args:
        predictors: classifiers of the same labels, each of which has any number of them a text or each one.

    Raises:
        ModelError: they do not answer the same question.

    Example:
        >>> ensemble = Ensemble([Predictor.load("models/trec"), Predictor.load("models/trec-tfidf")])
        >>> ensemble.predict(["Who was Galileo ?"])[0].label
        'HUM'
    """

    def __init__(self, predictors: Sequence[Predictor]):
        described = [predictor.description for predictor in predictors]
        if not described:
            raise ModelError("an ensemble of no models; expected one at least")
        first = described[0]
        for other in described:
            if other.task != "classification":
                raise ModelError(f"{other.name}: a model for {other.task}; expected one for classification")
            if set(other.labels) != set(first.labels) or other.head.multi_label != first.head.multi_label:
                raise ModelError(f"{other.name}: has other labels than {first.name}; expected the same")
        self._predictors = list(predictors)
        self._labels, self._multi_label = first.labels, first.head.multi_label

    def predict(self, texts: Sequence[Text], batch_size: int = 64) -> list[Classification]:
        """Answer for each text, as `Predictor.predict` does."""
        answers = [predictor.predict(texts, batch_size) for predictor in self._predictors]
        found = []
        for together in zip(*answers, strict=True):
            rows = [[answer.probabilities[label] for label in self._labels] for answer in together]  # type: ignore
            found.append(classification(self._labels, np.mean(rows, axis=0), self._multi_label))
        return found
