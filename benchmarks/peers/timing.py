"""How fast a peer embeds: timing.py PEER JOB. Runs on Python 3.7 and up, with the Python of the peer's environment.

JOB is a folder with `bilm/` (options.json, weights.hdf5, vocabulary.txt) and `job.json`:

    batches     lists of sentences, each a list of words; the first one warms up and is not counted
    write       whether all layers of every word are written to an HDF5 file

The answer is `timing.json`: the `seconds` of each batch, the `words` of all and the largest resident set in bytes.
"""

import importlib
import json
import resource
import sys
import time
from pathlib import Path

import h5py


def main(peer, job):
    asked = json.loads((job / "job.json").read_text(encoding="utf-8"))
    answers = importlib.import_module("%s_vectors" % peer).vectors_of(job / "bilm", asked["batches"], False)
    next(answers)
    seconds, count = [], 0
    with h5py.File(str(job / "vectors.hdf5"), "w") as file:
        began = time.perf_counter()
        for batch in answers:
            for vectors in batch if asked["write"] else ():
                file.create_dataset(str(count), data=vectors)
                count += 1
            now = time.perf_counter()
            seconds.append(now - began)
            began = now
    words = sum(len(words) for batch in asked["batches"][1:] for words in batch)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    answer = {"seconds": seconds, "words": words, "peak": peak}
    (job / "timing.json").write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
