"""What an embedding tells MLflow."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from pipeline.checksums import joined
from pipeline.config import Tracking
from pipeline.run_report import run_report
from pipeline.sentence_stream import Sentences
from pipeline.tracking import Run, start_run
from pipeline.work_folder import part_of

if TYPE_CHECKING:
    from pipeline.embed import EmbeddingJob, Progress

RUN = "run"
"""File in the folder of the work, with the id of the run that the next process goes on with."""


class _Asked(BaseModel):
    source: str
    output: str
    sentences: Sentences
    selection: dict[str, Any]
    stateful: bool
    precision: str


class EmbeddingRun:
    """Tells a run of an embedding, and somebody else of its progress.

    Args:
        run: that is told.
        job, output: of the embedding.
        report: is told, too.
    """

    def __init__(self, run: Run, job: "EmbeddingJob", output: Path, report: Callable[["Progress"], None]):
        self._run, self._job, self._output, self._report = run, job, output, report

    def report(self, progress: "Progress") -> None:
        """Tell how far it is."""
        told = {"sentences": progress.counts.sentences, "words": progress.counts.words}
        self._run.metrics(told | _speed(progress), step=progress.counts.sentences)
        self._report(progress)

    def finish(self, progress: "Progress", described: dict[str, Any]) -> None:
        """Tell what came out.

        Args:
            progress: in the end.
            described: the job, as `described_job` gives it.
        """
        if not self._run.is_tracked:
            return
        counts, files, checksum = asdict(progress.counts), described["files"], described["biLM"]
        self._run.metrics({f"embed.{name}": count for name, count in counts.items()})
        self._run.metrics({f"seconds.{name}": seconds for name, seconds in progress.work.seconds.items()})
        self._run.source(checksum, None)
        names = ", ".join(self._job.sentences.names)
        facts = [f"texts of {names}", f"biLM {self._job.source}, sha256 {checksum[:16]}"]
        if files:
            sizes = {"num_rows": counts["sentences"], "words": counts["words"]}
            data = joined([found for _, _, found in files])
            self._run.data_set(self._job.sentences.names, data, "embed", sizes)
            facts[0] += f", sha256 {data[:16]}"
        scores = counts | {name.replace("_", " "): round(value) for name, value in _speed(progress).items()}
        self._run.report(run_report(f"**{self._output}**: the vectors of a corpus.", scores, facts))


@contextmanager
def embedding_run(
    tracking: Tracking | None, job: "EmbeddingJob", output: Path, report: Callable[["Progress"], None]
) -> Iterator[EmbeddingRun]:
    """The run of an embedding, or that of before, if it goes on.

    Args:
        tracking: where; None for nowhere.
        job, output: of the embedding, whose folder of the work is there.
        report: is told of the progress.

    Raises:
        OutputError: the tracking store can never be used, as it is named.
    """
    file = part_of(output) / RUN
    asked = _Asked(
        source=job.source,
        output=str(output),
        sentences=job.sentences,
        selection=asdict(job.selection),
        stateful=job.stateful,
        precision=job.precision,
    )
    before = file.read_text() if file.exists() else None
    with start_run(tracking, "embed", f"embed {output.name}", asked, before) as run:
        if run.is_tracked:
            file.write_text(run.run_id)
        yield EmbeddingRun(run, job, output, report)


def _speed(progress: "Progress") -> dict[str, float]:
    work = progress.work
    return {"words_per_second": work.words / work.elapsed} if work.words and work.elapsed else {}
