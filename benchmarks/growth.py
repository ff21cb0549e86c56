"""Does an embedding of a hundred times as many sentences take a hundred times as long, in the same memory?

    python benchmarks/growth.py '../shared/data/books/*.xz'

Embeds 10 thousand, 100 thousand and 1 million sentences of a corpus, the first million or every hundredth or tenth of
them, each in a process of its own, with a small biLM of random weights, and writes a vector a sentence. Printed: words,
distinct words, words a second from the first sentence to the last commit, the arithmetic that the distinct words and
the LSTMs need, in GFLOP a second, and the largest resident set; then the ratios of the last row to the first. New words
are the rarer the longer a corpus is, so that its words take a little less time than those of a short one. Linux only.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from embedding import write_bilm

from embeddings import BiLMOptions
from embeddings.arithmetic import operations
from embeddings.selection import Selection
from pipeline.embed import EmbeddingJob, embed_stage
from pipeline.sentence_stream import Sentences

SMALL = BiLMOptions(projection=32, cells=128, filters=((1, 16), (2, 16), (3, 32), (4, 64)), highways=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", help="files, folders or patterns")
    parser.add_argument("--sentences", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    args = parser.parse_args()
    with TemporaryDirectory() as work:
        folder = Path(work)
        write_bilm(folder / "bilm", SMALL)
        print(f"{'sentences':>10} {'words':>11} {'distinct':>9} {'words/s':>9} {'GFLOP/s':>8} {'peak MB':>8}")
        rows, most = [], max(args.sentences)
        for count in args.sentences:
            corpus = Sentences(names=tuple(args.texts), tokenizer="whitespace").read()
            with (folder / "corpus.txt").open("w", encoding="utf-8") as file:
                for sentence in islice(corpus, 0, most, most // count):
                    print(*sentence.words, file=file)
            done = subprocess.run([sys.executable, __file__, "--embed", folder], check=True, capture_output=True)
            found = json.loads(done.stdout)
            rows.append([found["words"] / found["seconds"], found["operations"] / found["seconds"], found["peak"]])
            print(
                f"{count:10,} {found['words']:11,} {found['distinct']:9,} {rows[-1][0]:9,.0f} "
                f"{rows[-1][1] / 1e9:8.2f} {rows[-1][2]:8,.0f}",
                flush=True,
            )
        words, arithmetic, memory = (last / first for first, last in zip(rows[0], rows[-1], strict=True))
        print(f"last to first: words/s {words:.2f}, GFLOP/s {arithmetic:.2f}, memory {memory:.2f}")


def embed(folder: Path) -> None:
    sentences = Sentences(names=(str(folder / "corpus.txt"),), tokenizer="whitespace")
    output = folder / "vectors"
    job = EmbeddingJob(str(folder / "bilm"), sentences, Selection("average", "mean"))
    work = embed_stage(job, output).work
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    needed = operations(SMALL, work.places, work.inputs, work.encoded)
    found = {"words": work.words, "distinct": work.encoded, "operations": needed, "seconds": work.elapsed, "peak": peak}
    print(json.dumps(found))


if __name__ == "__main__":
    embed(Path(sys.argv[2])) if sys.argv[1:2] == ["--embed"] else main()
