"""The bidirectional language model, without its softmax: what turns words into layers."""

import keras
from keras import ops

from embeddings.cells import Cell, ElmanCell, GRUCell, LSTMCell, OriginalLSTMCell, ProjectedLSTMCell
from embeddings.options import BiLMOptions
from embeddings.recurrent import Recurrent
from embeddings.spelling import Spelling, spelling_of
from embeddings.token_encoder import TokenEncoder


def cell_of(options: BiLMOptions, initializer="glorot_uniform", forget_bias: float = 1.0) -> Cell:
    """The cell of a layer.

    Args:
        options: of the biLM.
        initializer: of the recurrent weights.
        forget_bias: of a plain LSTM's forget gate, before training.
    """
    units, kind = options.projection, {"recurrent_initializer": initializer, "name": "cell"}
    if options.cell == "projected_lstm":
        return ProjectedLSTMCell(units, options.cells, options.cell_clip, options.projection_clip, **kind)
    if options.cell == "lstm":
        return LSTMCell(units, forget_bias, **kind)
    return {"lstm_without_forget_gate": OriginalLSTMCell, "gru": GRUCell, "rnn": ElmanCell}[options.cell](units, **kind)


class Stack(keras.layers.Layer):
    """The recurrent layers of one direction, each above the first with a skip connection around it if asked for.

    Args:
        options: of the biLM.
        go_backwards: read the text from its end.
        initializer, forget_bias: as for `cell_of`.

    Call arguments:
        vectors: token vectors `[batch, time, projection]`.
        mask: bool `[batch, time]`, or None.
        state: for each layer the cell's states, such as `[hidden [batch, projection], memory [batch, cells]]`, or
            None for zeros.

    Returns:
        The output of each layer, `[batch, time, projection]`, and the last state.
    """

    supports_masking = True

    def __init__(self, options: BiLMOptions, go_backwards: bool, initializer, forget_bias: float, **kwargs):
        super().__init__(**kwargs)
        self.skip_connections = options.skip_connections
        self.projection = options.projection
        self.layers = [
            Recurrent(cell_of(options, initializer, forget_bias), go_backwards, initializer, name=f"layer_{k}")
            for k in range(options.layers)
        ]

    def build(self, input_shape):
        for layer in self.layers:
            layer.build((None, None, self.projection))

    def call(self, vectors, mask=None, state=None):
        outputs, last_state = [], []
        for k, layer in enumerate(self.layers):
            output, layer_state = layer(vectors, mask=mask, initial_state=state[k] if state else None)
            vectors = output + vectors if k and self.skip_connections else output
            outputs.append(vectors)
            last_state.append(layer_state)
        return outputs, last_state

    def compute_mask(self, inputs, mask=None):
        """The caller hands on its mask by itself."""


class BiLM(keras.Model):
    """A bidirectional language model (Peters et al. 2018, "Deep contextualized word representations").

    Args:
        options: sizes and switches.
        spelling: how words become numbers; needed where it has dictionaries.
        initializer: of the recurrent layers' weights: `"glorot_uniform"`, `"orthogonal"` or any other of Keras.
        forget_bias: of a plain LSTM's forget gate, before training.

    Call arguments:
        ids: int `[batch, time, width]`, numbers of words from `spelling.ids`; a word of zeros is padding. The
            sentences carry their frame words `<S>` and `</S>`.

    Returns:
        The layers `[batch, layers + 1, time, dim]`, the directions side by side; layer 0 is the token vector, once for
        each direction.

    Attributes:
        stacks: the recurrent layers of each direction, forward first.

    Example:
        >>> bilm = BiLM(BiLMOptions(projection=16, cells=64, filters=((1, 8), (2, 8))))
        >>> bilm(bilm.spelling.ids(["<S>", "Hello", "</S>"])[None]).shape
        TensorShape([1, 3, 3, 32])
    """

    def __init__(
        self,
        options: BiLMOptions,
        spelling: Spelling | None = None,
        initializer="glorot_uniform",
        forget_bias: float = 1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.options = options
        self.spelling = spelling or spelling_of(options)
        # === Layers ===
        self.token_encoder = TokenEncoder(options, name="token_encoder")
        self.stacks = [
            Stack(options, name == "backward", initializer, forget_bias, name=name)
            for name in ("forward", "backward")[: options.directions]
        ]
        self.token_encoder.build((None, self.spelling.width))
        for stack in self.stacks:
            stack.build((None, None, options.projection))
        self.built = True

    def call(self, ids):
        batch, time, width = ops.shape(ids)
        vectors = self.token_encoder(ops.reshape(ids, (-1, width)))
        vectors = ops.reshape(vectors, (batch, time, self.options.projection))
        mask = ops.any(ids > 0, axis=-1)
        directions = [stack(vectors, mask=mask)[0] for stack in self.stacks]
        layers = [ops.concatenate([vectors] * len(directions), axis=-1)]
        layers += [ops.concatenate(outputs, axis=-1) for outputs in zip(*directions, strict=True)]
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
