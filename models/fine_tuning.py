"""A head and the biLM below it as one model, frozen or trained together."""

import keras
import numpy as np
from keras import ops

from embeddings.bilm import BiLM


class HeadOnBiLM(keras.Model):
    """Computes the layers of texts on the fly, each distinct word of a batch once, and hands them to a head.

    Args:
        bilm: the language model; `bilm.trainable = False` freezes it.
        head: what is above it.

    Call arguments:
        inputs: `mask`, bool `[batch, time]`; `ids` and `place`, as `Texts` gives them above a biLM; and the features
            of the head.

    Returns:
        What the head returns.
    """

    def __init__(self, bilm: BiLM, head: keras.Model, **kwargs):
        super().__init__(**kwargs)
        self.bilm, self.head = bilm, head
        self.options = head.options
        self.built = True

    def call(self, inputs, training=False):
        layers = self._embed(inputs["ids"], inputs["place"], inputs["mask"])
        return self.head({**inputs, "layers": layers}, training=training)

    def _embed(self, ids, place, mask):
        vectors = ops.take(self.bilm.token_encoder(ids), place, axis=0)
        # A framed text is two words longer than its mask.
        framed = ops.pad(mask, [[0, 0], [2, 0]], constant_values=True)
        directions = [stack(vectors, mask=framed)[0] for stack in self.bilm.stacks]
        layers = [ops.concatenate([vectors] * len(directions), axis=-1)]
        layers += [ops.concatenate(outputs, axis=-1) for outputs in zip(*directions, strict=True)]
        return ops.stack(layers, axis=1)[:, :, 1:-1] * ops.cast(mask, vectors.dtype)[:, None, :, None]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return self.head.compute_loss(x, y, y_pred)

    def decode(self, scores: np.ndarray, lengths: np.ndarray):
        """As the head's."""
        return self.head.decode(scores, lengths)

    def groups(self) -> list[list[keras.Variable]]:
        """The biLM's weights, layer by layer from the top; the token encoder comes last."""
        recurrent = zip(*(stack.layers for stack in self.bilm.stacks), strict=True)
        layers = [[weight for layer in both for weight in layer.weights] for both in recurrent]
        return [*layers[::-1], list(self.bilm.token_encoder.weights)]

    def unfreeze(self, count: int) -> bool:
        """Let the topmost `count` groups be trained, and no others; whether that changes anything."""
        before = len(self.trainable_variables)
        for k, group in enumerate(self.groups()):
            for weight in group:
                weight.trainable = k < count
        return len(self.trainable_variables) != before
