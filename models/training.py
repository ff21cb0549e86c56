"""Training of a head on the frozen layers of a biLM."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from embeddings.errors import ConfigError
from embeddings.store import Store
from models.biattentive import BiattentiveClassifier
from models.classifier import Classifier
from models.examples import Examples, batches
from models.metrics import main_metric, score
from models.options import HeadOptions, Task, TrainingSettings, check_trainable
from models.tagger import Tagger

Head = Classifier | BiattentiveClassifier | Tagger


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training data gave: the mean loss in nats a text, the validation scores, and the seconds
    it took."""

    number: int
    loss: float
    scores: dict[str, float]
    seconds: float


def build_head(
    task: Task,
    options: HeadOptions,
    labels: Sequence[str] | int,
    shape: tuple[int, int] | None,
    rows: dict[str, int] | None = None,
) -> Head:
    """The head of a task.

    Args:
        task: classification or tagging.
        options: of the head.
        labels: the label set, or its size where no constraints ask for the labels.
        shape: `(layers, dim)` of the biLM, or None without one.
        rows: of the vocabulary of each feature.
    """
    if task == "tagging":
        return Tagger(options, labels, shape, rows)
    return (BiattentiveClassifier if options.biattention else Classifier)(options, labels, shape, rows)


def train_head(
    task: Task,
    options: HeadOptions,
    settings: TrainingSettings,
    labels: Sequence[str],
    train: tuple[Examples, Store],
    validation: tuple[Examples, Store],
    seed: int,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> Head:
    """Train a head and keep its best epoch.

    Args:
        task: classification or tagging.
        options, settings: of the head and of its training.
        labels: the label set.
        train, validation: examples, and the biLM's layers of their sentences.
        seed: of the initial weights, dropout and the order of the batches.
        on_epoch: called after each epoch.

    Raises:
        InputError: an example has a label that is not in the label set.
        ConfigError: such a head cannot be trained on these labels.
    """
    try:
        check_trainable(task, options, labels)
    except ValueError as error:
        raise ConfigError(f"head: {error}") from None
    keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    (examples, store), (held_out, held_out_store) = train, validation
    head = build_head(task, options, labels, (store.layers, store.dim))
    # XLA would compile anew for every length.
    head.compile(keras.optimizers.Adam(settings.learning_rate, global_clipnorm=settings.clip_norm), jit_compile=False)
    targets = examples.numbered(labels)
    held_out.numbered(labels)
    epochs: list[Epoch] = []
    for number in range(1, settings.epochs + 1):
        began = time.perf_counter()
        losses = [head.train_on_batch(x, y) for _, x, y in batches(store, targets, settings.batch_size, random)]
        scores = score(task, held_out.targets, predict_labels(task, head, held_out_store, labels), labels)
        epochs.append(Epoch(number, float(np.mean(losses)), scores, time.perf_counter() - began))
        on_epoch(epochs[-1])
        since = number - best_epoch(epochs, task, labels).number
        if not since:
            best = head.get_weights()
        if since >= settings.patience:
            break
    head.set_weights(best)
    return head


def best_epoch(epochs: Sequence[Epoch], task: Task, labels: Sequence[str]) -> Epoch:
    """The epoch with the best validation score, the first of equals; its weights are the ones that training keeps."""
    return max(epochs, key=lambda epoch: epoch.scores[main_metric(task, labels)])


def predict_labels(task: Task, head: Head, store: Store, labels: Sequence[str], batch_size: int = 128) -> list:
    """The label of each text, or the tags of its words, in the order of the store."""
    predicted: list = [None] * len(store)
    for positions, x, _ in batches(store, None, batch_size):
        decoded = head.decode(head.predict_on_batch(x), x["mask"].sum(axis=1))
        for position, result in zip(positions, decoded, strict=True):
            if task == "classification":
                predicted[position] = labels[int(np.argmax(result))]
            else:
                predicted[position] = [labels[k] for k in result]
    return predicted
