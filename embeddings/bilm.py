"""The bidirectional language model, without its softmax: what turns words into layers."""

import keras
from keras import ops

from embeddings.cells import ProjectedLSTMCell
from embeddings.options import BiLMOptions
from embeddings.recurrent import Recurrent
from embeddings.spelling import Spelling, spelling_of
from embeddings.token_encoder import TokenEncoder


class LSTMStack(keras.layers.Layer):
    """The LSTM layers of one direction, each above the first with a skip connection around it if asked for.

    Call arguments:
        vectors: token vectors `[batch, time, projection]`.
        mask: bool `[batch, time]`, or None.
        state: for each layer `[hidden [batch, projection], memory [batch, cells]]`, or None for zeros.

    Returns:
        The output of each layer, `[batch, time, projection]`, and the last state.
    """

    def __init__(self, options: BiLMOptions, go_backwards: bool, **kwargs):
        super().__init__(**kwargs)
        self.skip_connections = options.skip_connections
        self.projection = options.projection
        self.lstms = [
            Recurrent(
                ProjectedLSTMCell(
                    options.projection, options.cells, options.cell_clip, options.projection_clip, name="cell"
                ),
                go_backwards=go_backwards,
                name=f"layer_{k}",
            )
            for k in range(options.layers)
        ]

    def build(self, input_shape):
        for lstm in self.lstms:
            lstm.build((None, None, self.projection))

    def call(self, vectors, mask=None, state=None):
        outputs, last_state = [], []
        for k, lstm in enumerate(self.lstms):
            output, lstm_state = lstm(vectors, mask=mask, initial_state=state[k] if state else None)
            vectors = output + vectors if k and self.skip_connections else output
            outputs.append(vectors)
            last_state.append(lstm_state)
        return outputs, last_state

    supports_masking = True

    def compute_mask(self, inputs, mask=None):
        """The caller hands on its mask by itself."""


class BiLM(keras.Model):
    """A bidirectional language model (Peters et al. 2018, "Deep contextualized word representations").

    Args:
        options: sizes and switches.
        spelling: how words become numbers; needed where it has dictionaries.

    Call arguments:
        ids: int `[batch, time, width]`, numbers of words from `spelling.ids`; a word of zeros is padding. The
            sentences carry their frame words `<S>` and `</S>`.

    Returns:
        The layers `[batch, layers + 1, time, 2 * projection]`; layer 0 is the token vector, twice.

    Example:
        >>> bilm = BiLM(BiLMOptions(projection=16, cells=64, filters=((1, 8), (2, 8))))
        >>> bilm(bilm.spelling.ids(["<S>", "Hello", "</S>"])[None]).shape
        TensorShape([1, 3, 3, 32])
    """

    def __init__(self, options: BiLMOptions, spelling: Spelling | None = None, **kwargs):
        super().__init__(**kwargs)
        self.options = options
        self.spelling = spelling or spelling_of(options)
        # === Layers ===
        self.token_encoder = TokenEncoder(options, name="token_encoder")
        self.forward_stack = LSTMStack(options, go_backwards=False, name="forward")
        self.backward_stack = LSTMStack(options, go_backwards=True, name="backward")
        self.token_encoder.build((None, self.spelling.width))
        self.forward_stack.build((None, None, options.projection))
        self.backward_stack.build((None, None, options.projection))
        self.built = True

    def call(self, ids):
        batch, time, width = ops.shape(ids)
        vectors = self.token_encoder(ops.reshape(ids, (-1, width)))
        vectors = ops.reshape(vectors, (batch, time, self.options.projection))
        mask = ops.any(ids > 0, axis=-1)
        forward, _ = self.forward_stack(vectors, mask=mask)
        backward, _ = self.backward_stack(vectors, mask=mask)
        layers = [ops.concatenate([vectors, vectors], axis=-1)]
        layers += [ops.concatenate(pair, axis=-1) for pair in zip(forward, backward, strict=True)]
        return ops.stack(layers, axis=1)

    def get_config(self):
        spelling = self.spelling
        return {
            "options": self.options.to_json(),
            "words": list(spelling.words),
            "characters": list(spelling.characters),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        options = BiLMOptions.from_json(config["options"])
        return cls(options, spelling_of(options, config["words"], config["characters"]), name=config["name"])
