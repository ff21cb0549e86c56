"""The stage `evaluate`: how good a trained model is on labelled texts, how sure that is, and where it fails."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from pydantic import BaseModel, ConfigDict, Field

from embeddings.atomic import atomic_file
from embeddings.errors import ConfigError
from models.calibration import reliability
from models.counts import f1_by_kind, kinds_of
from models.description import Description
from models.examples import Examples
from models.metrics import flat_labels
from models.predictor import Predictor
from models.significance import LEVEL, interval, resampled_scores
from pipeline import plots
from pipeline.answers import Answers, answers_of
from pipeline.breakdown import by_frequency, by_length
from pipeline.checksums import checksum_of_sentences
from pipeline.compare import compared
from pipeline.config import Tracking
from pipeline.data import checksum_of_examples, read_data
from pipeline.data_config import DataConfig, Texts
from pipeline.data_examples import read_examples
from pipeline.evaluation_report import html_of, lines_of
from pipeline.mistakes import confusions, worst
from pipeline.run_report import run_report
from pipeline.tracking import Run, start_run


class Evaluation(BaseModel):
    """What `telmo evaluate` does.

    Args:
        model: as it is called.
        data: a file of labelled texts, or the name of `config`.
        texts: how the file is written.
        config: of a training, whose data are read in place of a file.
        split: of the config.
        registered: `models:/NAME/VERSION` of the model, if it is a registered one.
        train: a file like `data` with training texts, for the breakdown by frequency; a config has them itself.
        against: another model, as it is called.
        resamples: draws of the texts for intervals and tests.
        seed: of these.
        worst: mistakes in the report at most.
    """

    model_config = ConfigDict(frozen=True)
    model: str
    data: str
    texts: Texts = Texts()
    config: DataConfig | None = None
    split: str = "test"
    registered: str | None = None
    train: str | None = None
    against: str | None = None
    resamples: int = Field(1000, ge=100)
    seed: int = 1
    worst: int = Field(100, ge=0)


def evaluate_stage(
    asked: Evaluation,
    folder: Path,
    other: Path | None = None,
    plot: Path | None = None,
    page: Path | None = None,
    tracking: Tracking | None = None,
) -> dict[str, Any]:
    """Score a model on labelled texts; tags that mark spans in another scheme than the model's, such as BIO for BIOUL,
    are brought to that one.

    Args:
        asked: what to do.
        folder: of the model.
        other: folder of the model that it is compared with.
        plot: PNG file for the confusion matrix; translations and texts with many labels have none.
        page: HTML file for the whole report.
        tracking: where MLflow keeps a run of it, or None.

    Returns:
        The report, as JSON: `model`, `task`, `data`, `examples`, `words` and `sha256` of the data; the `scores`, each
        with its interval; the same for the F1 of each of the `labels`, or kind of span; `lengths` and `frequencies`
        (`pipeline.breakdown`) of the metric `main`; `calibration`; `confusions`, `wrong`, the number of texts with a
        mistake, and `mistakes` (`pipeline.mistakes`); and the `comparison` (`pipeline.compare`).

    Raises:
        ConfigError: the config is for another task.
        ModelError: a folder is no model, or the models are for different tasks.
        InputError: the data cannot be read, or hold a label that a model does not know.
        OutputError: a file or the tracking store cannot be written.
    """
    with ExitStack() as stack:
        run = stack.enter_context(start_run(tracking, "evaluate", f"evaluate {asked.model}", asked))
        predictor = Predictor.load(folder)
        examples, training = _read(asked, predictor)
        answers = answers_of(predictor, examples, asked.data)
        report = _report(asked, answers, training)
        report["frequency_in"] = _frequency_in(asked, training, predictor.description.learned_from)
        if other:
            rival = Predictor.load(other)
            report["comparison"] = compared(asked, answers, rival, lambda: _read(asked, rival)[0])
        figures = _figures(answers, report) if plot or page or run.is_tracked else {}
        if plot and "confusion" in figures:
            with atomic_file(plot) as temporary:
                figures["confusion"].savefig(temporary, format="png")
        text = html_of(report, figures) if page or run.is_tracked else ""
        if page:
            with atomic_file(page) as temporary:
                temporary.write_text(text, "utf-8")
        if run.is_tracked:
            _track(run, asked, folder, report, figures)
            run.text(text, "evaluation.html")
    return report


def _track(run: Run, asked: Evaluation, folder: Path, report: dict[str, Any], figures: dict[str, Figure]) -> None:
    found, data = report["scores"], report["data"]
    run.data_set(asked.data, report["sha256"], "evaluate", {"num_rows": report["examples"], "words": report["words"]})
    known = asked.registered or asked.model
    run.evaluated(
        known, folder, {f"evaluate.{name}": of["value"] for name, of in found.items()}, report["sha256"], asked.data
    )
    for end in ("low", "high"):
        run.metrics({f"evaluate.{name}.{end}": of[end] for name, of in found.items()})
    if report["calibration"]:
        run.metrics({"evaluate.calibration_error": report["calibration"]["ece"]})
    if report["labels"]:
        run.figure("scores_by_label.png", plots.scores_by_label, report["labels"])
    for name, figure in figures.items():
        run.figure(f"{name}.png", lambda figure=figure: figure)
    run.text("\n".join(lines_of(report)), "evaluation.txt")
    run.text(json.dumps(report, indent=2, ensure_ascii=False), "evaluation.json")
    scores = {name: (of["value"], of["low"], of["high"]) for name, of in found.items()}
    facts = [
        f"{report['examples']:,} examples, {report['words']:,} words, sha256 {report['sha256'][:16]}",
        f"{report['wrong']:,} of the texts have a mistake; the worst stand in `evaluation.html`",
    ]
    what = f"**{asked.model}** on {data}; the intervals are of {100 * report['level']:.0f}%."
    run.report(run_report(what, scores, facts, [f"telmo serve {asked.model}"]))


def _read(asked: Evaluation, predictor: Predictor) -> tuple[Examples, Examples | None]:
    """The examples, and the training texts if they are at hand, as the model splits texts into words."""
    description = predictor.description
    ways = tokenizers_of(description)
    if asked.config and asked.config.task != description.task:
        raise ConfigError(f"{asked.data}: 'task' is {asked.config.task}; {description.name} is for {description.task}")
    if asked.config:
        data = read_data(description.task, asked.config.data.model_copy(update=ways))
        return data.splits[asked.split], data.splits["train"]
    texts = asked.texts.model_copy(update=ways)
    training = read_examples(asked.train, description.task, texts) if asked.train else None
    return read_examples(asked.data, description.task, texts), training


def tokenizers_of(description: Description) -> dict[str, Any]:
    """How data split texts into words as a model does."""
    return {"tokenizer": description.tokenizer, "target_tokenizer": description.target_tokenizer}


def _report(asked: Evaluation, answers: Answers, training: Examples | None) -> dict[str, Any]:
    ways = asked.resamples, asked.seed
    drawn = resampled_scores(answers.counts, *ways)
    wrong = sum(not right.all() for right in answers.marks)
    examples = answers.examples
    return {
        "model": asked.model,
        "task": answers.task,
        "data": f"{asked.data}, {asked.split}" if asked.config else asked.data,
        "examples": len(examples),
        "words": sum(map(len, examples.texts)),
        "sha256": checksum_of_sentences(examples.texts, examples.targets),
        "level": LEVEL,
        "resamples": asked.resamples,
        "main": answers.main,
        "scores": {name: _with_interval(value, drawn[name]) for name, value in answers.counts.scores().items()},
        "labels": {} if answers.task == "seq2seq" else _by_label(answers, *ways),
        "lengths": by_length(answers, *ways),
        "frequencies": by_frequency(answers, training.texts if training else None, *ways),
        "calibration": None if answers.task == "seq2seq" else _calibration(answers),
        "confusions": [] if answers.task == "seq2seq" else confusions(answers),
        "wrong": wrong,
        "mistakes": worst(answers, asked.worst),
    }


def _frequency_in(asked: Evaluation, training: Examples | None, learned_from: str | None) -> str:
    """Where the words of the breakdown by frequency were counted."""
    if training is None:
        return "these texts"
    if checksum_of_examples(training) == learned_from:
        return "the training texts"
    known = "" if learned_from is None else ", which are not those that the model learned from"
    return f"the training texts of {asked.train or asked.data}{known}"


def _with_interval(value: float, drawn: np.ndarray) -> dict[str, float]:
    low, high = interval(drawn)
    return {"value": value, "low": low, "high": high}


def _by_label(answers: Answers, resamples: int, seed: int) -> dict[str, dict[str, float]]:
    """Of each label, or kind of span, that occurs: `f1` with its interval, `precision`, `recall`, how many there are
    (`support`) and were `predicted`."""
    sides = answers.task, answers.gold, answers.predicted, answers.labels
    counts, kinds = f1_by_kind(*sides), kinds_of(answers.task, answers.labels)
    drawn, f1 = resampled_scores(counts, resamples, seed), counts.scores()
    right, found, there = counts.rows.sum(axis=0).reshape(3, -1)
    return {
        kind: {
            "precision": float(right[k] / max(found[k], 1)),
            "recall": float(right[k] / max(there[k], 1)),
            "f1": f1[kind],
            **dict(zip(("low", "high"), interval(drawn[kind]), strict=True)),
            "support": int(there[k]),
            "predicted": int(found[k]),
        }
        for k, kind in enumerate(kinds)
        if there[k] or found[k]
    }


def _calibration(answers: Answers) -> dict[str, Any]:
    """The expected calibration error of the answers, a tag at a time, and the bins of the reliability diagram."""
    found = reliability(np.concatenate(answers.sure), np.concatenate(answers.marks))
    count = len(found.answers)
    bins = [
        {
            "low": k / count,
            "high": (k + 1) / count,
            "answers": int(found.answers[k]),
            "confidence": float(found.confidence[k] / found.answers[k]),
            "right": float(found.right[k] / found.answers[k]),
        }
        for k in np.flatnonzero(found.answers).tolist()
    ]
    return {"ece": found.error, "bins": bins}


def _figures(answers: Answers, report: dict[str, Any]) -> dict[str, Figure]:
    figures = {}
    if answers.task != "seq2seq" and not answers.many:
        gold, predicted = flat_labels(answers.gold), flat_labels(answers.predicted)
        figures["confusion"] = plots.confusion_matrix(gold, predicted, answers.labels)
    if report["calibration"]:
        figures["reliability"] = plots.reliability(report["calibration"]["bins"], report["calibration"]["ece"])
    return figures
