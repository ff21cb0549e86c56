"""Heads above the biLM, their training, and the predictor of a trained model."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.predictions import Classification, Span, Tagging
    from models.predictor import Predictor

_HOME = {
    "Classification": "models.predictions",
    "Predictor": "models.predictor",
    "Span": "models.predictions",
    "Tagging": "models.predictions",
}
__all__ = ["Classification", "Predictor", "Span", "Tagging"]


def __getattr__(name: str):
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'models' has no attribute '{name}'")
