"""An embedding in shards that is under way: the shards that are written outlive the processes that wrote them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from embeddings.atomic import atomic_file, replaced_by
from embeddings.store_parquet import about_parquet
from pipeline.shards import Shard, check_shards, has_shards, is_shard, name_of_shard
from pipeline.work_folder import WorkFolder, manifest_of

SHARDS, PLAN = "shards", "plan.json"


class UnfinishedShards(WorkFolder):
    """The work on an output by many processes, each of which writes whole shards.

    job.json, plan.json    what is to be done, and how the corpus is parted
    shards/                `part-00000.parquet`, ...; a file that has its name is complete

    Args:
        output: the store, a folder.
        job: as for `WorkFolder`.

    Raises:
        OutputError: as for `WorkFolder`.
    """

    def __init__(self, output: Path, job: dict[str, Any]):
        super().__init__(output, job)
        self.shards = self.folder / SHARDS
        with self._writing():
            self.shards.mkdir(exist_ok=True)

    def __enter__(self) -> "UnfinishedShards":
        return self

    def __exit__(self, *_: object) -> None:
        if not self._has_work():
            self.remove()
        super().__exit__()

    def _has_work(self) -> bool:
        return has_shards(self.shards)

    def plan(self, make: Callable[[], list[Shard]]) -> list[Shard]:
        """How the corpus is parted: as it was before, or else as `make` says."""
        path = self.folder / PLAN
        if not path.exists():
            made = make()
            with self._writing(), atomic_file(path) as temporary:
                temporary.write_text(json.dumps(made), "utf-8")
        with self._writing():
            return [Shard(*values) for values in json.loads(path.read_text("utf-8"))]

    def counts(self, number: int) -> dict[str, int] | None:
        """What a shard holds, or None if it is not written yet."""
        path = self.shards / name_of_shard(number)
        if not path.exists():
            return None
        with self._writing():
            return about_parquet(path)["counts"]

    def publish(self, manifest: dict[str, Any]) -> None:
        """Give the store its place, and remove the folder of the work.

        Raises:
            OutputError: it cannot be written.
        """
        check_shards(self.output)
        with self._writing():
            for rest in self.shards.iterdir():
                # Of workers that were lost.
                if not is_shard(rest.name):
                    rest.unlink()
            # No manifest stands beside a store that is not its own, whenever this ends.
            manifest_of(self.output).unlink(missing_ok=True)
            replaced = replaced_by(self.output)
            if self.output.exists():
                shutil.rmtree(replaced, ignore_errors=True)
                self.output.rename(replaced)
            self._write_manifest(manifest)
            self.shards.rename(self.output)
            shutil.rmtree(replaced, ignore_errors=True)
        self.remove()
