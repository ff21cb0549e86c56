"""simple_elmo's biLM vectors: simple_elmo_vectors.py FOLDER OF JOBS (see exchange.py)

Run it with the Python of the simple_elmo environment (see install.py).

simple_elmo keeps its LSTM state in variables. A call of get_elmo_vectors without a session starts from zero, runs the
first batch once as a warm-up (unless warmup=False), and carries the state from batch to batch, so by default no vector
it returns is stateless. Calls that share a session carry the state from call to call. Here the calls share a session,
with no warm-up and a batch each, and the state is set back to zero before each unless it is to be carried.
"""

import re
import sys

import tensorflow as tf
from exchange import answer_jobs
from simple_elmo import ElmoModel
from simple_elmo.elmo import weight_layers


def vectors_of(folder, batches, stateful):
    tf.compat.v1.reset_default_graph()
    model = ElmoModel()
    model.load(str(folder), max_batch_size=max(map(len, batches)))
    # get_elmo_vectors does these two steps itself only where it makes the session
    model.elmo_sentence_input = weight_layers("input", model.sentence_embeddings_op, use_layers="all")
    initialize = tf.compat.v1.global_variables_initializer()
    # the state variables are the only ones that the model does not name
    states = [v for v in tf.compat.v1.global_variables() if re.search(r"(^|/)Variable(_\d+)?:0$", v.name)]
    if len(states) != 4 * (model.n_layers - 1):  # two directions, and (c, h) for each layer
        sys.exit("error: the state variables of this simple_elmo are not where they are expected")
    reset = [state.initializer for state in states]
    with tf.compat.v1.Session() as session:
        session.run(initialize)
        for batch in batches:
            if not stateful:
                session.run(reset)
            layers = model.get_elmo_vectors(batch, warmup=False, layers="all", session=session)
            yield [vectors[:, : len(words)] for vectors, words in zip(layers, batch)]


if __name__ == "__main__":
    answer_jobs(vectors_of)
