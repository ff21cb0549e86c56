"""How well a language model predicts a text."""

import math

import numpy as np

from embeddings.errors import InputError, TrainingError
from embeddings.language_model import LanguageModel
from embeddings.pretraining import Sentences, windows_of, words_in
from embeddings.settings import PretrainingSettings
from embeddings.training_step import window_losses
from embeddings.vocabulary import Vocabulary

MOST_NATS = 700
"""Of a word, beyond which a perplexity is no number any more."""


def perplexity(
    model: LanguageModel, vocabulary: Vocabulary, sentences: Sentences, settings: PretrainingSettings
) -> tuple[float, ...]:
    """Perplexity per word, forward and if the biLM has both directions backward, with the full softmax; frame words are
    predicted like any others. The carried state stays as it is.

    Args:
        model: what is measured.
        vocabulary: the words that it predicts; all others count as `<UNK>`.
        sentences: lists of words; of what does not fill a last window no word is predicted.
        settings: of the training, for how the text is cut.

    Raises:
        InputError: the text does not fill one batch.
        TrainingError: the weights are beyond hope.
    """
    sums, words = np.zeros(model.bilm.options.directions), 0
    losses = window_losses(model)
    with model.aside():
        for window in windows_of(sentences, vocabulary, model, settings):
            sums += losses(window).sum(axis=(1, 2), dtype=np.float64)
            words += words_in(window)
    if not words:
        sizes = f"{settings.batch_size} x {settings.steps}"
        raise InputError(f"the held-out text does not fill one batch of {sizes} words")
    nats = sums / words
    if not np.all(nats < MOST_NATS):
        raise TrainingError(
            f"a word of the held-out text costs {nats.max():.4g} nats, beyond all hope; lower training.learning_rate"
        )
    return tuple(map(math.exp, nats))
