"""Words to vectors."""

import keras
from keras import ops

from embeddings.options import BiLMOptions
from embeddings.pooled_convolution import pooled_convolution
from embeddings.rows import take_rows
from embeddings.softmax import value_of


class TokenEncoder(keras.layers.Layer):
    """Token vectors of words.

    Of characters: convolutions, the maximum over positions, highways and a projection (Kim et al. 2016,
    "Character-aware neural language models", section 2; Jozefowicz et al. 2016). Of words: a row of a table. Of both:
    the two side by side, and a projection (Che et al. 2018, "Towards better UD parsing", section 3.1).

    Args:
        options: of the biLM.

    Call arguments:
        ids: int `[words, width]`, from the biLM's spelling; or a list of such arrays, each with the padding that its
            own words need.

    Returns:
        `[words, projection]`, of all of them.
    """

    def __init__(self, options: BiLMOptions, **kwargs):
        super().__init__(**kwargs)
        self.options = options
        self.activation = keras.activations.get(options.activation)
        filters, highways = (options.filters, options.highways) if options.spelled else ((), 0)
        # === Layers ===
        self.convolutions = [
            keras.layers.Conv1D(count, width, kernel_initializer=_filters(), name=f"convolution_{k}")
            for k, (width, count) in enumerate(filters)
        ]
        self.highways = [Highway(name=f"highway_{k}") for k in range(highways)]
        self.project = keras.layers.Dense(options.projection, name="projection") if options.projects_tokens else None

    def build(self, input_shape):
        options = self.options
        if options.words:
            self.word_vectors = self.add_weight(
                name="word_vectors", shape=(options.words + 1, options.word_dim), initializer=_all_but_padding
            )
        if options.spelled:
            self.character_vectors = self.add_weight(
                name="character_vectors",
                shape=(options.characters + 1, options.character_dim),
                initializer=_all_but_padding,
            )
            for convolution in self.convolutions:
                convolution.build((None, None, options.character_dim))
            for layer in self.highways:
                layer.build((None, options.features))
        if self.project:
            self.project.build((None, options.word_dim + options.features))

    def call(self, ids, training=False):
        groups = list(ids) if isinstance(ids, list | tuple) else [ids]
        parts = []
        if self.options.words:
            numbers = _together([group[:, 0] for group in groups])
            parts.append(ops.cast(take_rows(self.word_vectors, numbers), self.compute_dtype))
            groups = [group[:, 1:] for group in groups]
        if self.options.spelled:
            parts.append(self._read_characters(groups, training))
        words = ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]
        return self.project(words) if self.project else words

    def _read_characters(self, groups, training):
        # A tensor, so that the gradient is dense: nearly all characters occur, and the table is small.
        table = value_of(self.character_vectors)
        words = self.activation(_together([self._convolve(ops.take(table, ids, axis=0), training) for ids in groups]))
        for layer in self.highways:
            words = layer(words)
        return words

    def _convolve(self, vectors, training):
        if not training:
            return ops.concatenate([ops.max(layer(vectors), axis=1) for layer in self.convolutions], axis=-1)
        weights = [map(value_of, (layer.kernel, layer.bias)) for layer in self.convolutions]
        return ops.concatenate([pooled_convolution(vectors, *both) for both in weights], axis=-1)

    def get_config(self):
        return super().get_config() | {"options": self.options.to_json()}

    @classmethod
    def from_config(cls, config):
        return cls(**config | {"options": BiLMOptions.from_json(config["options"])})


def _together(groups):
    return ops.concatenate(groups) if len(groups) > 1 else groups[0]


def _filters():
    """As bilm-tf began: larger ones would saturate the gates of the first LSTM. One for each use, since an initializer
    takes its seed when it is made, and used twice gives the same numbers twice."""
    return keras.initializers.RandomUniform(-0.05, 0.05)


def _all_but_padding(shape, dtype=None):
    vectors = keras.random.uniform(shape, -1.0, 1.0, dtype=dtype)
    return ops.concatenate([ops.zeros((1, shape[1]), dtype), vectors[1:]], axis=0)


class Highway(keras.layers.Layer):
    """y = g * relu(x Wt + bt) + (1 - g) * x with g = sigmoid(x Wc + bc) (Srivastava et al. 2015, "Highway networks",
    equation 3).

    The published weights call g the *carry* gate, though it multiplies the transformed input. Call and result:
    `[words, features]`.
    """

    def build(self, input_shape):
        features = input_shape[-1]
        # A bias of -2 lets a fresh highway pass its input on.
        self.carry = keras.layers.Dense(
            features, "sigmoid", bias_initializer=keras.initializers.Constant(-2.0), name="carry"
        )
        self.transform = keras.layers.Dense(features, "relu", name="transform")
        self.carry.build(input_shape)
        self.transform.build(input_shape)

    def call(self, x):
        gate = self.carry(x)
        return gate * self.transform(x) + (1.0 - gate) * x
