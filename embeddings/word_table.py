"""Distinct words by number, so that each is spelled and looked up once."""

from collections.abc import Iterable
from itertools import islice

import numpy as np

from embeddings.characters import SENTENCE_BEGIN, SENTENCE_END
from embeddings.errors import InputError
from embeddings.spelling import Spelling

MEMORY = 2**27
"""Bytes that words may take with what is kept for them. With ELMo's original size that is 47,000 words; to encode the
common ones anew once these are full costs about a hundredth of the time."""
WORD = 160
"""Bytes of a word in a dict, about."""
SPARE = 1.25
"""Arrays that grow are made so many times as long as they need to be."""


class WordTable:
    """Numbers words in the order in which they first appear and keeps their spelling.

    Row 0 is the begin of a sentence, row 1 its end. The table grows until `clear` is called, which the owner does
    when it has more than `capacity` rows.

    Args:
        spelling: of the biLM that reads the words.
        capacity: rows after which `full` is true.
        beside: bytes that the owner keeps for each row; without a capacity, `MEMORY` bounds it.

    Attributes:
        ids: int of shape `[len(table), spelling.width]`.
    """

    def __init__(self, spelling: Spelling, capacity: int = 0, beside: int = 0):
        self.spelling = spelling
        self.capacity = capacity or MEMORY // (WORD + int(SPARE * (2 * spelling.width + beside)))
        self.clear()

    def clear(self) -> None:
        self._row_of_word = _Numbering()
        self._ids = np.empty((0, self.spelling.width), np.int16)
        self.rows([SENTENCE_BEGIN, SENTENCE_END])

    def __len__(self) -> int:
        return len(self._row_of_word)

    @property
    def full(self) -> bool:
        return len(self) > self.capacity

    @property
    def ids(self) -> np.ndarray:
        return self._ids[: len(self)]

    def words(self, first: int = 0) -> list[str]:
        """The words of all rows from a first one on, in order."""
        return list(islice(reversed(self._row_of_word), len(self) - first))[::-1]

    def rows(self, words: Iterable[str]) -> np.ndarray:
        """Row numbers of words, int32 of shape `[words]`; unseen words are added.

        Raises:
            InputError: one of them is no string.
        """
        seen = len(self)
        try:
            return np.fromiter(map(self._row_of_word.__getitem__, words), np.int32)
        except TypeError as error:
            # Unhashable, so that the dict did not ask what it is.
            raise InputError(f"expected words, found something else among them ({error})") from None
        finally:
            if len(self) > seen:
                self._spell(seen)

    def framed_rows(self, words: Iterable[str]) -> np.ndarray:
        """Row numbers of a sentence between its two frame words, int32 of shape `[words + 2]`."""
        return np.concatenate([[0], self.rows(words), [1]]).astype(np.int32)

    def _spell(self, first: int) -> None:
        ids = self.spelling.ids(self.words(first))
        if len(self) > len(self._ids):
            grown = np.empty((max(1024, int(SPARE * len(self))), self.spelling.width), ids.dtype)
            grown[:first] = self._ids[:first]
            self._ids = grown
        self._ids[first : len(self)] = ids


class _Numbering(dict[str, int]):
    """Gives a key that is asked for the first time the next number."""

    def __missing__(self, key: str) -> int:
        if not isinstance(key, str):
            raise InputError(f"expected words, found {key!r} among them")
        self[key] = number = len(self)
        return number
