"""What does it take to embed a corpus past one machine: hours, storage and money, from rates measured here.

    python benchmarks/sizing.py --source demo/bilm demo/sentences.txt
    python benchmarks/sizing.py --source demo/bilm demo/sentences.txt --machines 1 10 --cores 16 --price 0.04

Embeds the texts once by one worker on one core, as a worker of `telmo embed --engine ray` does, measures words a second
and bytes a word in each form, and multiplies. Besides: the texts are read a second time where `--split-sentences` asks
for it, which is measured, too. A worker more is counted as a worker's rate more: workers share nothing but the files.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

# Before anything counts the cores.
for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ[name] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

FORMS = [("all", "float32"), ("all", "float16"), ("average", "float32"), ("average", "float16")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", help="files to measure with; 100,000 words are enough")
    parser.add_argument("--source", required=True, help="the biLM")
    parser.add_argument("--words", type=float, default=1e9, help="of the corpus")
    parser.add_argument("--machines", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--cores", type=int, default=16, help="of a machine")
    parser.add_argument("--price", type=float, help="of a core for an hour, in any currency")
    parser.add_argument("--shard-words", type=int, default=100_000)
    args = parser.parse_args()

    worker, corpus = worker_of(args)
    forms = {}
    with TemporaryDirectory() as place:
        for layers, dtype in FORMS:
            words, seconds, size = embed(worker, corpus, Path(place), layers, dtype, args.shard_words)
            forms[layers, dtype] = words / seconds, size / words
    split = splitting_rate(corpus)
    print(f"measured with {words:,} words on one core; {split:,.0f} words/s to split texts into sentences")
    print(f"for {args.words:,.0f} words")
    print("layers   numbers  words/s/core  bytes/word  storage GB  core-hours" + ("       price" if args.price else ""))
    for (layers, dtype), (rate, size) in forms.items():
        hours = args.words / rate / 3600
        price = f"  {hours * args.price:10,.2f}" if args.price else ""
        stored = args.words * size / 1e9
        print(f"{layers:8} {dtype:8} {rate:12,.0f}  {size:10,.0f}  {stored:10,.0f}  {hours:10,.0f}{price}")
    print()
    print(f"hours on machines of {args.cores} cores, all layers in float32")
    rate = forms[FORMS[0]][0]
    for machines in args.machines:
        print(f"{machines:5} machines  {args.words / rate / 3600 / machines / args.cores:10,.1f}")


def worker_of(args):
    """A worker that has loaded the biLM, and the corpus."""
    import keras

    from embeddings.selection import Selection
    from embeddings.source import find_source
    from pipeline.sentence_stream import Sentences
    from pipeline.shard_worker import ShardEmbedder, ShardJob

    corpus = Sentences(names=tuple(str(Path(text)) for text in args.texts))
    checksum = find_source(args.source).checksum()
    job = ShardJob(
        source=args.source,
        checksum=checksum,
        sentences=corpus,
        selection=Selection(),
        precision="float32",
        shards="",
        folder=os.getcwd(),
        telmo="",
        backend=keras.backend.backend(),
        cpus=1,
    )
    return ShardEmbedder(job), corpus


def embed(worker, corpus, folder, layers, dtype, shard_words):
    """Words, seconds and bytes of all shards."""
    from dataclasses import replace

    from embeddings.selection import Selection
    from pipeline.shards import name_of_shard, shards_of_corpus

    worker.job = replace(worker.job, selection=Selection(layers, "none", dtype), shards=str(folder))
    shards = shards_of_corpus(corpus, shard_words)
    # What is traced and compiled once is not counted.
    worker.answer(0, shards[0])
    began = time.perf_counter()
    words = 0
    for number, shard in enumerate(shards):
        words += worker.answer(number, shard)["counts"]["words"]
    seconds = time.perf_counter() - began
    if not words:
        sys.exit("error: no words in the texts")
    return words, seconds, sum((folder / name_of_shard(number)).stat().st_size for number in range(len(shards)))


def splitting_rate(corpus):
    """Words a second."""
    whole = corpus.model_copy(update={"split": True})
    next(whole.read())
    began = time.perf_counter()
    words = sum(len(sentence.words) for sentence in whole.read())
    return words / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
