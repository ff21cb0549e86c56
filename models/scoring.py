"""What a trained head scores a batch with."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from embeddings.compiled import compiled


def scorer(head: Any) -> Callable[[dict[str, Any]], np.ndarray]:
    """What gives the head's scores for what it takes; on TensorFlow traced once, for batches of any shape.

    Args:
        head: a model of Keras, or one that has its `predict_on_batch` alone.
    """
    if not isinstance(head, keras.Model) or keras.backend.backend() != "tensorflow":
        return head.predict_on_batch
    # Kept, since a trace costs seconds and training asks after each epoch.
    if not hasattr(head, "traced"):
        head.traced = compiled(lambda x: head(x, training=False))
    return lambda x: head.traced(x).numpy()
