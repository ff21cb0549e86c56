"""Training of a biLM on text."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import keras
import numpy as np

from embeddings.bilm import BiLM
from embeddings.errors import ConfigError, InputError, TrainingError
from embeddings.language_model import LanguageModel
from embeddings.options import BiLMOptions
from embeddings.sampled_softmax import SampledSoftmax
from embeddings.settings import PretrainingSettings
from embeddings.softmax import Softmax
from embeddings.vocabulary import Vocabulary
from embeddings.watched_optimizer import GradientNorms, build_optimizer
from embeddings.windows import windows

Sentences = Iterable[Sequence[str]]


@dataclass(frozen=True)
class Progress:
    """Where a training stands: batches done and in all; since the last report the mean loss in nats, words a second,
    the mean norm of the gradient before clipping and the share of updates that were clipped; and the norms by variable
    of the last update."""

    batch: int
    batches: int
    loss: float
    words_per_second: float
    gradient_norm: float
    clipped: float
    norms: dict[str, float]


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
        ConfigError: the settings do not fit the vocabulary.
        TrainingError: the loss or a gradient is infinite or no number.
    """
    keras.utils.set_random_seed(settings.seed)
    bilm = BiLM(options, initializer=_INITIALIZERS[settings.initializer](), forget_bias=settings.forget_bias)
    model = LanguageModel(bilm, _objective(settings, vocabulary, options), settings.batch_size, settings.dropout)
    optimizer = build_optimizer(settings, max(1, batches // settings.accumulate))
    # XLA would compile anew for every number of distinct words.
    model.compile(optimizer=optimizer, jit_compile=False)

    losses: list[float] = []
    norms: list[GradientNorms] = []
    began = time.perf_counter()
    batch = 0
    for batch, window in enumerate(islice(_windows(model, vocabulary, sentences, settings.steps), batches), start=1):
        losses.append(float(model.train_on_batch(window)))
        norms.append(optimizer.last_norms())
        _check_finite(batch, losses[-1], norms[-1])
        if batch % report_every == 0 or batch == batches:
            words = len(losses) * settings.batch_size * settings.steps
            report(
                Progress(
                    batch,
                    batches,
                    loss=float(np.mean(losses)),
                    words_per_second=words / (time.perf_counter() - began),
                    gradient_norm=float(np.mean([seen.norm for seen in norms])),
                    clipped=float(np.mean([seen.was_clipped for seen in norms])),
                    norms=norms[-1].by_variable,
                )
            )
            losses, norms, began = [], [], time.perf_counter()
    if not batch and batches:
        raise InputError(f"the training text does not fill one batch of {settings.batch_size} x {settings.steps} words")
    return model


# bilm-tf's own: uniform within 0.1.
_INITIALIZERS = {
    "glorot_uniform": keras.initializers.GlorotUniform,
    "orthogonal": keras.initializers.Orthogonal,
    "uniform": lambda: keras.initializers.RandomUniform(-0.1, 0.1),
}


def _objective(settings: PretrainingSettings, vocabulary: Vocabulary, options: BiLMOptions) -> Softmax:
    if settings.objective == "full":
        return Softmax(len(vocabulary), options.projection)
    try:
        return SampledSoftmax(len(vocabulary), options.projection, settings.samples)
    except ValueError as error:
        raise ConfigError(f"training.samples: {error}") from None


def _check_finite(batch: int, loss: float, norms: GradientNorms) -> None:
    """Stop at the first number that is none: nothing good comes after it."""
    if math.isfinite(loss) and math.isfinite(norms.norm):
        return
    where = f"the gradient of {norms.first_not_finite}" if norms.first_not_finite else "the loss"
    raise TrainingError(
        f"batch {batch}: {where} is infinite or no number (loss {loss:g}); "
        "lower training.learning_rate, or set training.clip_norm"
    )


def perplexity(
    model: LanguageModel, vocabulary: Vocabulary, sentences: Sentences, steps: int = 20
) -> tuple[float, ...]:
    """Perplexity per word, forward and if the biLM has both directions backward, with the full softmax; frame words are
    predicted like any others.

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
    return tuple(math.exp(direction) for direction in np.mean(sums, axis=0))


def _windows(model: LanguageModel, vocabulary: Vocabulary, sentences: Sentences, steps: int):
    return windows(sentences, vocabulary, model.batch_size, steps, model.bilm.spelling)
