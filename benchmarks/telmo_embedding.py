"""Telmo's side of embedding.py: telmo_embedding.py JOB PRECISION, as peers/timing.py."""

import json
import resource
import sys
import time
from itertools import chain
from pathlib import Path

import numpy as np

from embeddings import Embedder, load_bilm
from embeddings.ahead import ahead
from embeddings.arithmetic import matmul_peak, operations
from embeddings.embedder import Work
from embeddings.options import Precision
from embeddings.store_hdf5 import write_hdf5


def main(job: Path, precision: Precision) -> None:
    asked = json.loads((job / "job.json").read_text("utf-8"))
    first, *batches = asked["batches"]
    peak = matmul_peak(by_numpy=True)
    bilm = load_bilm(job / "bilm")
    embedder = Embedder(bilm, precision=precision)
    # Side by side and alone, and then all is forgotten but what was compiled.
    for warm in (first, first[:1]):
        list(embedder.embed(warm))
    embedder.learn([], np.empty((0, embedder.bilm.options.projection)))
    embedder.work = Work()
    began = time.perf_counter()
    if asked["write"]:
        sentences = list(chain.from_iterable(batches))
        write_hdf5(job / "vectors.hdf5", sentences, ahead(embedder.embed(sentences), most=1024))
        seconds = [time.perf_counter() - began]
    else:
        seconds = []
        for batch in batches:
            list(embedder.embed(batch))
            now = time.perf_counter()
            seconds.append(now - began)
            began = now
    work = embedder.work
    needed = operations(embedder.bilm.options, work.places, work.inputs, work.encoded)
    answer = {
        "seconds": seconds,
        "words": sum(map(len, chain.from_iterable(batches))),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "share_of_peak": needed / sum(seconds) / peak,
        "matmul_peak": peak,
        "padding": 1 - work.places / work.computed,
        "error": off_by(embedder, Embedder(bilm), first),
    }
    (job / "timing.json").write_text(json.dumps(answer), "utf-8")


def off_by(embedder: Embedder, exact: Embedder, sentences: list[list[str]]) -> float:
    """The root mean square of the differences in the recurrent layers, as a share of that of the layers."""
    pairs = zip(embedder.embed(sentences), exact.embed(sentences), strict=True)
    squares = sum(np.array([np.square(got - want)[1:].sum(), np.square(want)[1:].sum()]) for got, want in pairs)
    return float(np.sqrt(squares[0] / squares[1]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])  # type: ignore[arg-type]
