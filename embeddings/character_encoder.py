"""Words to vectors through their characters."""

import keras
from keras import ops

from embeddings.characters import CHARACTERS


class CharacterEncoder(keras.layers.Layer):
    """Convolutions over the characters of a word, the maximum over positions, highways and a projection (Kim et al.
    2016, "Character-aware neural language models", section 2; Jozefowicz et al. 2016).

    Args:
        filters: `(width, count)` of each convolution.
        character_dim: width of a character's vector.
        highways: number of highway layers.
        projection: width p of a word's vector; left out where the convolutions already give that many.
        activation: after the maximum, `"relu"` or `"tanh"`.

    Call arguments:
        characters: int `[words, characters]`, from `characters_of_words`.

    Returns:
        `[words, projection]`.
    """

    def __init__(self, filters, character_dim: int, highways: int, projection: int, activation: str, **kwargs):
        super().__init__(**kwargs)
        self.filters = tuple((int(width), int(count)) for width, count in filters)
        self.character_dim, self.projection = character_dim, projection
        self.activation = keras.activations.get(activation)
        count = sum(count for _, count in self.filters)
        # === Layers ===
        self.convolutions = [
            keras.layers.Conv1D(count, width, kernel_initializer=_filters, name=f"convolution_{k}")
            for k, (width, count) in enumerate(self.filters)
        ]
        self.highways = [Highway(name=f"highway_{k}") for k in range(highways)]
        self.project = keras.layers.Dense(projection, name="projection") if count != projection else None

    def build(self, input_shape):
        self.character_vectors = self.add_weight(
            name="character_vectors", shape=(CHARACTERS, self.character_dim), initializer=_characters_but_padding
        )
        for convolution in self.convolutions:
            convolution.build((None, None, self.character_dim))
        count = sum(count for _, count in self.filters)
        for layer in self.highways:
            layer.build((None, count))
        if self.project:
            self.project.build((None, count))

    def call(self, characters):
        vectors = ops.take(self.character_vectors, characters, axis=0)
        maxima = [ops.max(convolution(vectors), axis=1) for convolution in self.convolutions]
        words = self.activation(ops.concatenate(maxima, axis=-1))
        for layer in self.highways:
            words = layer(words)
        return self.project(words) if self.project else words

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "character_dim": self.character_dim,
            "highways": len(self.highways),
            "projection": self.projection,
            "activation": keras.activations.serialize(self.activation),
        }


# As bilm-tf began: larger ones would saturate the gates of the first LSTM.
_filters = keras.initializers.RandomUniform(-0.05, 0.05)


def _characters_but_padding(shape, dtype=None):
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
