"""The stage `embed` on many machines: shards of a corpus, embedded by the workers of a Ray cluster."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras

from embeddings import errors
from embeddings.embedder import Work
from embeddings.errors import InputError, OutputError
from pipeline.config import Tracking
from pipeline.embed import Counts, EmbeddingJob, Progress, complete_before, described_job, no_words, tell_replaced
from pipeline.embed_run import embedding_run
from pipeline.ray_cluster import Cluster, connected, mapped, ray
from pipeline.shard_worker import SentenceCounter, ShardEmbedder, ShardJob, plus
from pipeline.shards import Shard, check_shards, has_shards, name_of_shard, numbered, shards_of_corpus
from pipeline.sources import find_source
from pipeline.unfinished_shards import SHARDS, UnfinishedShards
from pipeline.work_folder import keeps

SHARD_WORDS = 100_000
"""Words of a shard, about: some minutes of work at most, and of the largest biLM a file of about a gigabyte."""


def embed_ray_stage(
    job: EmbeddingJob,
    output: Path,
    cluster: Cluster,
    shard_words: int = SHARD_WORDS,
    report: Callable[[Progress], None] = lambda progress: None,
    tell: Callable[[str], None] = lambda line: None,
    tracking: Tracking | None = None,
) -> Progress:
    """As `embed_stage`, on a Ray cluster: what comes out is a folder of Parquet files with a row a sentence.

    Each worker writes shards, of which each is there whole or not at all, and is the same to the last bit whoever wrote
    it. A lost worker's shard is embedded anew by another. After an end of any kind the same call goes on with the
    shards that are missing.

    Args:
        job: what to do; not statefully, and not from standard input.
        output: the store, a folder.
        cluster: where.
        shard_words: words of a shard, about.
        report: called after each shard.
        tell: is told of lines that are passed over, and of a store that is there.
        tracking: as for `embed_stage`.

    Raises:
        InputError, ConfigError, SourceError, OutputError: as for `embed_stage`.
        ConfigError: Ray is not installed, or there is no such cluster.
    """
    ray()
    stored = find_source(job.source)
    job.selection.names(stored.options.layers + 1)
    checksum = stored.checksum()
    described = described_job(job, checksum, "ray") | {"form": "parquet", "shard_words": shard_words}
    before = complete_before(output, described, job)
    if before:
        return before
    check_shards(output)
    tell_replaced(output, tell)
    with ExitStack() as stack:
        unfinished = stack.enter_context(UnfinishedShards(output, described))
        workers = stack.enter_context(connected(cluster))
        run = stack.enter_context(embedding_run(tracking, job, output, report))
        work = ShardJob(
            source=job.source,
            checksum=checksum,
            sentences=job.sentences.model_copy(update={"names": tuple(map(str, job.sentences.files or []))}),
            selection=job.selection,
            precision=job.precision,
            shards=str(unfinished.folder / SHARDS),
            folder=os.getcwd(),
            telmo=version("telmo"),
            backend=keras.config.backend(),
            cpus=cluster.worker_cpus,
        )
        shards = unfinished.plan(lambda: _planned(job, work, workers, shard_words))
        progress = Progress(workers=workers)
        found = _embed(shards, work, unfinished, progress, run.report, tell)
        if not progress.counts.words:
            unfinished.remove()
            raise no_words(job)
        files: list[dict[str, Any]] = [
            {"file": name_of_shard(number), "first": shard.sentence} | found[number]
            for number, shard in enumerate(shards)
        ]
        unfinished.publish(described | {"counts": asdict(progress.counts), "shards": files})
        run.finish(progress, described)
    return progress


def _planned(job: EmbeddingJob, work: ShardJob, workers: int, words: int) -> list[Shard]:
    shards = shards_of_corpus(job.sentences, words)
    if all(shard.sentence is not None for shard in shards):
        return shards
    answers = _answers(dict(enumerate(shards)), SentenceCounter, work, workers)
    counts = {answer["number"]: answer["sentences"] for answer in answers}
    return numbered(shards, [counts[number] for number in range(len(shards))])


def _embed(
    shards: list[Shard],
    work: ShardJob,
    unfinished: UnfinishedShards,
    progress: Progress,
    report: Callable[[Progress], None],
    tell: Callable[[str], None],
) -> dict[int, dict[str, int]]:
    """The counts of each shard."""
    began = time.perf_counter()
    found = {number: counts for number in range(len(shards)) if (counts := unfinished.counts(number))}

    def told() -> None:
        progress.shards = (len(found), len(shards))
        report(progress)

    for counts in found.values():
        progress.counts = Counts(**plus(asdict(progress.counts), counts))
    told()
    missing = {number: shard for number, shard in enumerate(shards) if number not in found}
    for answer in _answers(missing, ShardEmbedder, work, progress.workers):
        for line in answer["told"]:
            tell(line)
        number = answer["number"]
        if unfinished.counts(number) != answer["counts"]:
            place = unfinished.shards / name_of_shard(number)
            raise OutputError(f"{place}: a worker wrote it, but it is not here; expected a file system that all share")
        found[number] = answer["counts"]
        progress.counts = Counts(**plus(asdict(progress.counts), answer["counts"]))
        progress.work = Work(**plus(asdict(progress.work), answer["work"]))
        progress.work.elapsed = time.perf_counter() - began
        told()
    return found


def _answers(shards: dict[int, Shard], worker: type, work: ShardJob, workers: int) -> Iterator[dict[str, Any]]:
    """What workers say of shards.

    Raises:
        TelmoError: a worker met one.
        OutputError: the cluster was lost.
    """
    rows = [{"number": number, "shard": json.dumps(shard)} for number, shard in shards.items()]
    if not rows:
        return
    from ray.exceptions import RayError

    try:
        for row in mapped(rows, worker, (work,), workers, work.cpus):
            answer = json.loads(row["answer"])
            if "error" in answer:
                raise _error(answer)
            yield answer
    except RayError as error:
        found = next(filter(None, str(error).splitlines()), type(error).__name__)
        folder = Path(work.shards)
        kept = keeps(folder.parent) if has_shards(folder) else ""
        raise OutputError(f"Ray: the workers are lost ({found}){kept}") from error


def _error(answer: dict[str, Any]) -> Exception:
    if answer["kind"]:
        return getattr(errors, answer["kind"], InputError)(answer["error"])
    error = RuntimeError(answer["error"])
    error.add_note(answer["traceback"])
    return error
