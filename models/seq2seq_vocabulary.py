"""What a translating model reads and writes, as numbers."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from models.features import Feature, Features
from models.options import CharacterInput, WordInput

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
        return cls(MARKS + _frequent(targets, min_count))

    def numbers(self, words: Iterable[str]) -> list[int]:
        """The numbers of words, and the end."""
        return [*(self._number.get(word, UNKNOWN) for word in words), END]

    def words(self, numbers: Iterable[int]) -> list[str]:
        """The words before the end."""
        numbers = list(numbers)
        return [self.tokens[k] for k in numbers[: numbers.index(END)]]


def source_features(
    inputs: Sequence[WordInput | CharacterInput], sentences: Sequence[Sequence[str]], min_count: int = 1
) -> Features:
    """A vocabulary for each input: the words of sentences, or the characters of those, that occur `min_count`
    times."""
    entries = {
        "words": lambda: _frequent(sentences, min_count),
        "characters": lambda: _frequent((word for words in sentences for word in words), min_count),
    }
    return Features({part.name: Feature(entries[part.kind]()) for part in inputs})


def padded(rows: Sequence[Sequence[int]]) -> np.ndarray:
    """Rows of numbers side by side, int32 `[rows, longest]`."""
    together = np.full((len(rows), max(map(len, rows))), PADDING, np.int32)
    for k, row in enumerate(rows):
        together[k, : len(row)] = row
    return together


def _frequent(texts: Iterable[Iterable[str]], min_count: int) -> list[str]:
    counts = Counter(token for text in texts for token in text)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [token for token, count in ranked if count >= min_count]
