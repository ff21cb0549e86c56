"""bilm-tf's biLM vectors: bilm_tf_vectors.py FOLDER OF JOBS (see exchange.py)

Run it with the Python of the bilm-tf environment (see install.py).
"""

import json

import tensorflow as tf
from bilm import Batcher, BidirectionalLanguageModel, TokenBatcher
from exchange import answer_jobs


def vectors_of(folder, batches, stateful):
    options_file, weights = str(folder / "options.json"), str(folder / "weights.hdf5")
    options = json.loads((folder / "options.json").read_text())
    vocabulary = str(folder / "vocabulary.txt")
    rows = max(map(len, batches))
    tf.compat.v1.reset_default_graph()
    if "char_cnn" in options:
        width = options["char_cnn"]["max_characters_per_token"]
        batcher = Batcher(vocabulary, width)
        ids = tf.compat.v1.placeholder("int32", shape=(None, None, width))
        bilm = BidirectionalLanguageModel(options_file, weights, max_batch_size=rows)
    else:
        batcher = TokenBatcher(vocabulary)
        ids = tf.compat.v1.placeholder("int32", shape=(None, None))
        bilm = BidirectionalLanguageModel(options_file, weights, False, weights, max_batch_size=rows)
    embeddings = bilm(ids)["lm_embeddings"]
    states = bilm._graphs[ids].lstm_init_states
    reset = [part.initializer for direction in states.values() for layer in direction for part in layer]
    with tf.compat.v1.Session() as session:
        session.run(tf.compat.v1.global_variables_initializer())
        for batch in batches:
            if not stateful:
                session.run(reset)
            layers = session.run(embeddings, feed_dict={ids: batcher.batch_sentences(batch)})
            yield [vectors[:, : len(words)] for vectors, words in zip(layers, batch)]


if __name__ == "__main__":
    answer_jobs(vectors_of)
