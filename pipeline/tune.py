"""The stage `tune`: many trainings of one config, to find the values of some of its keys that validate best."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from embeddings.atomic import atomic_file, check_folder
from embeddings.errors import ConfigError, OutputError, TrainingError
from pipeline.config import Seq2seqConfig, TrainConfig
from pipeline.run_report import run_report
from pipeline.tracking import Run, start_run
from pipeline.tune_config import METRICS, Range, Tuning

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

    from models.epochs import Epoch
    from pipeline.train import Trained

STUDY, BEST, LAYERS, TRIAL = "study.db", "best.yaml", "layers", ".trial"
_ERROR = "error"
"""Attribute of a trial that could not be trained; one that was killed has none."""

GIVE_UP = 3
"""Trials that fail, and none before them that did not, after which a search ends."""


def search_folder(output: Path) -> Path:
    """Where a search keeps what it found, for a config that writes to `output`."""
    return output.with_name(f"{output.name}.tune")


@dataclass(frozen=True)
class TrialResult:
    """A trial that has ended.

    Args:
        number: from 1.
        state: `complete`, `pruned` or `failed`.
        value: of the metric; of a pruned trial the last, of one that failed None.
        epochs: that it trained.
        seconds: that it took.
        parameters: the values of the searched keys.
        error: why it failed.
    """

    number: int
    state: str
    value: float | None
    epochs: int
    seconds: float
    parameters: dict[str, Any]
    error: str | None = None


@dataclass(frozen=True)
class Tuned:
    """A search that is done: its metric, its trials, the best of them, the config file with this one's values, and the
    MLflow run that holds the runs of all.
    """

    metric: str
    trials: list[TrialResult]
    best: TrialResult
    config: Path
    run_id: str


def tune_stage(tuning: Tuning, on_trial: Callable[[TrialResult], None] = lambda trial: None) -> Tuned:
    """Train with values that Optuna proposes: by a tree-structured Parzen estimator (Bergstra et al. 2011, "Algorithms
    for hyper-parameter optimization"), which learns from the trials so far.

    What was found stands beside the output, in a folder that ends in `.tune`: the study, which a search goes on with
    that broke off or is to have more trials, and the best config so far. A trial that broke off is trained again with
    the same values and counted once. The biLM's layers are computed once for all trials.

    Args:
        tuning: what to do.
        on_trial: called after each trial.

    Raises:
        ConfigError: the search that is to go on had another config; or a metric is none of the training's.
        TrainingError: no trial could be trained.
        OutputError: the folder or the tracking store cannot be written, or another search is at work in it.
        TelmoError: what a training raises that would fail with any values.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder, config = search_folder(tuning.config.output), tuning.config
    with _alone(folder):
        study = _study(folder, tuning)
        with start_run(config.tracking, "tune", f"tune {config.name}", tuning.tune, study.user_attrs.get("run")) as run:
            study.set_user_attr("run", run.run_id)
            run.end_children()
            run.text(yaml.safe_dump(tuning.values, sort_keys=False, allow_unicode=True), "training.yaml")
            _take_up(study)
            before = len(results(study))
            while len(found := results(study)) < tuning.tune.trials:
                # Drawn from the seed and the trials so far alone, a search that broke off goes on as if it had not.
                study.sampler = optuna.samplers.TPESampler(seed=_seed(config.seed, len(found)))
                _try(study, tuning, folder, run, len(found) + 1)
                _write_best(study, tuning, folder / BEST)
                found = results(study)
                on_trial(found[-1])
                if len(found) == before + GIVE_UP and all(trial.state == "failed" for trial in found):
                    break
            best = _best(found)
            if best is None:
                failed = f"none of {len(found)} trials was trained to its end"
                raise TrainingError(f"{tuning.path}: {failed}; the last: {found[-1].error}")
            tuned = Tuned(study.user_attrs["metric"], found, best, folder / BEST, run.run_id)
            run.metrics({f"best.{tuned.metric}": best.value or 0.0})
            run.text(tuning.text(best.parameters), BEST)
            run.text("\n".join(lines_of(tuned)), "trials.txt")
            run.report(_report(tuned, config.name))
        shutil.rmtree(folder / LAYERS, ignore_errors=True)
    return tuned


def results(study: "Study") -> list[TrialResult]:
    """The trials that have ended, but for those that were killed, which are trained again."""
    ended = [one for one in study.get_trials(deepcopy=False) if one.state.is_finished()]
    counted = [one for one in ended if one.state.name != "FAIL" or _ERROR in one.user_attrs]
    return [_result(number, one) for number, one in enumerate(counted, start=1)]


def _result(number: int, trial: "FrozenTrial") -> TrialResult:
    return TrialResult(
        number,
        {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed"),
        trial.value,
        len(trial.intermediate_values),
        trial.duration.total_seconds() if trial.duration else 0.0,
        {key: json.loads(value) if isinstance(value, str) else value for key, value in trial.params.items()},
        trial.user_attrs.get(_ERROR),
    )


def lines_of(tuned: Tuned) -> list[str]:
    """A table of the trials, the best first."""
    keys = list(tuned.best.parameters)
    rows = [["trial", "state", tuned.metric, "epochs", "seconds", *keys]]
    for trial in sorted(tuned.trials, key=_rank):
        value = "-" if trial.value is None else f"{trial.value:.4f}"
        shown = [_shown(trial.parameters.get(key)) for key in keys]
        rows.append([str(trial.number), trial.state, value, str(trial.epochs), f"{trial.seconds:.1f}", *shown])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _report(tuned: Tuned, name: str) -> str:
    counts = Counter(trial.state for trial in tuned.trials)
    facts = [f"{key}: {_shown(value)}" for key, value in tuned.best.parameters.items()]
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    what = f"**{name}**: a search of {len(tuned.trials)} trials ({told}); the best is trial {tuned.best.number}."
    scores = {f"{tuned.metric} (validation)": tuned.best.value or 0.0}
    return run_report(what, scores, facts, [f"telmo train {tuned.config}"])


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)


def _rank(trial: TrialResult) -> tuple[bool, float, int]:
    return trial.state != "complete", -(trial.value or 0.0), trial.number


def _best(trials: list[TrialResult]) -> TrialResult | None:
    return min((trial for trial in trials if trial.state == "complete"), key=_rank, default=None)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep the folder of a search for this process, so that a trial that is under way there is known for a dead one."""
    import fcntl

    check_folder(folder, (STUDY, f"{STUDY}-journal", BEST, LAYERS))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OutputError(f"{folder}: another telmo tune is at work here; expected it to be done") from None
        yield


def _study(folder: Path, tuning: Tuning) -> "Study":
    """The study in the folder, or a new one.

    Raises:
        ConfigError: it is that of another config.
    """
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    tune = tuning.tune
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if tune.pruning:
        # Epochs count from 1.
        pruner = optuna.pruners.MedianPruner(n_startup_trials=tune.startup, n_warmup_steps=tune.warm_up + 1)
    try:
        study = optuna.create_study(
            storage=f"sqlite:///{(folder / STUDY).absolute()}",
            pruner=pruner,
            study_name=tuning.config.name,
            direction="maximize",
            load_if_exists=True,
        )
    except SQLAlchemyError as error:
        reason = str(error).splitlines()[0]
        raise OutputError(f"{folder / STUDY}: cannot be used ({reason}); expected the study of a search") from None
    searched = tuning.tune.model_dump(mode="json", exclude={"trials"})
    identity = hashlib.sha256(json.dumps([tuning.values, searched], default=str).encode()).hexdigest()
    if study.user_attrs.get("config", identity) != identity:
        raise ConfigError(
            f"{tuning.path}: {folder} holds a search of another config; expected the same but for 'tune.trials', "
            f"another 'output', or this folder removed"
        )
    study.set_user_attr("config", identity)
    return study


def _take_up(study: "Study") -> None:
    """Have the trial that was under way when a search broke off trained again."""
    from optuna.trial import TrialState

    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)


def _seed(seed: int, trials: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {trials}".encode()).digest()[:4], "big")


def _try(study: "Study", tuning: Tuning, folder: Path, run: Run, number: int) -> None:
    """One trial, which is told to the study. One that cannot be trained with its values fails; what no values would
    mend is raised, and the trial is left to be trained again."""
    from optuna import TrialPruned
    from optuna.trial import TrialState

    trial = study.ask()
    parameters = {key: _suggested(trial, key, space) for key, space in tuning.tune.search.items()}
    scores: list[float] = []
    child: Run | None = None

    def on_epoch(epoch: "Epoch") -> None:
        nonlocal child
        child = run.child()
        scores.append(epoch.scores[_metric(study, tuning, epoch.scores)])
        trial.report(scores[-1], epoch.number)
        if trial.should_prune():
            raise TrialPruned

    state = "complete"
    try:
        # One that was killed may have left a part of a model.
        shutil.rmtree(folder / TRIAL, ignore_errors=True)
        trained = _train(tuning.trial(parameters, folder / TRIAL / "model", folder / LAYERS), on_epoch)
        study.tell(trial, scores[trained.kept_epoch - 1])
    except TrialPruned:
        state = "pruned"
        study.tell(trial, state=TrialState.PRUNED)
    except _NoSuchMetric:
        raise
    except (TrainingError, ConfigError) as error:
        state = "failed"
        trial.set_user_attr(_ERROR, str(error))
        study.tell(trial, state=TrialState.FAIL)
    finally:
        shutil.rmtree(folder / TRIAL, ignore_errors=True)
    if child:
        child.tags({"trial": number, "trial.state": state})
        # A trial that was pruned did what it was to do.
        child.end("FAILED" if state == "failed" else "FINISHED")


def _suggested(trial: "Trial", key: str, space: Range | tuple) -> Any:
    if isinstance(space, tuple):
        # Optuna takes no lists.
        return json.loads(trial.suggest_categorical(key, [json.dumps(choice) for choice in space]))
    if space.whole:
        return trial.suggest_int(key, int(space.low), int(space.high), step=int(space.step or 1), log=space.log)
    return trial.suggest_float(key, space.low, space.high, step=space.step, log=space.log)


class _NoSuchMetric(ConfigError):
    """No values of the searched keys would mend it."""


def _metric(study: "Study", tuning: Tuning, scores: dict[str, float]) -> str:
    """The metric of the search, one of the scores of an epoch."""
    found = tuning.tune.metric or next(name for name in METRICS[tuning.config.task] if name in scores)
    if found not in scores:
        raise _NoSuchMetric(f"{tuning.path}: 'tune.metric' is '{found}'; expected one of {', '.join(scores)}")
    study.set_user_attr("metric", found)
    return found


def _train(config: TrainConfig, on_epoch: Callable[["Epoch"], None]) -> "Trained":
    if isinstance(config, Seq2seqConfig):
        from pipeline.train_seq2seq import train_seq2seq_stage

        return train_seq2seq_stage(config, on_epoch)
    from pipeline.train import train_stage

    return train_stage(config, on_epoch)


def _write_best(study: "Study", tuning: Tuning, path: Path) -> None:
    best = _best(results(study))
    if best is None:
        return
    with atomic_file(path) as temporary:
        found = f"# {study.user_attrs['metric']} {best.value:.4f} on the validation data, trial {best.number}"
        temporary.write_text(f"{found} of telmo tune {tuning.path}\n{tuning.text(best.parameters)}", "utf-8")
