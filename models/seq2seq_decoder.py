"""Writes a translation token by token."""

import keras
from keras import ops

from embeddings.bilm import cell_of
from embeddings.options import BiLMOptions
from embeddings.recurrent import Recurrent
from models.seq2seq_attention import Attention
from models.seq2seq_options import Seq2seqOptions

States = list


class Decoder(keras.layers.Layer):
    """Recurrent layers over the tokens written so far, attention to the source, and a score for each next token.

    Args:
        options: of the layers.
        tokens: of the target vocabulary.
        width: of the encoded source.

    Call arguments:
        previous: the token before each one, int `[batch, steps]`.
        source, states: what `begin` gives.

    Returns:
        Logits `[batch, steps, tokens]` and the attention's weights `[batch, steps, time]`.
    """

    def __init__(self, options: Seq2seqOptions, tokens: int, width: int, **kwargs):
        super().__init__(**kwargs)
        units = options.decoder_units
        # === Layers ===
        self.vectors = self.add_weight(name="vectors", shape=(tokens, options.target_dim), initializer="uniform")
        cells = BiLMOptions(projection=units, cells=units, cell=options.decoder)
        self.layers = [Recurrent(cell_of(cells), name=f"layer_{k}") for k in range(options.decoder_depth)]
        self.first = [
            [keras.layers.Dense(size, "tanh", name=f"first_{k}_{part}") for part, size in enumerate(cell.state_size)]
            for k, cell in enumerate(layer.cell for layer in self.layers)
        ]
        self.attention = Attention(options.attention, units, name="attention")
        self.dropout = keras.layers.Dropout(options.dropout)
        self.output_layer = keras.layers.Dense(tokens, name="output")
        # Built here, since nothing is called with shapes that Keras could infer them from.
        for k, layer in enumerate(self.layers):
            layer.build((None, None, units if k else options.target_dim))
        for denses in self.first:
            for dense in denses:
                dense.build((None, width))
        self.attention.build((None, None, width))
        self.output_layer.build((None, None, units))
        self.built = True

    def begin(self, encoded, mask) -> tuple[dict, States]:
        """What the decoder keeps of a source, and its states before the first token: tanh(W h + b) of the mean h of
        the source's words (Sennrich et al. 2017, "Nematus", section 3.1).

        Args:
            encoded: `[batch, time, width]`.
            mask: bool `[batch, time]`.
        """
        present = ops.cast(mask, encoded.dtype)[..., None]
        mean = ops.sum(encoded * present, axis=1) / ops.sum(present, axis=1)
        return self.attention.read(encoded, mask), [[dense(mean) for dense in denses] for denses in self.first]

    def call(self, previous, source, states, training=False):
        x = self.dropout(ops.take(self.vectors, previous, axis=0), training=training)
        for layer, state in zip(self.layers, states, strict=True):
            x, _ = layer(x, initial_state=state)
            x = self.dropout(x, training=training)
        attended, weights = self.attention(x, source)
        return self.output_layer(self.dropout(attended, training=training)), weights

    def step(self, previous, source, states):
        """One step of several hypotheses a source.

        Args:
            previous: the token before, int `[batch, beam]`.
            source: what `begin` gives, once for all hypotheses of a source.
            states: of each hypothesis, `[batch * beam, ...]`.

        Returns:
            Logits `[batch, beam, tokens]` and the new states.
        """
        x = ops.take(self.vectors, ops.reshape(previous, (-1,)), axis=0)
        after = []
        for layer, state in zip(self.layers, states, strict=True):
            x, new = layer.cell(ops.matmul(x, layer.kernel) + layer.bias, state)
            after.append(new)
        attended, _ = self.attention(ops.reshape(x, (-1, previous.shape[1], x.shape[1])), source)
        return self.output_layer(attended), after
