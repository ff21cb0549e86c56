"""The config of a search: a training config with a section `tune`. Nothing here is heavy to load."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import ConfigDict, Field, PlainValidator, ValidationError, model_validator

from embeddings.errors import ConfigError
from models.options import Task
from pipeline.config import Seq2seqConfig, TrainConfig, validated
from pipeline.config_file import ConfigFile, Section, set_value

METRICS: dict[Task, tuple[str, ...]] = {
    "classification": ("accuracy", "micro_f1", "macro_f1"),
    "tagging": ("f1", "accuracy", "precision", "recall"),
    "seq2seq": ("chrf", "bleu", "exact_match"),
}
"""Of the validation data."""

NOT_SEARCHED = ("name", "task", "output", "tracking", "embedding.store", "tune")


class Range(Section):
    """Numbers between two ends, both among them; whole ones if the ends are.

    Args:
        low, high: the ends.
        log: whether factors are alike and not differences, as for a learning rate.
        step: between the numbers, from `low` on.
    """

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    @model_validator(mode="after")
    def _possible(self) -> "Range":
        if not self.low < self.high:
            raise ValueError(f"low {self.low} and high {self.high}; expected low below high")
        if self.log and (self.step is not None or self.low <= 0):
            raise ValueError("'log' goes with a low end above 0 and no 'step'")
        if self.step is not None and self.step <= 0:
            raise ValueError(f"step {self.step}; expected a number above 0")
        return self

    @property
    def whole(self) -> bool:
        return all(isinstance(number, int) for number in (self.low, self.high, self.step or 1))


def _space(value: Any) -> Range | tuple:
    if isinstance(value, Range | tuple):
        return value
    if isinstance(value, list) and value:
        return tuple(value)
    if not isinstance(value, dict):
        raise ValueError(f"found {value!r}; expected a list of choices, or 'low' and 'high'")
    try:
        return Range(**value)
    except ValidationError as error:
        detail = error.errors()[0]
        key = ".".join(map(str, detail["loc"]))
        told = detail["ctx"]["error"] if detail["type"] == "value_error" else f"'{key}': {detail['msg']}"
        raise ValueError(
            f"{told}; expected a list of choices, or 'low', 'high' and, if wanted, 'log' or 'step'"
        ) from None


class Tune(Section):
    """How a training is tuned.

    Args:
        trials: trainings in all.
        search: for each key of the config, such as `training.learning_rate`, a list of choices or a range.
        metric: of the validation data, of the epoch whose weights are kept; by default the one that chooses this epoch.
        pruning: whether a trial ends early whose validation score so far is below the median of the others.
        startup: trials that are not pruned.
        warm_up: epochs before which no trial is.
    """

    trials: int = Field(30, ge=1)
    search: dict[str, Annotated[Any, PlainValidator(_space)]] = Field(min_length=1)
    metric: str | None = None
    pruning: bool = True
    startup: int = Field(5, ge=0)
    warm_up: int = Field(1, ge=0)


class _TuneFile(Section):
    model_config = ConfigDict(extra="ignore", frozen=True)
    tune: Tune


@dataclass(frozen=True)
class Tuning:
    """A search.

    Args:
        path: of the file.
        tune: its section `tune`.
        values: the others, as they are written.
        config: the training that they describe.
    """

    path: Path
    tune: Tune
    values: dict[str, Any]
    config: TrainConfig

    def with_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The training config with some keys changed, as values."""
        values = copy.deepcopy(self.values)
        for key, value in parameters.items():
            set_value(values, key, value)
        return values

    def trial(self, parameters: dict[str, Any], output: Path, store: Path) -> TrainConfig:
        """The training of a trial: its model is not registered.

        Args:
            parameters: of the trial.
            output: of its model.
            store: of the biLM's layers, if the config names none.

        Raises:
            ConfigError: the parameters do not go together.
        """
        values = self.with_parameters(parameters | {"output": str(output), "tracking.register_model": False})
        if "embedding" in values and not values["embedding"].get("store"):
            values["embedding"]["store"] = str(store)
        return validated(TrainConfig, ConfigFile(self.path, values))

    def text(self, parameters: dict[str, Any]) -> str:
        """The training config with these parameters, as YAML for `telmo train`."""
        return yaml.safe_dump(self.with_parameters(parameters), sort_keys=False, allow_unicode=True)


def read_tuning(path: Path, changes: list[str] | None = None) -> Tuning:
    """Read the config of a search.

    Args:
        path: the file.
        changes: as for `pipeline.config.read_config`.

    Raises:
        ConfigError: as there; or a key to be searched is unknown, or one of its values cannot be.
    """
    file = ConfigFile.read(path, changes)
    tune = file.validated(_TuneFile).tune
    training = {key: value for key, value in file.values.items() if key != "tune"}
    config = validated(TrainConfig, replace(file, values=training))
    tuning = Tuning(path, tune, training, config)
    known = METRICS[config.task]
    if tune.metric not in (None, *known):
        raise ConfigError(
            f"{file.place(['tune', 'metric'])}: 'tune.metric' is '{tune.metric}'; expected one of {', '.join(known)}"
        )
    for key, space in tune.search.items():
        for value in (space.low, space.high) if isinstance(space, Range) else space:
            for message in _mistakes(tuning, key, value):
                raise ConfigError(f"{file.place(['tune', 'search', key])}: 'tune.search.{key}': {message}")
    return tuning


def _mistakes(tuning: Tuning, key: str, value: Any) -> Iterator[str]:
    """What is wrong with a value of a key; not that it does not go with another one, which may be searched, too."""
    if key.startswith(tuple(f"{name}." for name in NOT_SEARCHED)) or key in NOT_SEARCHED:
        yield f"cannot be searched; expected another key than {', '.join(NOT_SEARCHED)}"
        return
    kind: Any = Seq2seqConfig if tuning.config.task == "seq2seq" else TrainConfig
    try:
        kind.model_validate(tuning.with_parameters({key: value}))
    except ValidationError as error:
        for detail in error.errors():
            place = ".".join(map(str, detail["loc"]))
            above = key.startswith(f"{place}.") and detail["type"] != "value_error"
            if above or f"{place}.".startswith(f"{key}."):
                yield ConfigFile(tuning.path, {}).problem(kind, detail).removeprefix(f"{tuning.path}: ")
    except ValueError as error:
        yield str(error)
