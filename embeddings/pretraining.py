"""Training of a biLM on text."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import keras
import numpy as np

from embeddings.bilm import BiLM
from embeddings.errors import InputError
from embeddings.language_model import LanguageModel
from embeddings.options import BiLMOptions
from embeddings.settings import PretrainingSettings
from embeddings.vocabulary import Vocabulary
from embeddings.windows import windows

Sentences = Iterable[Sequence[str]]


@dataclass(frozen=True)
class Progress:
    """Where a training stands: batches done and in all, the mean loss in nats since the last report, words a second."""

    batch: int
    batches: int
    loss: float
    words_per_second: float


def pretrain(
    options: BiLMOptions,
    vocabulary: Vocabulary,
    sentences: Sentences,
    batches: int,
    settings: PretrainingSettings,
    report: Callable[[Progress], None],
    report_every: int = 10,
) -> LanguageModel:
    """Train a biLM from random weights.

    Args:
        options: sizes of the biLM.
        vocabulary: the words to predict.
        sentences: lists of words; repeated by the caller if the text is to be read more than once.
        batches: windows to train on; fewer if the sentences run out.
        settings: how.
        report: called every `report_every` batches and after the last.

    Raises:
        InputError: the text does not fill one batch.
    """
    keras.utils.set_random_seed(settings.seed)
    model = LanguageModel(BiLM(options), len(vocabulary), settings.batch_size, settings.dropout)
    rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=settings.learning_rate / 20,
        decay_steps=max(1, batches - batches // 20),
        warmup_target=settings.learning_rate,
        warmup_steps=batches // 20,
    )
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=settings.clip_norm)
    # XLA would compile anew for every number of distinct words.
    model.compile(optimizer=optimizer, jit_compile=False)

    losses: list[float] = []
    began = time.perf_counter()
    batch = 0
    for batch, window in enumerate(islice(_windows(model, vocabulary, sentences, settings.steps), batches), start=1):
        losses.append(float(model.train_on_batch(window)))
        if batch % report_every == 0 or batch == batches:
            words = len(losses) * settings.batch_size * settings.steps
            report(Progress(batch, batches, float(np.mean(losses)), words / (time.perf_counter() - began)))
            losses, began = [], time.perf_counter()
    if not batch and batches:
        raise InputError(f"the training text does not fill one batch of {settings.batch_size} x {settings.steps} words")
    return model


def perplexity(
    model: LanguageModel, vocabulary: Vocabulary, sentences: Sentences, steps: int = 20
) -> tuple[float, float]:
    """Perplexity per word, forward and backward, with the full softmax; frame words are predicted like any others.

    Raises:
        InputError: the text does not fill one batch.
    """
    model.reset_state()
    sums = [
        model.predict_on_batch(window).mean(axis=(1, 2)) for window in _windows(model, vocabulary, sentences, steps)
    ]
    model.reset_state()
    if not sums:
        raise InputError(f"the held-out text does not fill one batch of {model.batch_size} x {steps} words")
    forward, backward = np.mean(sums, axis=0)
    return math.exp(forward), math.exp(backward)


def _windows(model: LanguageModel, vocabulary: Vocabulary, sentences: Sentences, steps: int):
    return windows(sentences, vocabulary, model.batch_size, steps, model.bilm.spelling)
