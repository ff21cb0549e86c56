"""Heads above the biLM, their training, the predictor of a trained model, and estimators for scikit-learn.

Nothing here is imported before it is used, since TensorFlow takes seconds to load.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.elmo_classifier import ElmoClassifier
    from models.elmo_tagger import ElmoTagger
    from models.elmo_vectorizer import ElmoVectorizer
    from models.predictions import Classification, Span, Tagging
    from models.predictor import Predictor

_HOME = {
    "Classification": "models.predictions",
    "ElmoClassifier": "models.elmo_classifier",
    "ElmoTagger": "models.elmo_tagger",
    "ElmoVectorizer": "models.elmo_vectorizer",
    "Predictor": "models.predictor",
    "Span": "models.predictions",
    "Tagging": "models.predictions",
}
__all__ = ["Classification", "ElmoClassifier", "ElmoTagger", "ElmoVectorizer", "Predictor", "Span", "Tagging"]


def __getattr__(name: str):
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'models' has no attribute '{name}'")
