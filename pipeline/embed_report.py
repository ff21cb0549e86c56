"""What a person is told of an embedding."""

from collections.abc import Iterator
from pathlib import Path

from embeddings.arithmetic import matmul_peak, operations
from embeddings.compiled import has_accelerator
from embeddings.embedder import Work
from embeddings.options import BiLMOptions
from pipeline.embed import Progress


def lines_of(output: Path, done: Progress, options: BiLMOptions | None = None) -> Iterator[str]:
    """What a store holds and what it took.

    Args:
        output: the store.
        done: how it was made.
        options: of the biLM, to say where the time went, or None not to.
    """
    counts, work = done.counts, done.work
    others = [
        f"{count:,} {told}"
        for count, told in ((counts.empty, "empty"), (counts.cut, "cut"), (counts.unreadable, "unreadable"))
        if count
    ]
    ready = "complete already: " if done.done else ""
    yield f"{output}: {ready}{', '.join([f'{counts.sentences:,} sentences', *others, f'{counts.words:,} words'])}"
    if not work.words:
        return
    seconds = work.elapsed
    hits, padding = 1 - work.encoded / work.places, 1 - work.places / work.computed
    by = f" by {done.workers} workers" if done.workers > 1 else ""
    before = f", after {counts.words - work.words:,} of before" if counts.words > work.words else ""
    yield (
        f"{work.words:,} words in {seconds:,.1f} s{by}{before}: {work.words / seconds:,.0f} words/s; {work.encoded:,} "
        f"distinct, {hits:.1%} of words found in the cache, {padding:.1%} padding"
    )
    if options:
        yield from _profile(work, options, done.workers)


def _profile(work: Work, options: BiLMOptions, workers: int) -> Iterator[str]:
    yield "seconds  share of the time; reading, computing and writing go on at once"
    for name, seconds in work.seconds.items():
        yield f"{seconds:7.1f}  {seconds / work.elapsed / workers:6.1%}  {name}"
    if workers > 1:
        return  # On what machines, nobody knows.
    needed = operations(options, work.places, work.inputs, work.encoded)
    peak = matmul_peak(by_numpy=not has_accelerator())
    yield (
        f"{needed / work.elapsed / 1e9:,.1f} GFLOP/s in the matrix products that the words need, "
        f"{needed / work.elapsed / peak:.0%} of the {peak / 1e9:,.0f} that a product of two large squares reaches here"
    )
