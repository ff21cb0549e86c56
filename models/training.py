"""Training of a head, on the layers of a biLM or on none."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from embeddings.ahead import ahead
from embeddings.bilm import BiLM
from embeddings.compiled import compiled
from embeddings.errors import ConfigError
from embeddings.store import Store
from models.biattentive import BiattentiveClassifier
from models.calibration import fit_calibration
from models.classifier import Classifier
from models.encoder import layer_weights
from models.epochs import Epoch, Losses, best_of_epochs
from models.examples import Examples
from models.features import Features
from models.fine_tuning import HeadOnBiLM
from models.labels import answers, class_weights, likely_labels, numbered_targets
from models.metrics import main_metric, score
from models.optimizers import build_optimizer
from models.options import HeadOptions, Task, TrainingSettings, WordInput, check_trainable
from models.pretrained_vectors import PretrainedVectors
from models.scoring import scorer
from models.tagger import Tagger
from models.text_classifier import TextClassifier
from models.texts import Layers, Texts

Head = Classifier | BiattentiveClassifier | Tagger


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
    kind: Any = Tagger
    if task == "classification":
        kind = BiattentiveClassifier if options.biattention else Classifier
    head = kind(options, labels, shape, rows)
    # XLA would compile anew for every length.
    head.jit_compile = False
    return head


def train_head(
    task: Task,
    options: HeadOptions,
    settings: TrainingSettings,
    labels: Sequence[str],
    train: tuple[Examples, Layers],
    validation: tuple[Examples, Layers],
    seed: int,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    features: Features | None = None,
    vectors: PretrainedVectors | None = None,
) -> Head | HeadOnBiLM:
    """Train a head and keep its best epoch.

    Args:
        task: classification or tagging.
        options, settings: of the head, with what the data say (`models.labels.resolve_options`), and of its training.
        labels: the label set (`models.labels.label_set`).
        train, validation: examples; and a store of the biLM's layers of their texts, or the biLM itself, the same for
            both, to compute the layers on the fly, or None for a head without ELMo.
        seed: of the initial weights, dropout and the order of the batches.
        on_epoch: called after each epoch.
        features: of the head, if it has inputs of words or characters (`Features.learned`).
        vectors: word vectors from which the inputs of words begin.

    Returns:
        The head; above a biLM the two as one model.

    Raises:
        InputError: an example has a label that is not in the label set.
        ConfigError: such a head cannot be trained on these labels and layers.
        TrainingError: the loss is infinite or no number.
    """
    try:
        check_trainable(task, options, labels)
        _check_layers(task, options, settings, train[1])
    except ValueError as error:
        raise ConfigError(f"head: {error}") from None
    keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    (examples, layers), (held_out, held_out_layers) = train, validation
    texts = Texts(layers, examples, options, features)
    held_out_texts = Texts(held_out_layers, held_out, options, features)
    targets = numbered_targets(options, labels, examples)
    held_out_targets = numbered_targets(options, labels, held_out)
    rows = features.rows if features else None
    head = build_head(task, options, labels, shape_of_layers(layers), rows)
    if vectors:
        _begin_with(vectors, head, features)
    if isinstance(head, TextClassifier):
        head.class_weights = class_weights(settings.class_weights, options, labels, targets)
    model, rates = _on(layers, head, settings)
    optimizer = build_optimizer(settings, model, -(-len(texts) // settings.batch_size), rates)
    model.compile(optimizer, jit_compile=False)
    gradual = settings.fine_tune and settings.unfreezing == "gradual"
    step = training_step(model)

    def learn(number: int) -> Losses:
        nonlocal step
        if gradual and model.unfreeze(number - 1):
            step = training_step(model)
        batches = texts.batches(targets, settings.batch_size, random)
        return ((float(step(x, y)), len(positions)) for positions, x, y in ahead(batches, most=1))

    def validate() -> dict[str, float]:
        return score(task, held_out.targets, predict_labels(task, model, held_out_texts, labels), labels)

    def best(epochs: Sequence[Epoch]) -> Epoch:
        return best_epoch(epochs, task, labels)

    best_of_epochs(model, settings, texts.words, learn, validate, best, lambda: layer_weights(head), on_epoch)
    if isinstance(head, TextClassifier) and settings.calibrate:
        logits = predict_logits(model, held_out_texts)
        head.calibration = fit_calibration(logits, np.array(held_out_targets), options.multi_label)
    return model


def _on(layers: Layers, head: Head, settings: TrainingSettings) -> tuple[Any, dict[str, float]]:
    """What is trained: the head, or above a biLM the two; with the rates of the biLM's weights."""
    if not isinstance(layers, BiLM):
        return head, {}
    model = HeadOnBiLM(layers, head)
    groups = model.groups()
    model.unfreeze(len(groups) if settings.fine_tune else 0)
    return model, {w.path: settings.rate_factor**-k for k, group in enumerate(groups, start=1) for w in group}


def training_step(model: keras.Model) -> Callable[[dict, Any], Any]:
    """What does one step: takes what the model takes and the targets, gives the batch's mean loss in nats.

    On TensorFlow it is traced once, for batches of any shape; Keras's own traces anew for some of them.

    Args:
        model: compiled.
    """

    model.make_train_function(force=True)

    def keras_step(x, y):
        # Keras answers with the mean since the last reset.
        model.reset_metrics()
        return model.train_on_batch(x, y)

    if keras.backend.backend() != "tensorflow":
        return keras_step
    import tensorflow as tf

    def step(x, y):
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x=x, y=y, y_pred=model(x, training=True))
        weights = model.trainable_weights
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        model.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return loss

    return compiled(step)


def _check_layers(task: Task, options: HeadOptions, settings: TrainingSettings, layers: Layers) -> None:
    if options.uses_bilm and layers is None:
        raise ValueError("'elmo' in its inputs needs a biLM; there is none")
    if settings.fine_tune and not isinstance(layers, BiLM):
        raise ValueError("training.fine_tune needs a biLM that is computed on the fly")
    if settings.class_weights != "none" and task != "classification":
        raise ValueError("training.class_weights is for classification; this is tagging")


def shape_of_layers(layers: Layers) -> tuple[int, int] | None:
    """Layers and numbers a vector, or None of none."""
    if isinstance(layers, BiLM):
        return layers.options.layers + 1, layers.options.dim
    return None if layers is None else (layers.layers, layers.dim)


def _begin_with(vectors: PretrainedVectors, head: Head, features: Features | None) -> None:
    """Give the inputs of words the vectors of those that have some."""
    parts = zip(head.options.features, head.encoder.features, strict=True)
    for part, layer in ((part, layer) for part, layer in parts if isinstance(part, WordInput)):
        assert features is not None
        table = keras.ops.convert_to_numpy(layer.vectors).copy()
        for row, word in enumerate(features.parts[part.name].entries or [], start=2):
            vector = vectors.of(word)
            if vector is not None:
                table[row] = vector
        layer.vectors.assign(table)


def best_epoch(epochs: Sequence[Epoch], task: Task, labels: Sequence[str]) -> Epoch:
    """The epoch with the best validation score, the first of equals; its weights are the ones that training keeps."""
    metric = main_metric(task, labels, epochs[0].scores)
    return max(epochs, key=lambda epoch: epoch.scores[metric])


def predict_logits(head: Head | HeadOnBiLM, texts: Texts, batch_size: int = 128) -> np.ndarray:
    """What a classifier scores the labels with: `[texts, labels]`, in the order of the texts."""
    logits: list = [None] * len(texts)
    score_batch = scorer(head)
    for positions, x, _ in texts.batches(None, batch_size):
        for position, row in zip(positions, score_batch(x), strict=True):
            logits[position] = row
    return np.stack(logits)


def predict_labels(
    task: Task, head: Head | HeadOnBiLM, texts: Texts | Store, labels: Sequence[str], batch_size: int = 128
) -> list:
    """The label of each text, its labels if it may have many, or the tags of its words, in the order of the texts.

    Args:
        task, labels: of the head.
        head: trained.
        texts: what it takes; of a head without features a store of the layers will do.
        batch_size: texts that pass the head at once.
    """
    texts = Texts(texts) if isinstance(texts, Store) else texts
    predicted: list = [None] * len(texts)
    score_batch = scorer(head)
    for positions, x, _ in texts.batches(None, batch_size):
        decoded: Any = head.decode(score_batch(x), x["mask"].sum(axis=1))
        if task == "tagging":
            found = [answers(head.options, labels, path) for path in decoded]
        else:
            found = likely_labels(decoded, labels, head.options.multi_label)
        for position, result in zip(positions, found, strict=True):
            predicted[position] = result
    return predicted
