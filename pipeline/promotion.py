"""A version becomes the champion if it is no worse than the one that is, on the same texts."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import yaml

from embeddings.errors import ConfigError, InputError, ModelError
from models.description import read_description
from pipeline.config_file import ConfigFile
from pipeline.data_config import DataConfig, Texts
from pipeline.model_versions import GATE, Version, current_version, find_version
from serve.aliases import CHAMPION, move_alias, standing_on
from serve.lineage import BILM
from serve.registry import find_model, told
from serve.tracking_server import NOT_THERE

Outcome = Literal["promoted", "refused", "forced", "first", "current"]


@dataclass(frozen=True)
class Labelled:
    """Labelled texts to compare versions on.

    Args:
        name: of the file or of the config, as it is called.
        texts: how the file is written.
        config: in place of a file, whose data are read.
        split: of the config.
        sha256: of the words and labels of this split, where it is known what they were.
    """

    name: str
    texts: Texts = field(default_factory=Texts)
    config: DataConfig | None = None
    split: str = "test"
    sha256: str | None = None


@dataclass(frozen=True)
class Promotion:
    """What became of a version that was to be promoted.

    Args:
        outcome: `promoted`; `refused`; `forced`, where it would have been refused or nothing was compared; `first`,
            where there was no champion; `current`, where it was the champion already.
        place: of the version.
        alias: that it was to have.
        before: the version that had the alias.
        comparison: with that one, as `pipeline.compare` gives it.
        metric: that decides.
    """

    outcome: Outcome
    place: str
    alias: str
    before: str | None = None
    comparison: dict[str, Any] | None = None
    metric: str | None = None

    @property
    def refused(self) -> bool:
        return self.outcome == "refused"


def promote(
    version: Version,
    data: Labelled | None = None,
    force: bool = False,
    margin: float | None = None,
    alias: str = CHAMPION,
    resamples: int = 1000,
    seed: int = 1,
) -> Promotion:
    """Evaluate a version against the champion on the same texts, and have it take its place if it is no worse: if the
    95% interval of the difference, by the paired bootstrap, does not lie below zero.

    What was found is kept as tags of the version, and as a run of the experiment in which it was trained.

    Args:
        version: that is to be the champion.
        data: labelled texts; by default the test data that the version was trained with, if they are still there.
        force: let it take the place for all that. Without `data` nothing is compared then.
        margin: points of the metric that it may be worse, of which the whole interval must be sure; by default it is
            enough that it may be no worse.
        alias: of the champion.
        resamples, seed: of the bootstrap.

    Raises:
        ModelError: the versions are for different tasks, or no longer there; or the alias was moved meanwhile.
        ConfigError, InputError: the data cannot be read, or are no longer those that the version was trained with.
    """
    before = current_version(version.name, alias)
    if before == version.version:
        return Promotion("current", version.place, alias, before)
    if before is None:
        return _done(Promotion("first", version.place, alias), version, data)
    if version.task == BILM and not force:
        raise ModelError(f"{version.place}: a biLM, which no labelled texts score; --force promotes it all the same")
    if force and data is None:
        return _done(Promotion("forced", version.place, alias, before), version, data)
    data = data or data_of(version)
    champion = find_version(version.name, before)
    found = _compared(version, champion, data, resamples, seed)
    metric = found["main"]
    passed = is_no_worse(metric, found["scores"][metric], margin)
    outcome: Outcome = "promoted" if passed else "forced" if force else "refused"
    return _done(Promotion(outcome, version.place, alias, before, found, metric), version, data)


def is_no_worse(metric: str, found: dict[str, float], margin: float | None = None) -> bool:
    """Whether a difference lets a version pass.

    Args:
        metric: of the difference.
        found: its interval, `low` to `high`.
        margin: as for `promote`.
    """
    from pipeline.compare import points_of

    if margin is None:
        return found["high"] >= 0
    return found["low"] * points_of(metric) >= -margin


def data_of(version: Version) -> Labelled:
    """The test data of the config that a version was trained with.

    Raises:
        ConfigError: its run has none that can be read.
    """
    name = f"runs:/{version.run_id}/config.yaml"
    try:
        with told(name) as mlflow:
            values = yaml.safe_load(mlflow.artifacts.load_text(name))
            params = mlflow.MlflowClient().get_run(version.run_id).data.params
        config = ConfigFile(Path(name), values).validated(DataConfig)
    except (ModelError, ConfigError) as error:
        raise ConfigError(f"{version.place}: its data are not known ({error}); expected labelled texts") from None
    return Labelled(name, config=config, sha256=params.get("data.test.sha256"))


def _check_data(data: Labelled, version: Version, folder: Path) -> None:
    """Refuse data of a config that are others by now; its places are relative, and files change."""
    from pipeline.data import read_data
    from pipeline.evaluate import tokenizers_of

    if not data.config or not data.sha256:
        return
    description = read_description(folder)
    read = read_data(description.task, data.config.data.model_copy(update=tokenizers_of(description)))
    found = read.checksums()[data.split]
    if found != data.sha256:
        raise InputError(
            f"the examples in {', '.join(read.names[data.split])} have the digest {found[:16]}, those that "
            f"{version.place} was trained with {data.sha256[:16]}; expected the same, or DATA"
        )


def _compared(version: Version, champion: Version, data: Labelled, resamples: int, seed: int) -> dict[str, Any]:
    from pipeline.config import Tracking
    from pipeline.evaluate import Evaluation, evaluate_stage

    asked = Evaluation(
        model=version.place,
        data=data.name,
        texts=data.texts,
        config=data.config,
        split=data.split,
        against=champion.place,
        resamples=resamples,
        seed=seed,
        worst=100,
    )
    folders = find_model(version.place).folder, find_model(champion.place).folder
    _check_data(data, version, folders[0])
    report = evaluate_stage(asked, *folders, tracking=Tracking(experiment=_experiment_of(version)))
    return report["comparison"] | {key: report[key] for key in ("examples", "sha256")}


def _experiment_of(version: Version) -> str:
    """The experiment in which a version was trained; that of a run which is gone is the usual one."""
    from pipeline.config import Tracking

    with told(version.place) as mlflow:
        client = mlflow.MlflowClient()
        try:
            return client.get_experiment(client.get_run(version.run_id).info.experiment_id).name
        except mlflow.exceptions.MlflowException as error:
            if error.error_code not in NOT_THERE:
                raise
            return Tracking().experiment


def _done(promotion: Promotion, version: Version, data: Labelled | None) -> Promotion:
    """Keep what was found, and move the alias."""
    tags: dict[str, Any] = {"": promotion.outcome, ".at": datetime.now(UTC).isoformat(timespec="seconds")}
    if promotion.before:
        tags[".against"] = promotion.before
    if promotion.comparison and data:
        found = promotion.comparison
        tags |= {".metric": promotion.metric, ".data": data.name, ".data.sha256": found["sha256"]}
        tags |= {f".{key}": found["scores"][promotion.metric][key] for key in ("difference", "low", "high", "p")}
        tags |= {".verdict": found["verdict"]}
    with told(version.place) as mlflow:
        client = mlflow.MlflowClient()
        now = standing_on(client, version.name, promotion.alias)
        if now != promotion.before and not promotion.refused:
            raise ModelError(
                f"models:/{version.name}@{promotion.alias}: stands on {_number(now)} by now; {version.version} was to "
                f"take the place of {_number(promotion.before)}; promote it again"
            )
        for key in [key for key in _tags_of(client, version) if key == GATE or key.startswith(f"{GATE}.")]:
            client.delete_model_version_tag(version.name, version.version, key)
        for key, value in tags.items():
            client.set_model_version_tag(version.name, version.version, f"{GATE}{key}", str(value))
        if not promotion.refused:
            move_alias(client, version.name, promotion.alias, version.version)
    return promotion


def _number(version: str | None) -> str:
    return f"version {version}" if version else "no version"


def _tags_of(client: Any, version: Version) -> dict[str, str]:
    return client.get_model_version(version.name, version.version).tags
