"""Write simple_elmo's biLM vectors: simple_elmo_vectors.py FOLDER SENTENCES.txt OUT.npz

Run it with the Python of the simple_elmo environment (see install.py). FOLDER holds options.json and weights.hdf5;
SENTENCES.txt holds one whitespace-tokenised sentence a line. OUT.npz gets a float32 array
[layers, words, 2 * projection] for each line, under its number from 0, with the sentence boundaries removed.

simple_elmo keeps its LSTM state in variables. A call of get_elmo_vectors without a session starts from zero, runs the
first batch once as a warm-up (unless warmup=False), and carries the state from batch to batch, so by default no vector
it returns is stateless. Calls that share a session carry the state from call to call. Here the calls share a session,
with no warm-up and one sentence each, and the state is set back to zero before each, so the vectors are stateless.
"""

import re
import sys

import numpy as np
import tensorflow as tf
from simple_elmo import ElmoModel
from simple_elmo.elmo import weight_layers


def main(folder, sentences, out):
    model = ElmoModel()
    model.load(folder, max_batch_size=1)
    # get_elmo_vectors does these two steps itself only where it makes the session
    model.elmo_sentence_input = weight_layers("input", model.sentence_embeddings_op, use_layers="all")
    initialize = tf.compat.v1.global_variables_initializer()
    # the state variables are the only ones that the model does not name
    states = [v for v in tf.compat.v1.global_variables() if re.search(r"(^|/)Variable(_\d+)?:0$", v.name)]
    if len(states) != 4 * (model.n_layers - 1):  # two directions, and (c, h) for each layer
        sys.exit("error: the state variables of this simple_elmo are not where they are expected")
    reset = [state.initializer for state in states]

    vectors = {}
    with open(sentences, encoding="utf-8") as lines, tf.compat.v1.Session() as session:
        session.run(initialize)
        for number, line in enumerate(lines):
            session.run(reset)
            layers = model.get_elmo_vectors([line.split()], warmup=False, layers="all", session=session)[0]
            vectors[str(number)] = layers.astype(np.float32)
    with open(out, "wb") as file:
        np.savez(file, **vectors)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: simple_elmo_vectors.py FOLDER SENTENCES.txt OUT.npz")
    main(*sys.argv[1:])
