"""Language models with random weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import keras

from embeddings.adaptive_softmax import AdaptiveSoftmax
from embeddings.bilm import BiLM
from embeddings.errors import ConfigError
from embeddings.language_model import LanguageModel
from embeddings.options import BiLMOptions
from embeddings.sampled_softmax import SampledSoftmax
from embeddings.settings import PretrainingSettings
from embeddings.softmax import Objective, Softmax
from embeddings.spelling import spelling_of
from embeddings.vocabulary import Vocabulary


def new_model(options: BiLMOptions, vocabulary: Vocabulary, settings: PretrainingSettings) -> LanguageModel:
    """A language model with random weights.

    Args:
        options: sizes of the biLM.
        vocabulary: the words to predict; and to read, if the biLM reads words by their numbers.
        settings: of its training.

    Raises:
        ConfigError: the settings do not fit the vocabulary.
    """
    keras.utils.set_random_seed(settings.seed)
    if options.inputs == "words":
        options = replace(options, words=len(vocabulary))
    spelling = spelling_of(options, vocabulary.words if options.inputs == "words" else ())
    with precision_of(settings):
        bilm = BiLM(options, spelling, _INITIALIZERS[settings.initializer](), settings.forget_bias)
        return LanguageModel(bilm, new_objective(settings, vocabulary, options), settings.batch_size, settings.dropout)


@contextmanager
def precision_of(settings: PretrainingSettings) -> Iterator[None]:
    """Layers that are built in this block compute in the precision of the settings."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if settings.precision == "bfloat16" else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


# bilm-tf's own: uniform within 0.1.
_INITIALIZERS = {
    "glorot_uniform": keras.initializers.GlorotUniform,
    "orthogonal": keras.initializers.Orthogonal,
    "uniform": lambda: keras.initializers.RandomUniform(-0.1, 0.1),
}


def new_objective(settings: PretrainingSettings, vocabulary: Vocabulary, options: BiLMOptions) -> Objective:
    """What the settings train to, with random weights.

    Raises:
        ConfigError: the settings do not fit the vocabulary.
    """
    sizes = len(vocabulary), options.projection
    try:
        if settings.objective == "sampled":
            return SampledSoftmax(*sizes, settings.samples)
        if settings.objective == "adaptive":
            return AdaptiveSoftmax(*sizes, settings.cutoffs, settings.div_value)
    except ValueError as error:
        # It begins with the name of the argument.
        raise ConfigError(f"training.{error}") from None
    return Softmax(*sizes)
