"""What the many-to-one heads share: loss and probabilities."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from models.calibration import Calibration
from models.options import HeadOptions


class TextClassifier(keras.Model):
    """A head that gives logits `[batch, labels]`: of one label a text by the softmax, or of any number of them by the
    sigmoid.

    Args:
        options: of the layers.
        labels: the labels, or their number.

    Attributes:
        count: number of labels.
        calibration: how the logits become probabilities.
        class_weights: what a label counts in the loss, float `[labels]`, or None for 1.
    """

    def __init__(self, options: HeadOptions, labels: Sequence[str] | int, **kwargs):
        super().__init__(**kwargs)
        self.options = options
        self.count = labels if isinstance(labels, int) else len(labels)
        self.calibration = Calibration()
        self.class_weights: np.ndarray | None = None

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Mean cross-entropy of a batch, in nats a text.

        Args:
            y: int `[batch]`, or with many labels to a text 0 and 1 `[batch, labels]`.
            y_pred: logits `[batch, labels]`.
        """
        weights = ops.ones((self.count,)) if self.class_weights is None else ops.convert_to_tensor(self.class_weights)
        if self.options.multi_label:
            y = ops.cast(y, y_pred.dtype)
            losses = -weights * y * ops.log_sigmoid(y_pred) - (1.0 - y) * ops.log_sigmoid(-y_pred)
            return ops.mean(ops.sum(losses, axis=-1))
        losses = keras.losses.sparse_categorical_crossentropy(y, y_pred, from_logits=True)
        return ops.mean(losses if self.class_weights is None else losses * ops.take(weights, ops.cast(y, "int32")))

    def decode(self, logits: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
        """Probabilities of the labels, `[batch, labels]`."""
        return self.calibration.probabilities(logits, self.options.multi_label)
