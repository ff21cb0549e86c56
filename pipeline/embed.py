"""The stage `embed`: a corpus to a store of vectors."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import keras
import numpy as np

from embeddings.ahead import ahead
from embeddings.embedder import Embedder, Learned, Work
from embeddings.errors import InputError
from embeddings.options import Precision
from embeddings.selection import Selection
from embeddings.source import load_bilm
from embeddings.stores import StoreFormat, check_replaceable, store_format
from pipeline.checksums import checksum_of_file, checksum_of_sentences
from pipeline.config import Tracking
from pipeline.embed_run import embedding_run
from pipeline.sentence_stream import BEGIN, Place, Sentence, Sentences
from pipeline.sources import find_source
from pipeline.unfinished import Unfinished
from pipeline.work_folder import read_manifest, remove_finished

READ_AT_ONCE, WORDS_AT_ONCE = 256, 16_384
"""Sentences that are read ahead of the computation at a time, and words after which there are fewer of them."""


@dataclass(frozen=True)
class EmbeddingJob:
    """What is embedded, and how.

    Args:
        source: where the biLM comes from.
        sentences: the corpus.
        selection: what is kept of the layers.
        stateful: read the corpus as one stream, each sentence from the LSTM state after the one before.
        precision: of the weights that are read for every word.
    """

    source: str
    sentences: Sentences
    selection: Selection = field(default_factory=Selection)
    stateful: bool = False
    precision: Precision = "float32"


@dataclass
class Counts:
    """What was embedded: sentences, those of them that have no words, that were cut and whose lines could not be read;
    and words."""

    sentences: int = 0
    words: int = 0
    empty: int = 0
    cut: int = 0
    unreadable: int = 0

    def add(self, sentence: Sentence) -> None:
        """Count a sentence."""
        self.sentences += 1
        self.words += len(sentence.words)
        self.empty += not sentence.words
        self.cut += sentence.cut
        self.unreadable += sentence.unreadable


@dataclass
class Progress:
    """How far an embedding is.

    Args:
        counts: of the whole store so far, work of before included.
        place: in the corpus.
        work: of this process, or of all workers.
        done: whether the store was complete before.
        workers: that did the work.
        shards: of the corpus, those that are embedded and all, if there are any.
    """

    counts: Counts = field(default_factory=Counts)
    place: Place = BEGIN
    work: Work = field(default_factory=Work)
    done: bool = False
    workers: int = 1
    shards: tuple[int, int] = (0, 0)


def embed_stage(
    job: EmbeddingJob,
    output: Path,
    form: StoreFormat | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    tell: Callable[[str], None] = lambda line: None,
    tracking: Tracking | None = None,
) -> Progress:
    """Embed each sentence of a corpus and write what is kept of its layers to a store.

    What is done is committed every few thousand sentences. After an end of any kind the same call goes on from there,
    and what comes out is the same to the last bit; of a store that is complete nothing is computed again, unless the
    corpus came from standard input, of which nobody knows what it holds before it is read.

    Args:
        job: what to do.
        output: the store. A sentence without words has no vectors, or if sentences are pooled one of zeros, so that the
            numbers of sentences are those of the lines.
        form: of the store, by default as its name tells.
        report: called after each commit.
        tell: is told of lines that are passed over, and of a store that is there.
        tracking: where MLflow keeps a run of it, or None; of a store that is complete there is none.

    Raises:
        InputError: the corpus cannot be read, or has no words.
        ConfigError: the biLM has no such layers, or cannot be read with such a precision.
        SourceError: the biLM cannot be read.
        OutputError: the store or the tracking store cannot be written, or the work of before is on another job.
    """
    form = form or store_format(output)
    stored = find_source(job.source)
    names = job.selection.names(stored.options.layers + 1)
    checksum = stored.checksum()
    described = described_job(job, checksum, "local")
    before = complete_before(output, described | {"form": form}, job)
    if before:
        return before
    check_replaceable(output, form)
    tell_replaced(output, tell)
    with Unfinished(output, described) as unfinished, embedding_run(tracking, job, output, report) as run:
        progress = Progress(Counts(**unfinished.progress.get("counts", {})))
        if not unfinished.complete:
            embedder = Embedder(load_bilm(stored), stateful=job.stateful, precision=job.precision)
            progress.work = embedder.work
            _embed(job, embedder, unfinished, progress, run.report, tell)
            if not progress.counts.words:
                unfinished.remove()
                raise no_words(job)
            pooled = job.selection.pool != "none"
            unfinished.finish({"names": names, "pooled": pooled, "counts": asdict(progress.counts)})
        else:
            progress.counts = Counts(**unfinished.about()["counts"])
            if job.sentences.files is None:
                unfinished.behind(job.sentences.read(), end=True)
        manifest = described | {"form": form, "counts": asdict(progress.counts)}
        if job.sentences.files is None:
            manifest["sentences"] = checksum_of_sentences(unfinished.sentences())
        unfinished.publish(form, manifest)
        run.finish(progress, described)
    return progress


def described_job(job: EmbeddingJob, checksum: str, engine: str) -> dict[str, Any]:
    """All that decides about the vectors, but for a text from standard input. What is done about a line that cannot be
    read is not among it: work that such a line has stopped is gone on with past the line.

    Args:
        job: what to do.
        checksum: of the biLM.
        engine: that does it.

    Raises:
        InputError: a file of the corpus cannot be read.
    """
    files = job.sentences.files
    return {
        "engine": engine,
        "telmo": version("telmo"),
        "backend": keras.config.backend(),
        "biLM": checksum,
        "files": files and [_described_file(file) for file in files],
        "reading": job.sentences.model_dump(exclude={"names", "unreadable"}),
        "selection": asdict(job.selection),
        "stateful": job.stateful,
        "precision": job.precision,
    }


def _described_file(file: Path) -> list[Any]:
    """A file's name, bytes and SHA-256; its time says nothing of its text, and reading is cheap beside embedding."""
    try:
        return [file.name, file.stat().st_size, checksum_of_file(file)]
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from None


def complete_before(output: Path, described: dict[str, Any], job: EmbeddingJob) -> Progress | None:
    """What is known of an output, if it is complete and its manifest says all that `described` does."""
    manifest = read_manifest(output)
    # Another text may come from standard input each time.
    if not manifest or described["files"] is None or {key: manifest.get(key) for key in described} != described:
        return None
    counts = Counts(**manifest["counts"])
    if counts.unreadable and job.sentences.unreadable == "stop":
        return None
    remove_finished(output, described)
    return Progress(counts, done=True)


def no_words(job: EmbeddingJob) -> InputError:
    return InputError(f"{', '.join(job.sentences.names)}: no words in it; expected at least one sentence")


def _embed(
    job: EmbeddingJob,
    embedder: Embedder,
    unfinished: Unfinished,
    progress: Progress,
    report: Callable[[Progress], None],
    tell: Callable[[str], None],
) -> None:
    """Reading, computing and writing go on at once, each in a thread of its own."""
    began = time.perf_counter()
    unfinished.teach(embedder)
    counts, work = progress.counts, progress.work
    for sentences, vectors, learned in embedded(job.selection, embedder, _missing(job, unfinished, tell)):
        with work.timed("writing"):
            vectors.reverse()
            for sentence in sentences:
                # Each is let go as it is written.
                unfinished.add(vectors.pop(), sentence.words)
                counts.add(sentence)
            progress.place = sentences[-1].after
            unfinished.commit(learned, {"place": progress.place, "counts": asdict(counts)})
        work.elapsed = time.perf_counter() - began
        report(progress)


def tell_replaced(output: Path, tell: Callable[[str], None]) -> None:
    """Tell of a store that stands where another will."""
    if output.exists():
        tell(f"{output}: holds a store; this one will take its place")


def _missing(job: EmbeddingJob, unfinished: Unfinished, tell: Callable[[str], None]) -> Iterator[Sentence]:
    """The sentences behind those that are committed."""
    if job.sentences.files is not None:
        return job.sentences.read(Place(*unfinished.progress.get("place", ())), tell)
    behind = False

    def tell_behind(line: str) -> None:
        if behind:
            tell(line)

    missing = unfinished.behind(job.sentences.read(tell=tell_behind))
    behind = True
    return missing


def embedded(
    selection: Selection, embedder: Embedder, sentences: Iterator[Sentence]
) -> Iterator[tuple[list[Sentence], list[np.ndarray], Learned]]:
    """Sentences that were computed together, what is kept of them, and what the embedder learned by them. Reading and
    computing go on in threads of their own."""
    read = ahead(_in_blocks(sentences), most=4)
    return ahead(_computed(selection, embedder, chain.from_iterable(read)), most=1)


def _in_blocks(sentences: Iterator[Sentence]) -> Iterator[list[Sentence]]:
    block: list[Sentence] = []
    words = 0
    try:
        for sentence in sentences:
            block.append(sentence)
            words += len(sentence.words)
            if len(block) == READ_AT_ONCE or words >= WORDS_AT_ONCE:
                yield block
                block, words = [], 0
    except InputError:
        # Those before what cannot be read may fill a window, which is kept. One that ended here would not be: its
        # vectors would not be to the last bit those of the whole, once the reading goes on.
        yield block
        raise
    if block:
        yield block


def _computed(
    selection: Selection, embedder: Embedder, sentences: Iterator[Sentence]
) -> Iterator[tuple[list[Sentence], list[np.ndarray], Learned]]:
    read: deque[Sentence] = deque()

    def words() -> Iterator[list[str]]:
        for sentence in sentences:
            read.append(sentence)
            yield sentence.words

    for vectors in embedder.windows(words(), selection.function()):
        yield [read.popleft() for _ in vectors], vectors, embedder.news()
