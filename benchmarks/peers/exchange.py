"""How parity.py and a peer in another environment talk: folders, JSON and NumPy files. Runs on Python 3.7 and up.

A job is a folder with `bilm/` (options.json, weights.hdf5, vocabulary.txt) and `job.json`:

    batches     lists of sentences, each a list of words
    stateful    whether the LSTM state is carried from batch to batch; else each batch starts from zeros

The peer writes `vectors.npz` into it: under "2.0" a float32 array [layers, words, 2 * projection] for the first
sentence of the third batch, without the sentence's frame.
"""

import json
import sys
from pathlib import Path

import numpy as np


def answer_jobs(vectors_of):
    """Do every job in the folder that the command line names, by their names.

    Args:
        vectors_of: called with the biLM's folder, the batches and `stateful`; yields for each batch an array for each
            sentence.
    """
    if len(sys.argv) != 2:
        sys.exit(f"usage: {Path(sys.argv[0]).name} FOLDER OF JOBS")
    for job in sorted(path.parent for path in Path(sys.argv[1]).glob("*/job.json")):
        asked = json.loads((job / "job.json").read_text(encoding="utf-8"))
        answers = vectors_of(job / "bilm", asked["batches"], asked["stateful"])
        named = {
            f"{k}.{row}": np.asarray(vectors, np.float32)
            for k, batch in enumerate(answers)
            for row, vectors in enumerate(batch)
        }
        np.savez(str(job / "vectors.npz"), **named)
