"""How each thing that a run tells is said to MLflow. What is said twice, because an answer was lost, is there once."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pipeline.data_hub import HUB
from pipeline.model_checksum import MODEL_CHECKSUM
from pipeline.outbox import Entry, NotKept, Outbox, RunRow
from serve.tracking_server import quiet_mlflow, without_login

KEY = "telmo.run"
"""The tag by which a run is known whose id was not known yet."""

_OF_TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""So that MLflow's pages are those for trainings, and not those for language models that are prompted."""

_REFUSED = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "BAD_REQUEST")
_NOT_ALLOWED = ("PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED")
_MOST = {"metrics": 1000, "params": 100, "tags": 100}


class RunGone(Exception):
    """MLflow has a run no more: it was deleted, or the address is that of another store now.

    Args:
        key: of the run.
        run_id: that MLflow had given it.
    """

    def __init__(self, key: str, run_id: str):
        super().__init__(f"has no run {run_id}: it was deleted, or began in another store")
        self.key = key


def is_refused(error: Exception) -> bool:
    """Whether it would be no use to say the same again."""
    return getattr(error, "error_code", None) in _REFUSED


class Delivery:
    """MLflow at an address.

    Args:
        address: with an absolute path, if it is one.
    """

    def __init__(self, address: str):
        self.address = address
        self.versions: dict[tuple[str, int], str] = {}
        """Of the models that were registered, by the run's key and the number of the entry."""
        self._found: Any = None

    @property
    def shown(self) -> str:
        """The address without a password."""
        return without_login(self.address)

    @property
    def _client(self) -> Any:
        if self._found is None:
            self._found = quiet_mlflow().MlflowClient(tracking_uri=self.address)
        return self._found

    @property
    def is_remote(self) -> bool:
        """Whether a server is behind it, which may be down."""
        return self.address.startswith(("http", "postgresql", "mysql", "mssql", "databricks", "uc:"))

    def is_hopeless(self, error: Exception) -> bool:
        """Whether an error says that the store can never be used as it is named, and not that it cannot be now."""
        if isinstance(error, NotKept):
            return False
        if isinstance(error, RunGone) or is_refused(error) or getattr(error, "error_code", None) in _NOT_ALLOWED:
            return True
        return not self.is_remote and "locked" not in str(error)

    def begin(self, outbox: Outbox, row: RunRow) -> None:
        """Make a run, or find it, if it is there."""
        client, about = self._client, row.about
        parent = self.there(outbox.run(row.parent)) if row.parent else None
        # Runs stand below each other within an experiment only, and one of `mlflow run` may be in any.
        experiment = parent.info.experiment_id if parent else self._experiment(about["experiment"])
        found = self._known(about, experiment) if about["wanted"] else None
        goes_on = found is not None and not about.get("adopted")
        # The answer of an earlier attempt may have been lost.
        found = found or self._by_key(row.key, experiment)
        tags = about["tags"] | {KEY: row.key}
        if found is None:
            if parent:
                tags["mlflow.parentRunId"] = parent.info.run_id
            found = client.create_run(experiment, start_time=about["started"], tags=tags, run_name=about["name"])
        elif about["wanted"]:
            # Where a person named no run, `mlflow run` draws a name by lot.
            by_lot = about.get("adopted") and re.fullmatch(r"[a-z]+-[a-z]+-\d+", found.info.run_name)
            client.update_run(found.info.run_id, status="RUNNING", name=about["name"] if by_lot else None)
            tags = {name: value for name, value in tags.items() if name not in found.data.tags}
            for name, value in tags.items():
                client.set_tag(found.info.run_id, name, value)
        outbox.began(row.key, found.info.run_id, goes_on, found.info.start_time)

    def _experiment(self, name: str) -> str:
        client = self._client
        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                return client.create_experiment(name, tags=_OF_TRAINING)
            except Exception:
                # Another process was faster.
                found = client.get_experiment_by_name(name)
                if found is None:
                    raise
        if found.lifecycle_stage != "active":
            from mlflow.exceptions import MlflowException

            told = f"the experiment '{name}' was deleted; expected another, or this one restored"
            raise MlflowException.invalid_parameter_value(told)
        return found.experiment_id

    def _known(self, about: dict[str, Any], experiment: str) -> Any:
        """The run that goes on, if it is there and in the same experiment; one of `mlflow run` may be in another."""
        run = self.find(about["wanted"])
        if run is None:
            return self._by_key(about["wanted"], experiment)
        return run if about.get("adopted") or run.info.experiment_id == experiment else None

    def find(self, run_id: str) -> Any:
        """A run, if it is there and was not deleted."""
        from mlflow.exceptions import MlflowException

        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            if not is_refused(error):
                raise
            return None
        return run if run.info.lifecycle_stage == "active" else None

    def there(self, row: RunRow) -> Any:
        """A run that MLflow had.

        Raises:
            RunGone: it has it no more.
        """
        found = self.find(str(row.run_id))
        if found is None:
            raise RunGone(row.key, str(row.run_id))
        return found

    def ended_since(self, run_id: str, when: int) -> bool:
        """Whether somebody said later that a run had ended."""
        found = self.find(run_id)
        return found is not None and (found.info.end_time or 0) > when

    def _by_key(self, key: str, experiment: str) -> Any:
        return next(iter(self._client.search_runs([experiment], f"tags.`{KEY}` = '{key}'", max_results=1)), None)

    def send(self, outbox: Outbox, entries: Sequence[Entry]) -> None:
        """Say entries of one kind and run."""
        row = outbox.run(entries[0].key)
        assert row.run_id
        getattr(self, f"_{entries[0].kind}")(outbox, row, entries)

    def _metrics(self, outbox: Outbox, row: RunRow, entries: Sequence[Entry]) -> None:
        from mlflow.entities import Metric

        points = [
            Metric(name, value, entry.body["time"], entry.body["step"] or 0)
            for entry in entries
            for name, value in entry.body["values"].items()
        ]
        self._batch(row.run_id, metrics=points)

    def _given(self, outbox: Outbox, row: RunRow, entries: Sequence[Entry]) -> None:
        """Parameters cannot change; what a config changed before its run went on stands in the file. `mlflow run` has
        noted what it was given in its own words; where the config has others, these are tags."""
        if row.goes_on:
            return
        there = self.there(row).data.params
        for entry in entries:
            values = entry.body["values"]
            new = {name: value for name, value in values.items() if name not in there}
            other = {name: value for name, value in values.items() if there.get(name, value) != value}
            self._params(outbox, row, [replace(entry, body={"values": new})])
            if row.about.get("adopted"):
                self._tags(outbox, row, [replace(entry, body={"values": other})])

    def _params(self, outbox: Outbox, row: RunRow, entries: Sequence[Entry]) -> None:
        from mlflow.entities import Param

        if row.goes_on:
            self._tags(outbox, row, entries)
            return
        self._batch(row.run_id, params=[Param(*pair) for entry in entries for pair in entry.body["values"].items()])

    def _tags(self, outbox: Outbox, row: RunRow, entries: Sequence[Entry]) -> None:
        from mlflow.entities import RunTag

        last = {name: value for entry in entries for name, value in entry.body["values"].items()}
        self._batch(row.run_id, tags=[RunTag(*pair) for pair in last.items()])

    def _batch(self, run_id: str | None, **values: Any) -> None:
        ((what, all_values),) = values.items()
        for first in range(0, len(all_values), _MOST[what]):
            self._client.log_batch(run_id, **{what: all_values[first : first + _MOST[what]]})

    def _data_set(self, outbox: Outbox, row: RunRow, entries: Sequence[Entry]) -> None:
        from mlflow.entities import DatasetInput, InputTag

        for entry in entries:
            data = DatasetInput(_data_set(entry.body), [InputTag("mlflow.data.context", entry.body["context"])])
            self._client.log_inputs(row.run_id, [data])

    def _go_on(self, outbox: Outbox, row: RunRow, entries: Sequence[Entry]) -> None:
        if not self.ended_since(str(row.run_id), outbox.last_change()):
            self._client.update_run(row.run_id, status="RUNNING")

    def _end(self, outbox: Outbox, row: RunRow, entries: Sequence[Entry]) -> None:
        if row.status:
            self._client.set_terminated(row.run_id, row.status, row.about["ended"])

    def _end_children(self, outbox: Outbox, row: RunRow, entries: Sequence[Entry]) -> None:
        experiment = self._client.get_run(row.run_id).info.experiment_id
        mine = f"tags.mlflow.parentRunId = '{row.run_id}' and attributes.status = 'RUNNING'"
        before = f" and attributes.start_time < {entries[-1].body['time']}"
        for child in self._client.search_runs([experiment], mine + before):
            self._client.set_terminated(child.info.run_id, "KILLED")

    def _artifact(self, outbox: Outbox, row: RunRow, entries: Sequence[Entry]) -> None:
        for entry in entries:
            for path in (outbox.folder / entry.body["place"]).iterdir():
                self._client.log_artifact(row.run_id, str(path), entry.body["folder"])

    def _evaluated(self, outbox: Outbox, row: RunRow, entries: Sequence[Entry]) -> None:
        """Let a run of `evaluate` stand below the run that trained the model, and the model's page show the scores."""
        for entry in entries:
            run_id, model_id = self._origin(entry.body)
            if run_id:
                self._client.set_tag(row.run_id, "mlflow.parentRunId", run_id)
            self._scores_of_model(row.run_id, model_id, entry.body)

    def _origin(self, body: dict[str, Any]) -> tuple[str | None, str | None]:
        """The run that trained a model, and the model, as far as they are known."""
        run_id = self._run_of_version(body["model"])
        if run_id:
            return run_id, self._model_of(run_id)
        everywhere = [one.experiment_id for one in self._client.search_experiments()]
        runs = self._client.search_runs(everywhere, f"tags.`{MODEL_CHECKSUM}` = '{body['sha256']}'", max_results=1)
        if not runs:
            return None, None
        return runs[0].info.run_id, self._model_of(runs[0].info.run_id)

    def _run_of_version(self, place: str) -> str | None:
        """The run that made a version; None if it is none, or was deleted since."""
        from mlflow.exceptions import MlflowException

        if not place.startswith("models:/"):
            return None
        name, _, version = place.removeprefix("models:/").partition("/")
        try:
            return self._client.get_model_version(name, version).run_id
        except MlflowException as error:
            if not is_refused(error):
                raise
            return None

    def _model_of(self, run_id: str | None) -> str | None:
        """The model that a run has logged; its versions do not tell."""
        outputs = self._client.get_run(run_id).outputs if run_id else None
        return outputs.model_outputs[-1].model_id if outputs and outputs.model_outputs else None

    def _scores_of_model(self, run_id: str | None, model_id: str | None, body: dict[str, Any]) -> None:
        from mlflow.entities import LoggedModelInput, Metric

        if model_id and body.get("data"):
            self._client.log_inputs(run_id, models=[LoggedModelInput(model_id)])
        data, told = body.get("data") or [None, None], body.get("told", {})
        points = []
        for name, value in body["scores"].items():
            # What the run was told already is the same point, which is there once.
            when, step = told.get(name, (body["time"], 0))
            points.append(Metric(name, value, when, step, model_id, data[0], data[1]))
        self._batch(run_id, metrics=points)

    def _source(self, outbox: Outbox, row: RunRow, entries: Sequence[Entry]) -> None:
        from serve.lineage import link_bilm

        for entry in entries:
            link_bilm(self._client, str(row.run_id), entry.body["checksum"], entry.body["place"])

    def _model(self, outbox: Outbox, row: RunRow, entries: Sequence[Entry]) -> None:
        """Log and register a model; once, if the answer of an earlier attempt was lost."""
        from serve.registry import give_alias, log_model

        mlflow = quiet_mlflow()
        for entry in entries:
            body, asked = entry.body, entry.body["asked"]
            made = self._client.search_model_versions(f"run_id = '{row.run_id}'")
            version = next((str(one.version) for one in made if one.name == asked["name"]), None)
            if version is None:
                (folder,) = (outbox.folder / body["place"]).iterdir()
                mlflow.set_experiment(experiment_id=self._client.get_run(row.run_id).info.experiment_id)
                try:
                    with mlflow.start_run(row.run_id, log_system_metrics=False):
                        scores = body["scores"] if asked["tokenizer"] else None
                        version = log_model(folder, **asked, scores=scores)
                finally:
                    # MLflow took this for the run's end, and a failure for the run's.
                    self._client.update_run(row.run_id, status="RUNNING")
                    self._end(outbox, outbox.run(row.key), entries)
            give_alias(self._client, asked["name"], asked["alias"], version)
            self._scores_of_model(row.run_id, self._model_of(row.run_id), body)
            self.versions[entry.key, entry.number] = version


def _data_set(body: dict[str, Any]) -> Any:
    """What MLflow shows of data: where they come from, their digest, and how much there is."""
    from mlflow.data.http_dataset_source import HTTPDatasetSource
    from mlflow.data.huggingface_dataset_source import HuggingFaceDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.data.sources import LocalArtifactDatasetSource  # type: ignore[attr-defined]
    from mlflow.entities import Dataset

    where = body["source"]
    if where.startswith(HUB):
        path, *rest = where.removeprefix(HUB).split(":")
        source: Any = HuggingFaceDatasetSource(path, split=rest[-1] if rest else None)
    else:
        source = (HTTPDatasetSource if where.startswith("http") else LocalArtifactDatasetSource)(where)
    # MLflow keeps digests of at most 36 characters; the whole one is a parameter.
    said = MetaDataset(source, body["name"], body["sha256"][:36]).to_dict()  # type: ignore[abstract]
    profile = json.dumps(body["sizes"]) if body["sizes"] else None
    return Dataset(said["name"], said["digest"], said["source_type"], said["source"], said.get("schema"), profile)
