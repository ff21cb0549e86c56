"""The many-to-many head for texts that are not aligned: a text becomes another."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from embeddings.compiled import compiled
from models.encoder import Encoder
from models.seq2seq_decoder import Decoder
from models.seq2seq_options import Seq2seqOptions
from models.seq2seq_search import beam_search
from models.seq2seq_vocabulary import BEGIN, PADDING, UNKNOWN


class Seq2seq(keras.Model):
    """Words encoded, and a decoder that attends to them while it writes tokens.

    Args:
        options: of the layers and of the search.
        labels: the target vocabulary, or its size.
        shape: `(layers, dim)` of the biLM, or None without one.
        rows: of the vocabulary of each feature.
        label_smoothing: of the loss.

    Call arguments:
        inputs: what `Encoder` takes, with at least one True in a row of `mask`, and `previous`, int `[batch, steps]`:
            the tokens of the translations without their last, after `<s>`.

    Returns:
        Logits of the tokens, `[batch, steps, labels]`.
    """

    def __init__(
        self,
        options: Seq2seqOptions,
        labels: Sequence[str] | int,
        shape: tuple[int, int] | None,
        rows: dict[str, int] | None = None,
        label_smoothing: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.options = options
        self.label_smoothing = label_smoothing
        # === Layers ===
        self.encoder = Encoder(options.below, shape, rows, name="encoder")
        tokens = labels if isinstance(labels, int) else len(labels)
        self.decoder = Decoder(options, tokens, self.encoder.width, name="decoder")
        self.built = True
        self._graphs: dict[str, Any] = {}

    def call(self, inputs, training=False):
        return self._read(inputs, training)[0]

    def _read(self, inputs, training=False):
        source, states = self.decoder.begin(self.encoder(inputs, training=training), inputs["mask"])
        return self.decoder(inputs["previous"], source, states, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The mean over texts of the sum over tokens of the cross-entropy with (1 - e) y + e / K, in nats (Szegedy et
        al. 2016, "Rethinking the inception architecture", section 7)."""
        log_probabilities = ops.log_softmax(y_pred, axis=-1)
        losses = -ops.squeeze(ops.take_along_axis(log_probabilities, y[..., None], axis=-1), -1)
        if self.label_smoothing:
            spread = -ops.mean(log_probabilities, axis=-1)
            losses = (1 - self.label_smoothing) * losses + self.label_smoothing * spread
        return ops.mean(ops.sum(ops.where(y == PADDING, 0.0, losses), axis=1))

    def translate(
        self, inputs: dict[str, Any], beam: int | None = None, n_best: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best translations of a batch, as `beam_search` gives them; in place of the options' beam and n-best
        others may be asked for."""
        beam, n_best = beam or self.options.beam, n_best or self.options.n_best
        if n_best > beam:
            raise ValueError(f"n_best {n_best} is more than the beam of {beam} holds")
        graph = self._graph(("translate", beam, n_best), inputs, lambda x: self._search(x, beam, n_best))
        tokens, scores = graph(inputs)
        return ops.convert_to_numpy(tokens), ops.convert_to_numpy(scores)

    def attend(self, inputs: dict[str, Any]) -> np.ndarray:
        """Where the decoder looks as it writes each token of known translations: weights of the source's words
        `[batch, steps, time]`."""
        return ops.convert_to_numpy(self._graph(("attend",), inputs, lambda x: self._read(x)[1])(inputs))

    def _search(self, inputs, beam: int, n_best: int):
        source, states = self.decoder.begin(self.encoder(inputs), inputs["mask"])
        states = keras.tree.map_structure(lambda state: ops.repeat(state, beam, axis=0), states)

        def step(tokens, states):
            logits, states = self.decoder.step(tokens, source, states)
            number = ops.arange(logits.shape[-1])
            written = (number != PADDING) & (number != UNKNOWN) & (number != BEGIN)
            return ops.where(written, ops.log_softmax(logits, axis=-1), float("-inf")), states

        batch = ops.shape(inputs["mask"])[0]
        return beam_search(step, states, batch, beam, n_best, self.options.max_length, self.options.length_penalty)

    def _graph(self, kind: tuple, inputs: dict[str, Any], function):
        """One graph for each kind of call; words of very different lengths are groups, of which there may be more or
        fewer."""
        key = f"{kind} {keras.tree.map_structure(lambda _: 0, inputs)}"
        if key not in self._graphs:
            self._graphs[key] = compiled(function)
        return self._graphs[key]
