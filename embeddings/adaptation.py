"""A published biLM, to be trained further on other text."""

import keras
import numpy as np

from embeddings.bilm import BiLM
from embeddings.language_model import LanguageModel
from embeddings.new_model import new_objective, precision_of
from embeddings.settings import PretrainingSettings
from embeddings.softmax import Objective, Softmax
from embeddings.spelling import UNKNOWN
from embeddings.stored import StoredBiLM
from embeddings.stored_softmax import softmax_of
from embeddings.vocabulary import Vocabulary
from embeddings.weights import SOFTMAX, Arrays, fill


def continued(stored: StoredBiLM, vocabulary: Vocabulary, settings: PretrainingSettings) -> LanguageModel:
    """A language model with the weights of a published biLM (Peters et al. 2018, section 4, fine tune their biLM on a
    task's text in this way).

    Args:
        stored: the biLM. If it brings a softmax and the words of it, each word of the vocabulary that it knows has its
            row in a full softmax; an adaptive one goes on if the words and the clusters stay the same. Otherwise the
            softmax begins anew.
        vocabulary: the words to predict.
        settings: of the training.

    Raises:
        SourceError: the biLM cannot be read.
        ConfigError: the settings do not fit the vocabulary.
    """
    keras.utils.set_random_seed(settings.seed)
    arrays = stored.arrays()
    with precision_of(settings):
        bilm = BiLM(stored.options, stored.spelling)
        objective = new_objective(settings, vocabulary, bilm.options)
        model = LanguageModel(bilm, objective, settings.batch_size, settings.dropout)
    fill(bilm, arrays)
    if isinstance(model.objective, Softmax):
        rows = softmax_rows(arrays, stored.vocabulary, vocabulary)
    else:
        rows = arrays if list(stored.vocabulary) == vocabulary.words and _fit(arrays, model.objective) else None
    if rows:
        model.objective.load(rows)
    return model


def _fit(arrays: Arrays, objective: Objective) -> bool:
    variables = objective.variables_by_name()
    return all(key in arrays and arrays[key].shape == x.shape for key, x in variables.items())


def softmax_rows(arrays: Arrays, known: tuple[str, ...], vocabulary: Vocabulary) -> Arrays | None:
    """A softmax over other words. A word that was not among the known ones gets the row of `<UNK>`, whose probability
    they share. The rows of an adaptive softmax are approximate.

    Args:
        arrays: a biLM's, perhaps with a softmax, full or adaptive.
        known: the words of that softmax.
        vocabulary: the words of the new one.

    Returns:
        The full softmax by its names, or None where the arrays have none or its words are not known.
    """
    softmax = softmax_of(arrays)
    if not softmax or len(known) != softmax.words or UNKNOWN not in known:
        return None
    place = {word: k for k, word in enumerate(known)}
    rows = np.array([place.get(word, place[UNKNOWN]) for word in vocabulary.words])
    new = np.array([word not in place for word in vocabulary.words])
    kernel, bias = softmax.rows(rows)
    bias[rows == place[UNKNOWN]] -= np.log(1 + new.sum(), dtype=bias.dtype)
    return dict(zip(SOFTMAX, (kernel, bias), strict=True))
