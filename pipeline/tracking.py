"""One MLflow run: what goes into it, and the model that comes out.

Runs go to `MLFLOW_TRACKING_URI`, or by MLflow's own default to `mlflow.db` and `mlruns/` in the current folder;
`mlflow ui` shows them. What a run tells is noted in an outbox and sent by a thread (`pipeline.outbox_sender`), so that
a training neither waits for MLflow nor ends with it.
"""

import os
import platform
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from embeddings.errors import OutputError
from embeddings.tokenizer import TokenizerName
from pipeline.config import Tracking
from pipeline.config_file import flat
from pipeline.data_names import name_of_data, source_of_data
from pipeline.model_checksum import checksum_of_model
from pipeline.outbox import NotKept, Outbox, milliseconds
from pipeline.outbox_delivery import Delivery
from pipeline.outbox_sender import Sender
from serve.tracking_server import quiet_mlflow, reason_of

_PACKAGES = ("telmo", "keras", "tensorflow", "jax", "numpy", "scikit-learn", "scipy", "spacy", "h5py", "mlflow")
LONGEST_PARAM, LONGEST_TAG = 6000, 8000
"""Characters that MLflow keeps."""

_under_way: ContextVar["Run | None"] = ContextVar("run", default=None)


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that make a result what it is, and Keras's backend."""
    import keras

    found = {"python": platform.python_version(), "backend": keras.config.backend()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


class Run:
    """A run that is under way; `start_run` begins and ends it. Nothing of it waits for MLflow but `model`.

    Args:
        sender: of what it tells; None for a run that is not tracked, which tells nobody.
        key: its name in the outbox.
        again: whether the outbox holds what an earlier process told, too.
    """

    def __init__(self, sender: Sender | None = None, key: str = "", again: bool = False):
        self._sender, self.key, self.again = sender, key, again
        self._told: dict[str, tuple[int, int]] = {}

    @property
    def run_id(self) -> str:
        """MLflow's, or as long as this is not known the key, by which `start_run` finds the run, too."""
        return self._outbox.run_ids.get(self.key, self.key) if self._sender else ""

    @property
    def is_tracked(self) -> bool:
        """Whether anybody hears what it tells."""
        return self._sender is not None

    @property
    def goes_on(self) -> bool:
        """Whether what an earlier process told is in it. Of a run that MLflow has not answered for yet, this is not
        known, and so not said."""
        return self.again or (self._sender is not None and self._outbox.run(self.key).goes_on)

    def params(self, values: dict[str, Any]) -> None:
        """Say what the run was given; what has a name that MLflow does not take gets one that is like it."""
        # Parameters cannot change.
        self._tell("tags" if self.again else "params", {"values": _named(values)})

    def metrics(self, values: dict[str, float], step: int | None = None) -> None:
        numbers, now = {name: float(value) for name, value in values.items()}, milliseconds()
        self._told |= dict.fromkeys(numbers, (now, step or 0))
        self._tell("metrics", {"values": numbers, "step": step, "time": now})

    def data_set(
        self, names: str | Sequence[str], checksum: str, context: str, sizes: dict[str, int] | None = None
    ) -> None:
        """Say which data were used.

        Args:
            names: a file, a folder, a name of the hub; or several of them.
            checksum: SHA-256.
            context: whether to train, validate or test.
            sizes: how much there is of it.
        """
        body = {"name": name_of_data(names), "source": source_of_data(names), "sha256": checksum, "context": context}
        self._tell("data_set", body | {"sizes": sizes or {}})
        self.params({f"data.{context}.sha256": checksum})

    def tags(self, values: dict[str, Any]) -> None:
        self._tell("tags", {"values": {name: str(value)[:LONGEST_TAG] for name, value in values.items()}})

    def note(self, key: str, text: str) -> None:
        """A tag."""
        self.tags({key: text})

    def report(self, markdown: str) -> None:
        """What a person reads first of the run."""
        self.note("mlflow.note.content", markdown)

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Keep a file as it is now."""
        self._keep(folder, lambda place: self._outbox.link(path, place))

    def text(self, text: str, name: str) -> None:
        self._keep(None, lambda place: (place / name).write_text(text, "utf-8"))

    def figure(self, name: str, draw: Callable[..., Any], *arguments: Any) -> None:
        """Draw a figure and keep it."""
        self._keep(None, lambda place: draw(*arguments).savefig(place / name, dpi=150))

    def source(self, checksum: str, place: str | None) -> None:
        """Say which biLM is read, as `serve.lineage.link_bilm` takes it."""
        self._tell("source", {"checksum": checksum, "place": place})

    def model(
        self,
        folder: Path,
        example: str | list[str],
        name: str,
        alias: str | None,
        scores: dict[str, float],
        tokenizer: TokenizerName | None = None,
    ) -> str | None:
        """Register the model of a folder; if MLflow does not answer, it is kept as it is now and registered later.

        Args:
            folder, example, name, alias, tokenizer: as `serve.registry.log_model` takes them.
            scores: that the model's page shows, as the run was told them last.

        Returns:
            The version, if there is one already.
        """
        if self._sender is None:
            return None
        asked = {"example": example, "name": name, "alias": alias, "tokenizer": tokenizer}
        told = {metric: self._told[metric] for metric in scores if metric in self._told}
        body = {"asked": asked, "scores": scores, "told": told, "time": milliseconds()}
        try:
            with self._outbox.place() as place:
                self._outbox.link(folder, place)
            number = self._outbox.add(self.key, "model", body | {"place": place.name})
            return self._sender.delivery.versions.get((self.key, number)) if self._sender.sent(number) else None
        except NotKept as error:
            self._sender.not_kept(error)
            return None

    def evaluated(self, model: str, folder: Path, scores: dict[str, float], checksum: str, data: str) -> None:
        """Say how good a model is: the run stands below the one that trained it, if that is known.

        Args:
            model: `models:/NAME/VERSION`, or any other name of it.
            folder: of the model.
            scores: by metric.
            checksum, data: of the data set.
        """
        if self._sender:
            body = {"model": model, "sha256": checksum_of_model(folder), "scores": scores, "time": milliseconds()}
            self._tell("evaluated", body | {"data": [name_of_data(data), checksum[:36]]})

    def child(self) -> "Run | None":
        """The run that is under way within this one."""
        active = _under_way.get()
        return None if active is self else active

    def end(self, status: str = "FINISHED") -> None:
        """Say how the run ended; the last that was said counts."""
        if self._sender:
            ended = milliseconds()
            self._sender.note(lambda: self._outbox.end(self.key, status, ended))

    def end_children(self) -> None:
        """Say of the runs within this one that they were killed, if they could not say so themselves."""
        if self._sender:
            self._sender.note(lambda: self._outbox.end_children(self.key))
        self._tell("end_children", {"time": milliseconds()})

    @property
    def _outbox(self) -> Outbox:
        assert self._sender
        return self._sender.outbox

    def _tell(self, kind: str, body: dict[str, Any]) -> None:
        if self._sender:
            self._sender.note(lambda: self._outbox.add(self.key, kind, body))

    def _keep(self, folder: str | None, write: Callable[[Path], Any]) -> None:
        if self._sender:
            try:
                with self._outbox.place() as place:
                    write(place)
            except NotKept as error:
                self._sender.not_kept(error)
                return
            self._tell("artifact", {"folder": folder, "place": place.name})


@contextmanager
def start_run(
    tracking: Tracking | None, stage: str, name: str, config: BaseModel, run_id: str | None = None
) -> Iterator[Run]:
    """Begin a run and log the config, whole as a file and key by key as parameters. A block that fails ends the run
    as failed. A run that begins within another is its child.

    Args:
        tracking: where; None for nowhere.
        stage: that the run is of.
        name: of the run.
        config: of the stage.
        run_id: of a run that broke off and goes on; if the store does not know it, a new one begins.

    Raises:
        OutputError: the tracking store can never be used, as it is named.
    """
    if tracking is None or not tracking.enabled:
        yield Run()
        return
    with ExitStack() as stack:
        parent = _under_way.get()
        run = _nested(parent, tracking, stage, name) if parent else _begun(stack, tracking, stage, name, run_id)
        token = _under_way.set(run)
        try:
            values = config.model_dump(mode="json")
            run.text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), "config.yaml")
            run._tell("given", {"values": _named(dict(flat(values)))})
            run.params({f"version.{name}": version for name, version in versions().items()})
            yield run
        except BaseException as error:
            run.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
            raise
        else:
            run.end()
        finally:
            _under_way.reset(token)


def _nested(parent: Run, tracking: Tracking, stage: str, name: str) -> Run:
    assert parent._sender
    about = {"name": name, "experiment": tracking.experiment, "tags": _tags(stage), "wanted": None}
    try:
        key = parent._outbox.begin(parent.key, **about)
    except NotKept as error:
        parent._sender.not_kept(error)
        return Run()
    parent._sender.wake()
    return Run(parent._sender, key)


def _begun(stack: ExitStack, tracking: Tracking, stage: str, name: str, run_id: str | None) -> Run:
    """A run of its own, with the thread that sends what it tells until the stack is closed."""
    quiet_mlflow()
    address = tracking_address()
    outbox = Outbox.of_run(address, run_id) if run_id else None
    again = outbox is not None
    if outbox:
        # MLflow has not heard all of it yet.
        before = next(row for row in outbox.runs() if row.parent is None)
        key = before.key
        outbox.goes_on(key)
    else:
        # `mlflow run` has begun one.
        begun = None if run_id else os.environ.pop("MLFLOW_RUN_ID", None)
        about = {"name": name, "experiment": tracking.experiment, "tags": _tags(stage)}
        outbox = Outbox.new(address)
        key = outbox.begin(None, **about, wanted=run_id or begun, adopted=bool(begun))
    sender = Sender(outbox, Delivery(address), _print)
    try:
        sender.begin()
    except Exception as error:
        if again:
            # It holds what an earlier process told.
            sender.finish()
            if before.status:
                outbox.end(key, before.status, before.about["ended"])
            outbox.close()
        else:
            outbox.remove()
        shown = sender.delivery.shown
        raise OutputError(f"{shown}: the MLflow store cannot be used ({reason_of(error)})") from None
    stack.callback(lambda: outbox.remove() if sender.finish() else outbox.close())
    run = Run(sender, key, again)
    if os.environ.get("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "").lower() not in ("false", "0"):
        from pipeline.system_metrics import SystemMetrics

        stack.enter_context(SystemMetrics(run, outbox.run(key).about["started"]))
    return run


def tracking_address() -> str:
    """Of MLflow, with an absolute path, if it is one.

    Raises:
        OutputError: it is that of a file that is no database.
    """
    found = str(quiet_mlflow().get_tracking_uri())
    prefix, separator, path = found.partition("sqlite:///")
    if separator and not prefix:
        file = Path(path).absolute()
        if file.is_file():
            with file.open("rb") as database:
                if database.read(15) not in (b"", b"SQLite format 3"):
                    raise OutputError(f"{found}: the MLflow store cannot be used (no SQLite database)")
        return f"sqlite:///{file}"
    return found if ":" in found else str(Path(found).absolute())


def _tags(stage: str) -> dict[str, str]:
    """Who, from where, and the state of the git repository that the command was given in."""
    from mlflow.tracking.context.registry import resolve_tags
    from mlflow.utils.git_utils import get_git_branch, get_git_commit, get_git_repo_url

    here = os.getcwd()
    found = {
        "mlflow.source.git.commit": get_git_commit(here),
        "mlflow.source.git.branch": get_git_branch(here),
        "mlflow.source.git.repoURL": get_git_repo_url(here),
        "stage": stage,
    }
    known = {name: value for name, value in found.items() if value}
    # MLflow's own would be those of the repository that Telmo's code lies in.
    others = {name: value for name, value in resolve_tags().items() if not name.startswith("mlflow.source.git.")}
    return others | known


def _named(values: dict[str, Any]) -> dict[str, str]:
    return {re.sub(r"[^\w.\- :]", "_", name): str(value)[:LONGEST_PARAM] for name, value in values.items()}


def _print(line: str) -> None:
    print(f"telmo: {line}", file=sys.stderr, flush=True)
