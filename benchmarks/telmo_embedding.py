"""Telmo's side of embedding.py: telmo_embedding.py JOB, as peers/timing.py."""

import json
import resource
import sys
import time
from itertools import chain
from pathlib import Path

import numpy as np

from embeddings import Embedder, load_bilm
from embeddings.arithmetic import matmul_peak, operations
from embeddings.embedder import Work
from embeddings.store_hdf5 import write_hdf5


def main(job: Path) -> None:
    asked = json.loads((job / "job.json").read_text("utf-8"))
    first, *batches = asked["batches"]
    peak = matmul_peak(by_numpy=True)
    embedder = Embedder(load_bilm(job / "bilm"))
    # Of two lengths, and then all is forgotten but the traced graphs.
    for warm in (first, first[:1]):
        list(embedder.embed(warm))
    embedder.learn([], np.empty((0, embedder.bilm.options.projection)))
    embedder.work = Work()
    began = time.perf_counter()
    if asked["write"]:
        sentences = list(chain.from_iterable(batches))
        write_hdf5(job / "vectors.hdf5", sentences, embedder.embed(sentences))
        seconds = [time.perf_counter() - began]
    else:
        seconds = []
        for batch in batches:
            list(embedder.embed(batch))
            now = time.perf_counter()
            seconds.append(now - began)
            began = now
    work = embedder.work
    needed = operations(embedder.bilm.options, work.places, work.inputs, work.encoded, work.characters)
    answer = {
        "seconds": seconds,
        "words": sum(map(len, chain.from_iterable(batches))),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "share_of_peak": needed / sum(seconds) / peak,
        "matmul_peak": peak,
        "padding": 1 - work.places / work.computed,
    }
    (job / "timing.json").write_text(json.dumps(answer), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
