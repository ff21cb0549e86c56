"""The stage `train`: labelled texts to a registered model."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from embeddings.atomic import check_folder
from embeddings.embedders import Stored, find_embedder, load_embedder
from embeddings.errors import ConfigError, InputError
from embeddings.published import write_published
from embeddings.source import find_source, random_bilm
from embeddings.store import Store
from embeddings.text_embedding import StoredTextEmbedding
from embeddings.weights import arrays_of
from models.description import MODEL_FILES, Description
from models.examples import Examples
from models.metrics import flat_labels, score
from models.model_folder import save_model
from models.options import check_trainable
from models.training import Epoch, best_epoch, predict_labels, train_head
from pipeline import plots
from pipeline.checksums import checksum_of_sentences
from pipeline.config import TrainConfig
from pipeline.data import read_data
from pipeline.data_report import log_data
from pipeline.docs_corpus import SPLITS
from pipeline.tracking import Run, start_run
from serve.registry import log_model


@dataclass(frozen=True)
class Trained:
    """A trained model: its folder, the epoch whose weights it has, its scores on the test data, the MLflow run, and its
    version if it was registered.
    """

    folder: Path
    kept_epoch: int
    scores: dict[str, float]
    run_id: str
    version: str | None


def train_stage(config: TrainConfig, on_epoch: Callable[[Epoch], None] = lambda epoch: None) -> Trained:
    """Train a head as a config says, track it, write its folder and register it.

    Args:
        config: what to do.
        on_epoch: called after each epoch.

    Raises:
        ConfigError: the source cannot serve the task.
        InputError: data cannot be read, or hold a label that the training data lack.
        SourceError: the source cannot be read.
        OutputError: a folder or the tracking store cannot be written.
    """
    check_folder(config.output, MODEL_FILES)
    _check_taken(config)
    below = find_embedder(config.embedding.source)
    if isinstance(below, StoredTextEmbedding):
        config = _for_whole_texts(config)
    data_set = read_data(config.task, config.data)
    examples = data_set.splits
    if examples["train"].is_multi_label:
        raise InputError(f"{', '.join(data_set.names['train'])}: several labels a text; expected one for now")
    labels = examples["train"].label_set(config.data.more_labels)
    if len(labels) < 2:
        found = f"only the label '{labels[0]}'" if labels else "no label"
        raise InputError(f"{', '.join(data_set.names['train'])}: {found}; expected at least two labels to tell apart")
    for split in SPLITS[1:]:
        examples[split].numbered(labels)
    try:
        # Before the texts are embedded, which may take hours.
        check_trainable(config.task, config.head, labels)
    except ValueError as error:
        raise ConfigError(f"head: {error}") from None
    with (
        start_run(config.tracking, f"{config.name} {config.embedding.weights} {config.seed}", config) as run,
        _with_weights(below, config) as stored,
    ):
        log_data(run, config.task, data_set)
        run.text(json.dumps(labels, indent=2, ensure_ascii=False), "labels.json")
        with _stores(config, stored, examples) as stores:
            epochs: list[Epoch] = []

            def log_epoch(epoch: Epoch) -> None:
                epochs.append(epoch)
                run.metrics({"loss": epoch.loss, "seconds": epoch.seconds}, step=epoch.number)
                run.metrics({f"validation.{name}": value for name, value in epoch.scores.items()}, step=epoch.number)
                on_epoch(epoch)

            head = train_head(
                config.task,
                config.head,
                config.training,
                labels,
                (examples["train"], stores["train"]),
                (examples["validation"], stores["validation"]),
                config.seed,
                log_epoch,
            )
            predicted = predict_labels(config.task, head, stores["test"], labels)
        gold = examples["test"].targets
        scores = score(config.task, gold, predicted, labels)
        example = " ".join(examples["test"].sentences[0])
        description = Description(config.name, config.task, labels, config.data.tokenizer, config.head, scores, example)
        save_model(config.output, description, head, stored)
        kept = best_epoch(epochs, config.task, labels)
        run.metrics({f"test.{name}": value for name, value in scores.items()})
        run.metrics({f"kept.validation.{name}": value for name, value in kept.scores.items()})
        run.metrics({"kept_epoch": kept.number})
        _draw(run, epochs, gold, predicted, labels, list(map(float, head.encoder.elmo.layer_weights())))
        version = None
        if config.tracking.register_model:
            version = log_model(config.output, example, config.name, config.tracking.alias)
    return Trained(config.output, kept.number, scores, run.run_id, version)


def _check_taken(config: TrainConfig) -> None:
    """Refuse what the heads have, but this stage does not hand on yet, so that nothing is left out in silence.

    Raises:
        ConfigError: the config asks for it.
    """
    asked = {
        "embedding.source": config.embedding.kind != "bilm",
        "embedding.vectors": bool(config.embedding.vectors),
        "head.inputs": bool(config.head.features),
        "head.multi_label": config.head.multi_label,
        "head.pairs": config.head.pairs,
        "head.scheme": bool(config.head.scheme),
        "data.text_pair": bool(config.data.text_pair),
        "data.label_separator": bool(config.data.label_separator),
        "training.fine_tune": config.training.fine_tune,
    }
    for key, value in asked.items():
        if value:
            raise ConfigError(f"'{key}': cannot be trained by this command yet; expected a frozen source alone")


def read_split(config: TrainConfig, split: str) -> Examples:
    """The examples of a split, drawn as the limits in `data` say; always the same ones, whatever the config's seed.

    Raises:
        InputError: the data cannot be read.
    """
    return read_data(config.task, config.data).splits[split]


def _for_whole_texts(config: TrainConfig) -> TrainConfig:
    """The config for a source that gives one vector a text: such a source splits texts into words by itself."""
    source = config.embedding.source
    if config.task != "classification":
        raise ConfigError(f"embedding.source: {source} gives one vector a text; {config.task} needs one a word")
    if config.embedding.weights == "random":
        raise ConfigError(f"embedding.weights: 'random' is for a biLM; {source} embeds texts")
    return config.model_copy(update={"data": config.data.model_copy(update={"tokenizer": "whitespace"})})


@contextmanager
def _with_weights(stored: Stored, config: TrainConfig) -> Iterator[Stored]:
    """What was found, or a biLM made for this run if it is to have random weights."""
    if isinstance(stored, StoredTextEmbedding) or config.embedding.weights == "pretrained":
        yield stored
        return
    with TemporaryDirectory() as folder:
        bilm = random_bilm(stored, config.seed)
        write_published(Path(folder), stored.options, arrays_of(bilm), stored.vocabulary, stored.spelling)
        yield find_source(folder)


@contextmanager
def _stores(config: TrainConfig, below: Stored, examples: dict[str, Examples]) -> Iterator[dict[str, Store]]:
    """The source's layers of each split, computed once; they stay in `embedding.store` if the config names it."""
    with TemporaryDirectory() as temporary:
        base = config.embedding.store or Path(temporary)
        identity, stores, embedder = below.checksum(), {}, None
        for split, data in examples.items():
            folder = base / f"{identity[:16]}-{checksum_of_sentences(data.sentences)[:16]}"
            if not folder.is_dir():
                embedder = embedder or load_embedder(below)
                Store.write(folder, embedder.embed(data.sentences))
            stores[split] = Store(folder)
        yield stores


def _draw(run: Run, epochs: list[Epoch], gold, predicted, labels: list[str], layer_weights: list[float]) -> None:
    scores = {name: [epoch.scores[name] for epoch in epochs] for name in epochs[0].scores}
    run.figure(plots.training_curves([epoch.loss for epoch in epochs], scores), "training_curves.png")
    run.figure(plots.confusion_matrix(flat_labels(gold), flat_labels(predicted), labels), "confusion_matrix.png")
    run.figure(plots.layer_weights(layer_weights), "layer_weights.png")
    run.metrics({f"layer_weights.{k}": weight for k, weight in enumerate(layer_weights)})
