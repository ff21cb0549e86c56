"""Words as the characters that a biLM reads: UTF-8 bytes between boundary marks, as all published models do.

A byte has the id of its value, the marks have the ids 256 to 260, and every id is then shifted by one so that 0 is
left to mean "no word here" (bilm-tf, `UnicodeCharsVocabulary`).
"""

from collections.abc import Sequence

import numpy as np

SENTENCE_BEGIN, SENTENCE_END = "<S>", "</S>"
"""The two words that frame a sentence, as a vocabulary file spells them."""

_SENTENCE_BEGIN, _SENTENCE_END, _WORD_BEGIN, _WORD_END, _PADDING = 257, 258, 259, 260, 261
CHARACTERS = 262


def characters_of_words(words: Sequence[str], max_characters: int = 50) -> np.ndarray:
    """Character ids of words, int16 of shape `[words, max_characters]`.

    The words `<S>` and `</S>` stand for the frame of a sentence. A word of more than `max_characters - 2` bytes is
    cut, in the midst of a character if need be, as the published models were trained.

    >>> characters_of_words(["at"], max_characters=6)
    array([[259,  98, 117, 260, 261, 261]], dtype=int16)
    """
    ids = np.full((len(words), max_characters), _PADDING, np.int16)
    ids[:, 0] = _WORD_BEGIN
    for row, word in zip(ids, words, strict=True):
        if word == SENTENCE_BEGIN:
            row[1:3] = _SENTENCE_BEGIN, _WORD_END
        elif word == SENTENCE_END:
            row[1:3] = _SENTENCE_END, _WORD_END
        else:
            spelled = np.frombuffer(word.encode("utf-8", "ignore")[: max_characters - 2], np.uint8)
            row[1 : len(spelled) + 1] = spelled
            row[1 : len(spelled) + 1] += 1
            row[len(spelled) + 1] = _WORD_END
    return ids


def lengths_of(characters: np.ndarray) -> np.ndarray:
    """How many characters of each word are not padding, its two marks among them: int `[words]`."""
    return (characters != _PADDING).sum(axis=1)
