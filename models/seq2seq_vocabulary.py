"""What a translating model writes, as numbers."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

PADDING, UNKNOWN, BEGIN, END = range(4)
MARKS = ["<pad>", "<unk>", "<s>", "</s>"]


class TargetVocabulary:
    """The words of translations by number: padding, the unknown, the begin and the end, then the most frequent first.

    Args:
        tokens: all of them, the four marks first.

    Example:
        >>> vocabulary = TargetVocabulary.build([["a", "b", "a"]])
        >>> vocabulary.numbers(["a", "b", "c"]), vocabulary.words([4, 5, 3])
        ([4, 5, 1, 3], ['a', 'b'])
    """

    def __init__(self, tokens: Sequence[str]):
        self.tokens = list(tokens)
        self._number = {token: k for k, token in enumerate(self.tokens) if k >= len(MARKS)}

    @classmethod
    def build(cls, targets: Iterable[Sequence[str]], min_count: int = 1) -> "TargetVocabulary":
        """The words of translations that occur `min_count` times."""
        counts = Counter(word for target in targets for word in target)
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return cls(MARKS + [word for word, count in ranked if count >= min_count])

    def numbers(self, words: Iterable[str]) -> list[int]:
        """The numbers of words, and the end."""
        return [*(self._number.get(word, UNKNOWN) for word in words), END]

    def words(self, numbers: Iterable[int]) -> list[str]:
        """The words before the end."""
        numbers = list(numbers)
        return [self.tokens[k] for k in numbers[: numbers.index(END)]]


def padded(rows: Sequence[Sequence[int]]) -> np.ndarray:
    """Rows of numbers side by side, int32 `[rows, longest]`."""
    together = np.full((len(rows), max(map(len, rows))), PADDING, np.int32)
    for k, row in enumerate(rows):
        together[k, : len(row)] = row
    return together
