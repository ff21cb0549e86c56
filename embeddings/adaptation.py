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
from embeddings.stored_softmax import StoredSoftmax, softmax_of
from embeddings.vocabulary import Vocabulary
from embeddings.weights import SOFTMAX, Arrays, fill


def continued(
    stored: StoredBiLM, vocabulary: Vocabulary, settings: PretrainingSettings
) -> tuple[LanguageModel, str | None]:
    """A language model with the weights of a published biLM (Peters et al. 2018, section 4, fine tune their biLM on a
    task's text in this way).

    Args:
        stored: the biLM. If it brings a softmax and the words of it, each word of the vocabulary that it knows has its
            row in a full softmax; an adaptive one goes on if the words and the clusters stay the same. Otherwise the
            softmax begins anew.
        vocabulary: the words to predict.
        settings: of the training.

    Returns:
        The language model, and what the biLM lacks that its softmax begins anew; None if it goes on.

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
    return model, _load_softmax(model.objective, arrays, stored.vocabulary, vocabulary)


def _load_softmax(objective: Objective, arrays: Arrays, known: tuple[str, ...], vocabulary: Vocabulary) -> str | None:
    """Give an objective the softmax that is among a biLM's arrays, or say what it lacks."""
    softmax = softmax_of(arrays)
    if not softmax:
        return "brings no softmax"
    if len(known) != softmax.words:
        found = f"a vocabulary of {len(known):,}" if known else "no vocabulary"
        return f"brings a softmax of {softmax.words:,} words, but {found}"
    if UNKNOWN not in known:
        return f"brings a softmax without {UNKNOWN}"
    if isinstance(objective, Softmax):
        objective.load(softmax_rows(softmax, known, vocabulary))
    elif list(known) == vocabulary.words and _fit(arrays, objective):
        objective.load(arrays)
    else:
        return "brings no adaptive softmax with these words and cutoffs"
    return None


def _fit(arrays: Arrays, objective: Objective) -> bool:
    variables = objective.variables_by_name()
    return all(key in arrays and arrays[key].shape == x.shape for key, x in variables.items())


def softmax_rows(softmax: StoredSoftmax, known: tuple[str, ...], vocabulary: Vocabulary) -> Arrays:
    """A softmax over other words. A word that was not among the known ones gets the row of `<UNK>`, whose probability
    they share. The rows of an adaptive softmax are approximate.

    Args:
        softmax: of a biLM, full or adaptive.
        known: its words, `<UNK>` among them.
        vocabulary: the words of the new one.

    Returns:
        The full softmax by its names.
    """
    place = {word: k for k, word in enumerate(known)}
    rows = np.array([place.get(word, place[UNKNOWN]) for word in vocabulary.words])
    new = np.array([word not in place for word in vocabulary.words])
    kernel, bias = softmax.rows(rows)
    bias[rows == place[UNKNOWN]] -= np.log(1 + new.sum(), dtype=bias.dtype)
    return dict(zip(SOFTMAX, (kernel, bias), strict=True))
