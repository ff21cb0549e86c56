"""The biLM: characters, recurrent layers, training, weight formats, batch inference and stores of vectors.

Nothing here is imported before it is used, since TensorFlow takes seconds to load.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embeddings.bilm import BiLM
    from embeddings.elmo import Elmo
    from embeddings.elmo_encoder import ElmoEncoder, load_elmo
    from embeddings.embedder import Embedder
    from embeddings.options import BiLMOptions
    from embeddings.source import load_bilm

_HOME = {
    "BiLM": "embeddings.bilm",
    "BiLMOptions": "embeddings.options",
    "Elmo": "embeddings.elmo",
    "ElmoEncoder": "embeddings.elmo_encoder",
    "Embedder": "embeddings.embedder",
    "load_bilm": "embeddings.source",
    "load_elmo": "embeddings.elmo_encoder",
}
__all__ = ["BiLM", "BiLMOptions", "Elmo", "ElmoEncoder", "Embedder", "load_bilm", "load_elmo"]


def __getattr__(name: str):
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'embeddings' has no attribute '{name}'")
