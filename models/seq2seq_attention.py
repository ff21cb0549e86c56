"""Where the decoder looks while it writes."""

from typing import Any

import keras
from keras import ops


class Attention(keras.layers.Layer):
    """Global attention (Luong et al. 2015, "Effective approaches to attention-based neural machine translation",
    section 3.1). With h_t a state of the decoder and h_s a word of the encoded source:

        a_t(s) = softmax_s(score(h_t, h_s))                                                        (7)
        score(h_t, h_s) = h_t' W_a h_s                   `general`                                 (8)
                        = v_a' tanh(W_a h_t + U_a h_s)   `additive` (Bahdanau et al. 2015, A.1.2)
        c_t = sum_s a_t(s) h_s
        h~_t = tanh(W_c [c_t; h_t])                                                                (5)

    h_t does not depend on what was attended to before, so that all steps of a known translation are computed at once.

    Args:
        kind: of the score, `"general"` or `"additive"`.
        units: width of h_t and of h~_t.

    Call arguments:
        states: h_t, `[batch, steps, units]`.
        source: what `read` gives.

    Returns:
        h~_t `[batch, steps, units]`, and the weights a_t(s) `[batch, steps, time]`.
    """

    def __init__(self, kind: str, units: int, **kwargs):
        super().__init__(**kwargs)
        self.kind, self.units = kind, units
        # === Layers ===
        self.keys = keras.layers.Dense(units, use_bias=False, name="keys")
        self.combine = keras.layers.Dense(units, activation="tanh", use_bias=False, name="combine")
        self.queries: Any = None
        if kind == "additive":
            self.queries = keras.layers.Dense(units, use_bias=False, name="queries")

    def build(self, input_shape):
        width = input_shape[-1]
        self.keys.build((None, None, width))
        self.combine.build((None, None, width + self.units))
        if self.queries:
            self.queries.build((None, None, self.units))
            self.score = self.add_weight(name="score", shape=(self.units,), initializer="glorot_uniform")

    def read(self, encoded, mask) -> dict[str, Any]:
        """What does not change while a translation is written: of `encoded` `[batch, time, width]` the keys, once, and
        where there are words, bool `[batch, time]`."""
        return {"encoded": encoded, "keys": self.keys(encoded), "mask": mask}

    def call(self, states, source):
        scores = self._scores(states, source["keys"])
        weights = ops.softmax(ops.where(source["mask"][:, None], scores, -1e9), axis=-1)
        context = ops.matmul(weights, source["encoded"])
        return self.combine(ops.concatenate([context, states], axis=-1)), weights

    def _scores(self, states, keys):
        if self.kind == "general":
            return ops.matmul(states, ops.transpose(keys, (0, 2, 1)))
        return ops.sum(ops.tanh(self.queries(states)[:, :, None] + keys[:, None]) * self.score, axis=-1)
