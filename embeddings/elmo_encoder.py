"""ELMo as one trainable layer: from the characters of words to their contextual vectors."""

from collections.abc import Iterable, Sequence

import keras
import numpy as np
from keras import ops

from embeddings.bilm import BiLM
from embeddings.elmo import Elmo
from embeddings.errors import InputError
from embeddings.source import Source, find_source
from embeddings.weights import MIX, fill
from embeddings.word_table import WordTable


@keras.saving.register_keras_serializable("telmo")
class ElmoEncoder(keras.layers.Layer):
    """A biLM and the mix of its layers, trained together with what stands above (Peters et al. 2018, "Deep
    contextualized word representations", section 3.3).

    `encoder.trainable = False` freezes all of it, `encoder.bilm.trainable = False` all but the mix.

    Args:
        bilm: the language model.
        elmo: the mix of its layers; a plain one by default.

    Call arguments:
        ids: int `[batch, time + 2, width]`, framed sentences such as `ids` of this class gives.

    Returns:
        `[batch, time, 2 * projection]`: a vector for each word between the frames, zeros beyond a sentence's end. The
        layers above get a mask of the words, bool `[batch, time]`.

    Example:
        >>> encoder = ElmoEncoder.load("https://tfhub.dev/google/elmo/3")
        >>> model = keras.Sequential([encoder, keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(2)])
        >>> model(encoder.ids([["Hello", "world"], ["One"]])).shape
        TensorShape([2, 2])
    """

    supports_masking = True

    def __init__(self, bilm: BiLM, elmo: Elmo | None = None, **kwargs):
        # Numbers of words are no quantities that a lower precision may round.
        super().__init__(autocast=False, **kwargs)
        self.bilm = bilm
        self.elmo = elmo or Elmo(name="elmo")
        if not self.elmo.built:
            self.elmo.build((None, bilm.options.layers + 1, None, bilm.options.dim))
        self.built = True

    @classmethod
    def load(cls, source: Source, layer_norm: bool | None = None, dropout: float = 0.0, **kwargs) -> "ElmoEncoder":
        """The biLM of a source, and its mix if it brings one.

        Args:
            source: as for `load_bilm`.
            layer_norm, dropout: of the mix, as `Elmo` takes them; by default the source decides on `layer_norm`.

        Raises:
            SourceError: the source does not exist or cannot be read; the message names the file and the key.
        """
        stored = find_source(source)
        arrays = stored.arrays()
        bilm = BiLM(stored.options, stored.spelling)
        fill(bilm, arrays)
        if layer_norm is None:
            layer_norm = stored.layer_norm
        encoder = cls(bilm, Elmo(layer_norm, dropout, name="elmo"), **kwargs)
        if MIX[0] in arrays:
            encoder.elmo.w.assign(arrays[MIX[0]])
            encoder.elmo.gamma.assign(np.reshape(arrays[MIX[1]], ()))
        return encoder

    def ids(self, sentences: Iterable[Sequence[str]], time: int | None = None) -> np.ndarray:
        """Framed and padded sentences, int32 of shape `[batch, time + 2, width]`.

        Args:
            sentences: lists of words.
            time: words of each sentence, for batches that shall have one shape; what is longer is cut. By default
                those of the longest.

        Raises:
            InputError: a sentence is a text, not a list of words, or a word is no string.
        """
        table = WordTable(self.bilm.spelling)
        rows = []
        for sentence in sentences:
            if isinstance(sentence, str):
                raise InputError(
                    f"expected lists of words, found the text {sentence[:40]!r}; split it into words first"
                )
            rows.append(table.framed_rows(sentence[:time]))
        longest = max(map(len, rows), default=2) if time is None else time + 2
        ids = np.zeros((len(rows), longest, self.bilm.spelling.width), np.int32)
        for k, row in enumerate(rows):
            ids[k, : len(row)] = table.ids[row]
        return ids

    def call(self, ids, training=False):
        # A Sequential model that was not told of its input takes it to be floats, as for keras.layers.Embedding.
        ids = ops.cast(ids, "int32")
        return self._mix(self.bilm(ids), _words(ids), training)

    def outputs(self, ids) -> dict:
        """What TF-Hub's ELMo answers, without dropout.

        Args:
            ids: as for a call.

        Returns:
            `word_emb` `[batch, time, projection]`, the token vectors, beyond a sentence's end that of padding;
            `lstm_outputs1`, ... of each LSTM layer and `elmo`, their mix, `[batch, time, 2 * projection]`; `default`
            `[batch, 2 * projection]`, the mean of `elmo` over words, zeros where there is none.
        """
        words = _words(ids)
        layers = self.bilm(ids)
        tokens = layers[:, 0, :, : self.bilm.options.projection]
        # Beyond the end of a sentence the last word is padding; the one at its end is the frame.
        outputs = {"word_emb": ops.where(words[..., None], tokens[:, 1:-1], tokens[:, -1:])}
        present = ops.cast(words, layers.dtype)[..., None]
        for k in range(1, layers.shape[1]):
            outputs[f"lstm_outputs{k}"] = layers[:, k, 1:-1] * present
        outputs["elmo"] = self._mix(layers, words, training=False)
        outputs["default"] = ops.sum(outputs["elmo"], axis=1) / ops.maximum(ops.sum(present, axis=1), 1.0)
        return outputs

    def _mix(self, layers, words, training):
        mixed = self.elmo(layers[:, :, 1:-1], mask=words, training=training)
        return ops.where(words[..., None], mixed, 0.0)

    def compute_mask(self, ids, previous_mask=None):
        return _words(ids)

    def compute_output_shape(self, input_shape):
        batch, time, _ = input_shape
        return batch, None if time is None else time - 2, self.bilm.options.dim

    def get_config(self):
        return super().get_config() | {"bilm": self.bilm.get_config(), "elmo": self.elmo.get_config()}

    @classmethod
    def from_config(cls, config):
        return cls(**config | {"bilm": BiLM.from_config(config["bilm"]), "elmo": Elmo.from_config(config["elmo"])})


def _words(ids):
    """Which places between the frames hold words, bool `[batch, time]`: those before the end of their sentence, after
    which something follows."""
    return ops.any(ids[:, 2:] > 0, axis=-1)


def load_elmo(source: Source, **kwargs) -> ElmoEncoder:
    """A source as a trainable layer; see `ElmoEncoder.load`."""
    return ElmoEncoder.load(source, **kwargs)
