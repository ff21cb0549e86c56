"""Training of a translating model."""

import math
from collections.abc import Callable, Sequence

import keras
import numpy as np

from embeddings.tokenizer import TokenizerName, text_of
from models.encoder import layer_weights
from models.epochs import Epoch, Losses, best_of_epochs
from models.examples import Examples
from models.optimizers import build_optimizer
from models.seq2seq import Seq2seq
from models.seq2seq_metrics import MAIN, translation_scores
from models.seq2seq_options import Seq2seqTraining
from models.seq2seq_vocabulary import BEGIN, TargetVocabulary
from models.texts import Texts


def train_seq2seq(
    build: Callable[[], Seq2seq],
    settings: Seq2seqTraining,
    vocabulary: TargetVocabulary,
    train: tuple[Examples, Texts],
    validation: tuple[Examples, Texts],
    target_tokenizer: TokenizerName,
    seed: int,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> Seq2seq:
    """Train a model with the true word before each (teacher forcing) and keep its best epoch, which is told by greedy
    translations of the validation data.

    Args:
        build: makes the model.
        settings: of the training.
        vocabulary: of the targets.
        train, validation: examples, the second with references, and what the model takes of their sources.
        target_tokenizer: of the targets.
        seed: of the initial weights, dropout and the order of the batches.
        on_epoch: called after each epoch.

    Raises:
        TrainingError: the loss is infinite or no number.
    """
    keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    model = build()
    (examples, texts), (held_out, held_out_texts) = train, validation
    targets = [np.array(vocabulary.numbers(target), np.int32) for target in examples.targets]
    optimizer = build_optimizer(settings, model, math.ceil(len(targets) / settings.batch_size), {})
    # XLA would compile anew for every length.
    model.compile(optimizer, jit_compile=False)

    def learn(number: int) -> Losses:
        for positions, x, y in texts.batches(targets, settings.batch_size, random):
            assert y is not None
            yield float(model.train_on_batch(x | {"previous": words_before(y)}, y)), len(positions)

    def validate() -> dict[str, float]:
        found = translations(model, held_out_texts, vocabulary, target_tokenizer, beam=1)
        return translation_scores(held_out.references or [], found)

    best_of_epochs(model, settings, texts.words, learn, validate, best_epoch, lambda: layer_weights(model), on_epoch)
    return model


def best_epoch(epochs: Sequence[Epoch]) -> Epoch:
    """The epoch whose weights training keeps: of equals the last, which has seen more, at a lower rate."""
    return max(epochs, key=lambda epoch: (epoch.scores[MAIN], epoch.number))


def words_before(words: np.ndarray) -> np.ndarray:
    """Of words `[batch, steps]` the one before each, `<s>` before the first."""
    return np.concatenate([np.full_like(words[:, :1], BEGIN), words[:, :-1]], axis=1)


def translations(
    model: Seq2seq,
    texts: Texts,
    vocabulary: TargetVocabulary,
    target_tokenizer: TokenizerName,
    beam: int | None = None,
    batch_size: int = 128,
) -> list[str]:
    """The best translation of each text, in order.

    Args:
        model: that translates.
        texts: what it takes of the sources.
        vocabulary, target_tokenizer: of the targets.
        beam: hypotheses that are held at once, by default those of the model's options.
        batch_size: texts that are searched for at once.
    """
    found: list[str] = [""] * len(texts)
    for positions, x, _ in texts.batches(None, batch_size):
        words, _ = model.translate(x, beam, n_best=1)
        for position, numbers in zip(positions, words[:, 0].tolist(), strict=True):
            found[position] = text_of(vocabulary.words(numbers), target_tokenizer)
    return found
