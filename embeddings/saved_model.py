"""ELMo as a SavedModel of TensorFlow 2 that needs nothing of Telmo: with the signatures and outputs of TF-Hub's
module, and unlike that one trainable.

    loaded = hub.load(folder)  # or tf.saved_model.load
    loaded.signatures["default"](strings=tf.constant(["the cat", "One"]))["elmo"]
    loaded(["the cat", "One"])  # the output `default`

Signatures: `default` (`strings` [B], split on spaces) and `tokens` (`tokens` [B, T], `sequence_len` [B], int32).
Outputs, all float32: `word_emb` [B, T, p], `lstm_outputs1`, ... and `elmo` [B, T, 2p], `default` [B, 2p].

Against the module of TensorFlow 1: a text without words has a mean of zeros where that one's is not a number; a
`sequence_len` above T is taken as T where that one loses the last word; no LSTM state is left from batch to batch; and
batches may be larger than 64.
"""

import json
import re
from pathlib import Path

import keras

from embeddings.atomic import atomic_folder
from embeddings.elmo_encoder import ElmoEncoder
from embeddings.errors import OutputError
from embeddings.exported import DESCRIPTION, FILES
from embeddings.source import Source


def export_saved_model(folder: Path, elmo: ElmoEncoder | Source) -> None:
    """Write ELMo as a SavedModel.

    Args:
        folder: a new place, an empty folder, or an earlier result of this function, which is replaced.
        elmo: the biLM and its mix, or the source that they are read from.

    Raises:
        SourceError: the source cannot be read.
        OutputError: the place cannot be written, or Keras does not run on TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise OutputError(
            f"{folder}: a SavedModel is written on TensorFlow, found Keras on {keras.backend.backend()}; "
            "set KERAS_BACKEND=tensorflow"
        )
    import tensorflow as tf

    with atomic_folder(Path(folder), FILES) as temporary:
        encoder = elmo if isinstance(elmo, ElmoEncoder) else ElmoEncoder.load(elmo)
        exported, signatures = _traced(encoder)
        try:
            tf.saved_model.save(exported, str(temporary), signatures=signatures)
        except tf.errors.OpError as error:
            raise OSError(error.message) from None
        description = temporary / DESCRIPTION
        description.parent.mkdir()
        description.write_text(json.dumps(_description(encoder), ensure_ascii=False) + "\n", "utf-8")


def _description(encoder: ElmoEncoder) -> dict:
    bilm = encoder.bilm
    return {
        "options": bilm.options.to_json(),
        "words": list(bilm.spelling.words),
        "characters": list(bilm.spelling.characters),
        "layer_norm": encoder.elmo.layer_norm,
    }


def _traced(encoder: ElmoEncoder):
    """What TensorFlow saves, and its signatures."""
    import tensorflow as tf

    from embeddings.graph_spelling import graph_spelling

    spelling = graph_spelling(encoder.bilm.spelling)

    def outputs(tokens, lengths):
        return encoder.outputs(spelling.trim(_framed(tokens, lengths, spelling)))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "strings")])
    def default(strings):
        return outputs(*_split(strings))

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.string, "tokens"),
            tf.TensorSpec([None], tf.int32, "sequence_len"),
        ]
    )
    def tokens(tokens, sequence_len):
        rows = tf.debugging.assert_equal(
            tf.shape(sequence_len)[0], tf.shape(tokens)[0], "expected a sequence_len for each row of tokens"
        )
        with tf.control_dependencies([rows]):
            return outputs(tokens, sequence_len)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "strings")])
    def call(strings):
        return default(strings)["default"]

    exported = tf.train.Checkpoint()
    exported.weights = {weight_name(variable): variable.value for variable in encoder.bilm.weights}
    exported.mix = {"weights": encoder.elmo.w.value, "scaling": encoder.elmo.gamma.value}
    exported.tables = spelling.tables
    # These three make it what TF-Hub calls a reusable SavedModel.
    exported.variables = [*exported.weights.values(), *exported.mix.values()]
    exported.trainable_variables = [variable.value for variable in encoder.weights]
    exported.__call__ = call
    return exported, {"default": default, "tokens": tokens}


def weight_name(variable: keras.Variable) -> str:
    """The name of a biLM's variable in the SavedModel, such as `forward/layer_0/kernel`."""
    # What stands before it depends on where the biLM was built.
    return re.sub(r".*?(?=(token_encoder|forward|backward)/)", "", variable.path, count=1)


def _split(strings):
    """Texts to tokens `[batch, time]` and their number `[batch]`; spaces side by side count as one."""
    import tensorflow as tf

    found = tf.raw_ops.StringSplit(input=strings, delimiter=" ", skip_empty=True)
    tokens = tf.sparse.to_dense(tf.SparseTensor(found.indices, found.values, found.shape), default_value="")
    return tokens, tf.reduce_sum(tf.cast(tokens != "", tf.int32), axis=1)


def _framed(tokens, lengths, spelling):
    """Numbers of framed sentences, int32 `[batch, time + 2, width]`; what stands beyond a length is padding."""
    import tensorflow as tf

    batch, time = tf.unstack(tf.shape(tokens))
    ids = tf.reshape(spelling.ids(tf.reshape(tokens, [-1])), [batch, time, spelling.width])
    lengths = tf.clip_by_value(lengths, 0, time)[:, None, None]
    begin, end = spelling.frame
    places = tf.range(time + 2)[None, :, None]
    ids = tf.pad(ids, [[0, 0], [1, 1], [0, 0]])
    ids = tf.where(places <= lengths, ids, tf.where(places == lengths + 1, end, 0))
    return tf.where(places == 0, begin, ids)
