"""What a worker of the Ray engine does. A worker is a process of its own, on any machine of a cluster, and imports
nothing that computes before it has a shard to embed."""

import json
import os
import traceback
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embeddings.atomic import atomic_file
from embeddings.errors import InputError, SourceError, TelmoError
from embeddings.options import Precision
from embeddings.selection import Selection
from embeddings.store_parquet import ParquetShard, schema_of
from pipeline.sentence_stream import Sentences
from pipeline.shards import Shard, ShardReader, name_of_shard
from pipeline.sources import find_source, load_bilm

if TYPE_CHECKING:
    from embeddings.embedder import Embedder


@dataclass(frozen=True)
class ShardJob:
    """What all workers do alike.

    Args:
        source: where the biLM comes from.
        checksum: of the biLM.
        sentences: the corpus, by names of files.
        selection: what is kept of the layers.
        precision: of the weights that are read for every word.
        shards: folder to write to.
        folder: in which the command was given, from where all paths go.
        telmo: the version.
        backend: of Keras.
        cpus: of a worker.
    """

    source: str
    checksum: str
    sentences: Sentences
    selection: Selection
    precision: Precision
    shards: str
    folder: str
    telmo: str
    backend: str
    cpus: int


class ShardWorker:
    """Answers for a shard. An error is an answer like another, so that no one takes it for a lost worker.

    Args:
        job: for the whole life of the worker.
    """

    def __init__(self, job: ShardJob):
        self.job = job

    def __call__(self, row: dict[str, Any]) -> dict[str, str]:
        """Ray's side.

        Args:
            row: `number` of a shard, and `shard` as JSON.

        Returns:
            `answer`, as JSON: `number` and what `answer` gives, or `error` and `kind` of error.
        """
        number = int(row["number"])
        try:
            self._settle()
            found = self.answer(number, Shard(*json.loads(row["shard"])))
        except TelmoError as error:
            found = {"error": str(error), "kind": type(error).__name__}
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {error}", "kind": "", "traceback": traceback.format_exc()}
        return {"answer": json.dumps(found | {"number": number})}

    def answer(self, number: int, shard: Shard) -> dict[str, Any]:
        """What there is to say of a shard, for JSON.

        Raises:
            TelmoError: what a person can mend.
        """
        raise NotImplementedError

    @cached_property
    def _reader(self) -> ShardReader:
        return ShardReader(self.job.sentences)

    def _settle(self) -> None:
        """Be as the process in which the command was given.

        Raises:
            InputError, SourceError: the machine lacks what is needed.
        """
        machine = os.uname().nodename if hasattr(os, "uname") else "a machine"
        if version("telmo") != self.job.telmo:
            raise SourceError(f"{machine}: has telmo {version('telmo')}; expected {self.job.telmo}, as here")
        if not Path(self.job.folder, self.job.shards).is_dir():
            found = f"{machine}: there is no {Path(self.job.folder, self.job.shards)}"
            raise InputError(f"{found}; expected the same files under the same paths on every machine")
        os.chdir(self.job.folder)


class SentenceCounter(ShardWorker):
    """Counts the sentences of a shard: `sentences`."""

    def answer(self, number: int, shard: Shard) -> dict[str, Any]:
        return {"sentences": sum(1 for _ in self._reader.read(shard, lambda line: None))}


class ShardEmbedder(ShardWorker):
    """Writes the vectors of a shard: `counts`, `work` and the lines that were passed over, `told`.

    The file depends on nothing but the shard, and takes its name when it is complete: a shard that is embedded again,
    because nobody knows how far a lost worker came, is the same to the last bit.
    """

    def answer(self, number: int, shard: Shard) -> dict[str, Any]:
        import numpy as np

        from pipeline.embed import Counts, embedded

        embedder, selection = self._embedder, self.job.selection
        options = embedder.bilm.options
        embedder.learn([], np.empty((0, options.projection)))
        before = asdict(embedder.work)
        counts = Counts()
        told: list[str] = []
        names, pooled = selection.names(options.layers + 1), selection.pool != "none"
        schema = schema_of(names, pooled, options.dim, selection.dtype)
        with (
            atomic_file(Path(self.job.shards, name_of_shard(number))) as temporary,
            ParquetShard(temporary, schema, shard.sentence or 0) as file,
        ):
            for sentences, vectors, _ in embedded(selection, embedder, self._reader.read(shard, told.append)):
                with embedder.work.timed("writing"):
                    vectors.reverse()
                    for sentence in sentences:
                        # Each is let go as it is written.
                        file.add(vectors.pop(), sentence.words)
                        counts.add(sentence)
            file.finish({"names": names, "pooled": pooled, "counts": asdict(counts)})
        return {"counts": asdict(counts), "work": less(asdict(embedder.work), before), "told": told}

    @cached_property
    def _embedder(self) -> "Embedder":
        os.environ["KERAS_BACKEND"] = self.job.backend
        for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            os.environ[name] = str(self.job.cpus)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        from embeddings.embedder import Embedder

        stored = find_source(self.job.source)
        if stored.checksum() != self.job.checksum:
            raise SourceError(f"{self.job.source}: is another biLM on {os.uname().nodename}; expected the same")
        return Embedder(load_bilm(stored), precision=self.job.precision)


def plus(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The sums of numbers that have the same name, also in a dict among them."""
    found = dict(one)
    for name, value in other.items():
        found[name] = plus(one.get(name, {}), value) if isinstance(value, dict) else one.get(name, 0) + value
    return found


def less(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What `plus` adds to the other to make the one."""
    return {
        name: less(value, other.get(name, {})) if isinstance(value, dict) else value - other.get(name, 0)
        for name, value in one.items()
    }
