"""The vectors of ELMoForManyLangs: many_langs_vectors.py FOLDER OF JOBS (see exchange.py)

Run it with the Python of its environment (see install.py) and PYTHONPATH at a checkout of the project, which no
package index has. It sorts a batch by length and carries its LSTM state on in that order, so that only batches from
fresh state can be compared.
"""

import logging

from elmoformanylangs.elmo import Embedder
from exchange import answer_jobs


def vectors_of(folder, batches, stateful):
    assert not stateful
    logging.disable(logging.CRITICAL)
    embedder = Embedder(str(folder), batch_size=max(map(len, batches)))
    for batch in batches:
        embedder.model.encoder._states = None
        yield embedder.sents2elmo(batch, output_layer=-2)


if __name__ == "__main__":
    answer_jobs(vectors_of)
