"""The stage `train`: labelled texts to a registered model."""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from embeddings.atomic import check_folder
from embeddings.errors import InputError
from embeddings.text_embedding import StoredTextEmbedding
from models.description import MODEL_FILES, Description
from models.epochs import Epoch
from models.examples import Examples
from models.labels import class_weights, numbered_targets
from models.metrics import flat_labels, score, scores_by_label
from models.model_folder import save_model
from models.preparation import Prepared, prepare
from models.texts import Layers, Texts
from models.tfidf import Tfidf
from models.training import best_epoch, predict_labels, train_head
from pipeline import plots
from pipeline.config import TrainConfig
from pipeline.data import DataSet, checksum_of_examples, read_data
from pipeline.data_report import log_data
from pipeline.docs_corpus import SPLITS
from pipeline.layers import find_below, layers_below
from pipeline.sources import tell_source
from pipeline.tracking import Run, start_run
from pipeline.trained import EpochLog, Trained

__all__ = ["Trained", "read_split", "train_stage"]


def train_stage(config: TrainConfig, on_epoch: Callable[[Epoch], None] = lambda epoch: None) -> Trained:
    """Train a head as a config says, or TF-IDF in its place, track it, write its folder and register it.

    Args:
        config: what to do.
        on_epoch: called after each epoch; TF-IDF has one.

    Raises:
        ConfigError: the head, the source, the data and the task do not fit one another.
        InputError: data cannot be read, or hold a label that the training data lack.
        SourceError: the source cannot be read.
        OutputError: a folder or the tracking store cannot be written.
        TrainingError: the training diverged.
    """
    check_folder(config.output, MODEL_FILES)
    below = find_below(config)
    if isinstance(below, StoredTextEmbedding):
        config = _for_whole_texts(config)
    data_set = read_data(config.task, config.data)
    examples = data_set.splits
    # Before the texts are embedded, which may take hours.
    prepared = _prepared(config, data_set)
    with ExitStack() as stack:
        run = stack.enter_context(start_run(config.tracking, "train", _title(config), config))
        data = log_data(run, config.task, data_set)
        if config.embedding.weights == "pretrained":
            tell_source(run, config.embedding.source, below)
        run.text(json.dumps(prepared.labels, indent=2, ensure_ascii=False), "labels.json")
        log = EpochLog(run, on_epoch)
        stored = None
        if config.embedding.kind == "tfidf":
            model: Any = _fitted(config, prepared, examples, log)
            predicted = model.predict(examples["test"])
        else:
            stored, layers = stack.enter_context(layers_below(config, below, examples))
            model = _trained(config, prepared, examples, layers, log)
            texts = Texts(layers["test"], examples["test"], prepared.options, prepared.features)
            predicted = predict_labels(config.task, model, texts, prepared.labels)
        gold, example = examples["test"].targets, examples["test"].example
        scores = score(config.task, gold, predicted, prepared.labels)
        tfidf = isinstance(model, Tfidf)
        description = Description(
            config.name,
            config.task,
            prepared.labels,
            config.data.tokenizer,
            model.options if tfidf else prepared.options,
            scores,
            example,
            kind="tfidf" if tfidf else "head",
            learned_from=checksum_of_examples(examples["train"]),
        )
        save_model(config.output, description, model, stored, None if tfidf else prepared.features)
        _log_by_label(run, config.task, gold, predicted, prepared.labels)
        return log.finish(config, best_epoch(log.epochs, config.task, prepared.labels), scores, example, data)


def read_split(config: TrainConfig, split: str) -> Examples:
    """The examples of a split, drawn as the limits in `data` say; always the same ones, whatever the config's seed.

    Raises:
        InputError: the data cannot be read.
    """
    return read_data(config.task, config.data).splits[split]


def _for_whole_texts(config: TrainConfig) -> TrainConfig:
    """The config for a source that gives one vector a text: such a source splits texts into words by itself."""
    return config.model_copy(update={"data": config.data.model_copy(update={"tokenizer": "whitespace"})})


def _title(config: TrainConfig) -> str:
    """The name of the run: model, what is below it, seed."""
    embedding = config.embedding
    return f"{config.name} {embedding.weights if embedding.kind == 'bilm' else embedding.kind} {config.seed}"


def _prepared(config: TrainConfig, data_set: DataSet) -> Prepared:
    """All that can be settled, and refused, before anything is computed."""
    examples, settings = data_set.splits, config.training
    found = examples["train"].label_set(config.data.more_labels)
    if len(found) < (1 if examples["train"].is_multi_label else 2):
        told = f"only the label '{found[0]}'" if found else "no label"
        told += f" among the texts that data.limit={config.data.limit} draws" if config.data.limit else ""
        raise InputError(f"{', '.join(data_set.names['train'])}: {told}; expected at least two labels to tell apart")
    bilm = config.embedding.kind == "bilm"
    prepared = prepare(
        config.task,
        config.head,
        examples["train"],
        bilm,
        config.embedding.vectors_file,
        config.data.more_labels,
    )
    for split in SPLITS:
        targets = numbered_targets(prepared.options, prepared.labels, examples[split])
        if split == "train" and config.task == "classification":
            class_weights(settings.class_weights, prepared.options, prepared.labels, targets)
    return prepared


def _trained(
    config: TrainConfig, prepared: Prepared, examples: dict[str, Examples], layers: dict[str, Layers], log: EpochLog
) -> Any:
    """The head, or above a biLM that is computed with it the two."""
    return train_head(
        config.task,
        prepared.options,
        config.training,
        prepared.labels,
        (examples["train"], layers["train"]),
        (examples["validation"], layers["validation"]),
        config.seed,
        log,
        prepared.features,
        prepared.vectors,
    )


def _fitted(config: TrainConfig, prepared: Prepared, examples: dict[str, Examples], log: EpochLog) -> Tfidf:
    """TF-IDF with logistic regression, whose fit is told of as one epoch."""
    began = time.perf_counter()
    train, validation, labels = examples["train"], examples["validation"], prepared.labels
    weights = config.training.class_weights
    model = Tfidf.fit(config.task, prepared.options, train, labels, config.seed, weights)
    speed = sum(map(len, train.texts)) / (time.perf_counter() - began)
    scores = score(config.task, validation.targets, model.predict(validation), labels)
    log(Epoch(1, model.loss(train), scores, time.perf_counter() - began, speed))
    return model


def _log_by_label(run: Run, task: str, gold: Any, predicted: Any, labels: list[str]) -> None:
    """How good the answers are label by label, and which labels are taken for which."""
    by_label = scores_by_label(task, gold, predicted, labels)
    run.text(json.dumps(by_label, indent=2, ensure_ascii=False), "scores_by_label.json")
    run.figure("scores_by_label.png", plots.scores_by_label, by_label)
    if isinstance(gold[0], tuple):
        # Of texts with any number of labels nobody knows which was taken for which.
        return
    flat = flat_labels(gold), flat_labels(predicted)
    # A tagger may answer in another scheme than it has learned.
    shown = labels if set(flat[0]) | set(flat[1]) <= set(labels) else sorted(set(flat[0]) | set(flat[1]))
    run.figure("confusion_matrix.png", plots.confusion_matrix, *flat, shown)
