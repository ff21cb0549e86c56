"""Write bilm-tf's biLM vectors: bilm_tf_vectors.py FOLDER SENTENCES.txt OUT.npz

Run it with the Python of the bilm-tf environment (see install.py). FOLDER holds options.json and weights.hdf5;
SENTENCES.txt holds one whitespace-tokenised sentence a line. OUT.npz gets a float32 array
[layers, words, 2 * projection] for each line, under its number from 0, with the sentence boundaries removed.

bilm-tf keeps its LSTM state in variables, from one batch to the next. They are set back to zero before each sentence
here, and a sentence is a batch of its own, so the vectors are stateless.
"""

import json
import os
import sys
import tempfile

import numpy as np
import tensorflow as tf
from bilm import Batcher, BidirectionalLanguageModel


def make_batcher(max_characters):
    """Return a Batcher; it wants a vocabulary file, but spells out each word that the file lacks."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "vocabulary.txt")
        with open(path, "w") as file:
            file.write("<S>\n</S>\n<UNK>\n")
        return Batcher(path, max_characters)


def main(folder, sentences, out):
    options_file, weight_file = os.path.join(folder, "options.json"), os.path.join(folder, "weights.hdf5")
    with open(options_file) as file:
        max_characters = json.load(file)["char_cnn"]["max_characters_per_token"]
    batcher = make_batcher(max_characters)
    ids = tf.compat.v1.placeholder("int32", shape=(None, None, max_characters))
    bilm = BidirectionalLanguageModel(options_file, weight_file, max_batch_size=1)
    embeddings = bilm(ids)["lm_embeddings"]
    states = bilm._graphs[ids].lstm_init_states
    reset = [part.initializer for direction in states.values() for layer in direction for part in layer]

    vectors = {}
    with open(sentences, encoding="utf-8") as lines, tf.compat.v1.Session() as session:
        session.run(tf.compat.v1.global_variables_initializer())
        for number, line in enumerate(lines):
            session.run(reset)
            batch = batcher.batch_sentences([line.split()])
            vectors[str(number)] = session.run(embeddings, feed_dict={ids: batch})[0]
    with open(out, "wb") as file:
        np.savez(file, **vectors)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: bilm_tf_vectors.py FOLDER SENTENCES.txt OUT.npz")
    main(*sys.argv[1:])
