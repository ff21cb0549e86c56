"""A biLM goes on with other words than it was trained on."""

import numpy as np

from embeddings.adaptation import softmax_rows
from embeddings.stored_softmax import StoredFullSoftmax, log_softmax
from embeddings.vocabulary import Vocabulary


def test_known_words_keep_their_probability_and_new_ones_share_that_of_the_unknown(random):
    known = ("<S>", "</S>", "<UNK>", "a", "b", "c")
    before = StoredFullSoftmax(random.normal(size=(6, 3)).astype("f4"), random.normal(size=6).astype("f4"))
    vocabulary = Vocabulary(["<S>", "</S>", "<UNK>", "c", "new", "a", "newer", "b"])
    kernel, bias = softmax_rows(before, known, vocabulary).values()
    hidden = random.normal(size=(2, 3))
    found, expected = np.exp(log_softmax(hidden @ kernel.T + bias)), np.exp(before.log_probabilities(hidden))
    np.testing.assert_allclose(found[:, [0, 1, 5, 7, 3]], expected[:, [0, 1, 3, 4, 5]], rtol=1e-5)
    np.testing.assert_allclose(found[:, [2, 4, 6]], np.repeat(expected[:, [2]] / 3, 3, axis=1), rtol=1e-5)
