"""The words that a language model predicts."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from embeddings.characters import SENTENCE_BEGIN, SENTENCE_END
from embeddings.errors import SourceError
from embeddings.spelling import UNKNOWN

_COUNT = re.compile("[0-9]{1,18}")
FRAMES = [SENTENCE_BEGIN, SENTENCE_END, UNKNOWN]
COUNTS = ".counts.txt"
"""In place of `.txt`: the file of the counts beside that of the words. No reader takes it for a vocabulary."""


class Vocabulary:
    """Words by number, in bilm-tf's order: `<S>`, `</S>`, `<UNK>`, then the most frequent first.

    Args:
        words: all words, the first three as above.
        counts: how often each occurred in the text that the vocabulary was made of, or None where nobody knows.

    Attributes:
        counts: int64 `[words]`, or None. The two frame words count as often as there were sentences, and `<UNK>` as
            often as any word occurred that is not in the vocabulary, so that they sum to all words to be predicted.
    """

    def __init__(self, words: Sequence[str], counts: Sequence[int] | np.ndarray | None = None):
        self.words = list(words)
        self.counts = None if counts is None else np.asarray(counts, np.int64)
        if self.counts is not None and len(self.counts) != len(self.words):
            raise ValueError(f"{len(self.counts)} counts; expected one for each of the {len(self.words)} words")
        self._number = {word: k for k, word in enumerate(self.words)}

    @classmethod
    def build(
        cls, sentences: Iterable[Sequence[str]], size: int, min_count: int = 1, most_counted: int = 4_000_000
    ) -> "Vocabulary":
        """Count the words of sentences and keep the `size` most frequent that occur `min_count` times; ties go by the
        alphabet.

        The memory is bounded, at about 150 bytes for each of `most_counted` words: where there are more distinct ones,
        the rarest are forgotten until half of the room is free again. What a word may have lost so far is kept beside
        its count (Manku and Motwani 2002, "Approximate frequency counts over data streams", section 4.2), so that each
        count is too low by less than 2 n / `most_counted`, where n is the length of the text, and no word is lost
        that occurs more often than that.

        Args:
            sentences: lists of words.
            size: words of the vocabulary, the three special ones included.
            min_count: how often a word must occur.
            most_counted: distinct words held while counting.
        """
        counts: Counter[str] = Counter()
        lost: dict[str, int] = {}
        read = words = forgotten = 0
        for sentence in sentences:
            counts.update(sentence)
            read += 1
            words += len(sentence)
            if len(counts) > most_counted:
                # Words that came since the last time may have been forgotten until then.
                lost = {word: lost.get(word, forgotten) for word in counts}
                while len(counts) > most_counted / 2:
                    forgotten += 1
                    counts = Counter({word: count for word, count in counts.items() if count + lost[word] > forgotten})
                lost = {word: lost[word] for word in counts}
        # Words of the text that are written as the special ones are taken for them.
        begins, ends, _ = (counts.pop(word, 0) for word in FRAMES)
        ranked = sorted(
            ((word, n) for word, n in counts.items() if n >= min_count), key=lambda item: (-item[1], item[0])
        )
        kept = ranked[: max(0, size - len(FRAMES))]
        known = [count for _, count in kept]
        special = [read + begins, read + ends, words - begins - ends - sum(known)]
        return cls(FRAMES + [word for word, _ in kept], special + known)

    @classmethod
    def count(cls, words: Sequence[str], sentences: Iterable[Sequence[str]]) -> "Vocabulary":
        """The vocabulary of these words, with their counts in sentences."""
        vocabulary = cls(words)
        counts = np.zeros(len(vocabulary), np.int64)
        for sentence in sentences:
            np.add.at(counts, vocabulary.numbers([SENTENCE_BEGIN, *sentence, SENTENCE_END]), 1)
        return cls(words, counts)

    @classmethod
    def read(cls, path: Path) -> "Vocabulary":
        """Read `vocabulary.txt`, one word a line, and the counts beside it if they are there.

        Raises:
            SourceError: the file is missing or does not begin with the three special words, or the counts are not as
                many whole numbers.
        """
        words = _lines(path)
        if words[:3] != FRAMES:
            raise SourceError(f"{path}: begins with {words[:3]}; expected <S>, </S> and <UNK>, a word a line")
        beside = path.with_suffix(COUNTS)
        return cls(words, parse_counts(_lines(beside), len(words), str(beside)) if beside.exists() else None)

    def write(self, path: Path) -> None:
        """Write `vocabulary.txt`, one word a line, and the counts, if there are any, beside it in a file of their own,
        a number a line: readers of the published form know nothing of counts."""
        path.write_text("".join(f"{word}\n" for word in self.words), "utf-8")
        self.write_counts(path)

    def write_counts(self, path: Path) -> None:
        """Write only the counts, beside a `vocabulary.txt` at `path`; nothing where there are none."""
        if self.counts is not None:
            path.with_suffix(COUNTS).write_text("".join(f"{count}\n" for count in self.counts.tolist()), "utf-8")

    def __len__(self) -> int:
        return len(self.words)

    def numbers(self, words: Iterable[str]) -> np.ndarray:
        """The number of each word, int32; that of `<UNK>` where it is not in the vocabulary."""
        unknown = self._number[UNKNOWN]
        return np.fromiter((self._number.get(word, unknown) for word in words), np.int32)


def parse_counts(lines: Sequence[str], words: int, where: str) -> np.ndarray:
    """The counts of a vocabulary of so many words, a number a line; int64 `[words]`.

    Raises:
        SourceError: they are not as many whole numbers.
    """
    wrong = next((k for k, line in enumerate(lines) if not _COUNT.fullmatch(line)), None)
    if wrong is not None:
        raise SourceError(f"{where} line {wrong + 1}: found '{lines[wrong][:50]}'; expected a count")
    if len(lines) != words:
        raise SourceError(f"{where}: {len(lines)} counts; expected one for each of the {words} words")
    return np.array([int(line) for line in lines], np.int64)


def split_lines(text: str) -> list[str]:
    """The lines of a file; not `splitlines`, which takes some characters of words for ends of lines."""
    return text.removesuffix("\n").split("\n")


def _lines(path: Path) -> list[str]:
    try:
        return split_lines(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: byte {error.start + 1} is not UTF-8; expected a word a line") from None
