"""The words that a language model predicts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from embeddings.characters import SENTENCE_BEGIN, SENTENCE_END
from embeddings.errors import SourceError
from embeddings.spelling import UNKNOWN


class Vocabulary:
    """Words by number, in bilm-tf's order: `<S>`, `</S>`, `<UNK>`, then the most frequent first.

    Args:
        words: all words, the first three as above.
    """

    def __init__(self, words: Sequence[str]):
        self.words = list(words)
        self._number = {word: k for k, word in enumerate(self.words)}

    @classmethod
    def build(cls, sentences: Iterable[Sequence[str]], size: int, min_count: int = 1) -> "Vocabulary":
        """Count the words of sentences and keep the `size` most frequent that occur `min_count` times; ties go by the
        alphabet."""
        counts = Counter(word for sentence in sentences for word in sentence)
        frames = [SENTENCE_BEGIN, SENTENCE_END, UNKNOWN]
        for word in frames:
            counts.pop(word, None)
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return cls(frames + [word for word, count in ranked[: max(0, size - len(frames))] if count >= min_count])

    @classmethod
    def read(cls, path: Path) -> "Vocabulary":
        """Read `vocabulary.txt`, one word a line.

        Raises:
            SourceError: the file is missing or does not begin with the three special words.
        """
        try:
            words = path.read_text("utf-8").splitlines()
        except OSError as error:
            raise SourceError(f"{path}: cannot be read ({error.strerror})") from None
        if words[:3] != [SENTENCE_BEGIN, SENTENCE_END, UNKNOWN]:
            raise SourceError(f"{path}: begins with {words[:3]}; expected <S>, </S> and <UNK>, a word a line")
        return cls(words)

    def __len__(self) -> int:
        return len(self.words)

    def numbers(self, words: Iterable[str]) -> np.ndarray:
        """The number of each word, int32; that of `<UNK>` where it is not in the vocabulary."""
        unknown = self._number[UNKNOWN]
        return np.fromiter((self._number.get(word, unknown) for word in words), np.int32)
