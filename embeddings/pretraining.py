"""Training of a biLM on text, batch by batch."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from embeddings.ahead import ahead
from embeddings.errors import InputError, TrainingError
from embeddings.language_model import LanguageModel
from embeddings.new_model import new_model
from embeddings.options import BiLMOptions
from embeddings.sentence_batches import SentenceBatches
from embeddings.settings import PretrainingSettings
from embeddings.training_step import training_step
from embeddings.vocabulary import Vocabulary
from embeddings.watched_optimizer import GradientNorms, build_optimizer
from embeddings.windows import Windows

Sentences = Iterable[Sequence[str]]


@dataclass(frozen=True)
class Step:
    """A batch that was trained on.

    Args:
        batch: its number, from 1.
        loss: in nats a word.
        words: that were predicted in each direction.
        norms: of the gradient.
        seconds: it took, with the wait for its text.
        place: where in the text the next batch begins, if it was to be kept: `Pretraining.windows.state`.
    """

    batch: int
    loss: float
    words: int
    norms: GradientNorms
    seconds: float
    place: dict[str, Any] | None


class Pretraining:
    """A language model, its optimizer and its text.

    Args:
        model: what is trained.
        vocabulary: the words that it predicts.
        sentences: lists of words; repeated by the caller if the text is to be read more than once.
        batches: to train on; fewer if the sentences run out.
        settings: how.

    Attributes:
        batch: how many are done.
        variables: all that decides about the next batch beside the weights and the text: the carried state, the state
            of the random numbers and that of the optimizer. Keras variables.
    """

    def __init__(
        self,
        model: LanguageModel,
        vocabulary: Vocabulary,
        sentences: Sentences,
        batches: int,
        settings: PretrainingSettings,
    ):
        self.model, self.batches, self.settings = model, batches, settings
        self.batch = 0
        self.optimizer: Any = build_optimizer(settings, max(1, batches))
        self._train = training_step(model, self.optimizer)
        self.windows = windows_of(sentences, vocabulary, model, settings)
        self._hopeless = 5 * math.log(len(vocabulary))

    @property
    def variables(self) -> list:
        weights = {id(variable) for variable in self.model.trainable_variables}
        rest = [variable for variable in self.model.variables if id(variable) not in weights]
        return [*rest, *self.optimizer.variables]

    def go_to(self, batch: int, place: dict[str, Any]) -> None:
        """Go on after a batch, with the place in the text that its `Step` had; the variables are for the caller."""
        self.windows.restore(place)
        self.batch = batch

    def steps(self, place_every: int | None = None) -> Iterator[Step]:
        """Train, batch by batch.

        Args:
            place_every: number of batches after which the place in the text is told.

        Raises:
            InputError: the text does not fill one batch.
            TrainingError: the loss or a gradient is infinite, no number, or beyond all hope.
        """
        began = time.perf_counter()
        for window, place in ahead(self._upcoming(place_every)):
            loss = self._train(window)
            norms = self.optimizer.last_norms()
            self.batch += 1
            self._check(loss, norms)
            yield Step(self.batch, loss, words_in(window), norms, time.perf_counter() - began, place)
            began = time.perf_counter()
        if not self.batch and self.batches:
            sizes = f"{self.settings.batch_size} x {self.settings.steps}"
            raise InputError(f"the training text does not fill one batch of {sizes} words")

    def _upcoming(self, place_every: int | None) -> Iterator[tuple[dict[str, np.ndarray], dict[str, Any] | None]]:
        for batch in range(self.batch + 1, self.batches + 1):
            window = next(self.windows, None)
            if window is None:
                return
            kept = place_every is not None and (batch % place_every == 0 or batch == self.batches)
            yield window, self.windows.state() if kept else None

    def _check(self, loss: float, norms: GradientNorms) -> None:
        """Stop at the first number that is none, or if the loss is far above that of a guess: nothing good comes after
        it."""
        if not (math.isfinite(loss) and math.isfinite(norms.norm)):
            where = f"the gradient of {norms.first_not_finite}" if norms.first_not_finite else "the loss"
            found = f"{where} is infinite or no number (loss {loss:g}, norm of the gradient {norms.norm:g})"
        elif loss > self._hopeless:
            largest = max(norms.by_variable, key=lambda path: norms.by_variable[path])
            guess = self._hopeless / 5
            found = (
                f"the loss is {loss:.4g} nats a word, where a guess costs {guess:.3g} (norm of the gradient "
                f"{norms.norm:.3g}, largest in {largest})"
            )
        else:
            return
        advice = "lower training.learning_rate"
        if not (self.settings.clip_norm or self.settings.clip_value):
            advice += ", or set training.clip_norm"
        raise TrainingError(f"batch {self.batch}: {found}; {advice}")


@dataclass(frozen=True)
class Progress:
    """Where a training stands: batches done and in all; since the last report the mean loss in nats, words a second,
    the mean norm of the gradient before and after clipping and the share of updates that were clipped; and the norms of
    the last update."""

    batch: int
    batches: int
    loss: float
    words_per_second: float
    gradient_norm: float
    clipped_norm: float
    clipped: float
    norms: GradientNorms


class Meter:
    """Sums up the steps of a training."""

    def __init__(self, training: Pretraining):
        self._batches = training.batches
        self._seen: list[Step] = []

    def add(self, step: Step) -> None:
        self._seen.append(step)

    def read(self) -> Progress:
        """What was seen since the last reading."""
        steps, self._seen = self._seen, []
        norms = [step.norms for step in steps]
        return Progress(
            batch=steps[-1].batch,
            batches=self._batches,
            loss=float(np.mean([step.loss for step in steps])),
            words_per_second=sum(step.words for step in steps) / sum(step.seconds for step in steps),
            gradient_norm=float(np.mean([seen.norm for seen in norms])),
            clipped_norm=float(np.mean([seen.clipped for seen in norms])),
            clipped=float(np.mean([seen.was_clipped for seen in norms])),
            norms=norms[-1],
        )


def pretrain(
    options: BiLMOptions,
    vocabulary: Vocabulary,
    sentences: Sentences,
    batches: int,
    settings: PretrainingSettings,
    report: Callable[[Progress], None],
    report_every: int = 10,
) -> LanguageModel:
    """Train a biLM from random weights, without checkpoints.

    Args:
        options: sizes of the biLM.
        vocabulary: the words to predict.
        sentences, batches, settings: as for `Pretraining`.
        report: called every `report_every` batches and after the last.

    Raises:
        InputError, TrainingError: as `Pretraining.steps`.
        ConfigError: the settings do not fit the vocabulary.
    """
    training = Pretraining(new_model(options, vocabulary, settings), vocabulary, sentences, batches, settings)
    meter = Meter(training)
    for step in training.steps():
        meter.add(step)
        if step.batch % report_every == 0 or step.batch == batches:
            report(meter.read())
    return training.model


def windows_of(
    sentences: Sentences, vocabulary: Vocabulary, model: LanguageModel, settings: PretrainingSettings
) -> Windows | SentenceBatches:
    """The text as batches that the model takes."""
    kind = Windows if settings.backpropagation == "truncated" else SentenceBatches
    return kind(sentences, vocabulary, settings.batch_size, settings.steps, model.bilm.spelling)


def words_in(window: dict[str, np.ndarray]) -> int:
    """Words of a batch that are predicted in each direction."""
    return int(window["mask"].sum()) if "mask" in window else window["forward"].size
