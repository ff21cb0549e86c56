"""How words become the numbers that a biLM reads: one row of integers a word, 0 left to mean "no word here"."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from embeddings.characters import SENTENCE_BEGIN, SENTENCE_END, characters_of_words, lengths_of
from embeddings.options import BiLMOptions

UNKNOWN = "<UNK>"


class Spelling(ABC):
    """Turns words into rows of numbers.

    Attributes:
        width: numbers of a word.
        widest_filter: of the character convolutions; 0 where there are none.
        words, characters: of its dictionaries, in the order of their numbers; empty where it has none.
    """

    width: int
    widest_filter: int = 0
    words: Sequence[str] = ()
    characters: Sequence[str] = ()

    @abstractmethod
    def ids(self, words: Sequence[str]) -> np.ndarray:
        """Numbers of words, `[words, width]`; `<S>` and `</S>` stand for the frame of a sentence."""

    def lengths(self, ids: np.ndarray) -> np.ndarray:
        """How many numbers of each word are not padding, int `[words]`."""
        return np.full(len(ids), self.width)

    def trim(self, ids: np.ndarray) -> np.ndarray:
        """The same words with the columns left out that cannot change what a biLM makes of them.

        Windows of nothing but padding all give a convolution the same value and only their maximum counts, so that as
        many columns of padding as the widest filter covers are enough. On English text this halves the work.
        """
        return ids[:, : int(self.lengths(ids).max(initial=1)) + self.widest_filter]


class Bytes(Spelling):
    """UTF-8 bytes between boundary marks, as all biLMs of bilm-tf, AllenNLP and TF-Hub read them.

    Args:
        max_characters: of a word, its two marks included.
        widest_filter: of the character convolutions.
    """

    def __init__(self, max_characters: int, widest_filter: int):
        self.width, self.widest_filter = max_characters, widest_filter

    def ids(self, words: Sequence[str]) -> np.ndarray:
        return characters_of_words(words, self.width)

    def lengths(self, ids: np.ndarray) -> np.ndarray:
        return lengths_of(ids)


class Words(Spelling):
    """A word's number in a vocabulary; words outside it are `<UNK>` (bilm-tf, `TokenBatcher`).

    Args:
        vocabulary: words in the order of the embedding's rows.
    """

    width = 1

    def __init__(self, vocabulary: Sequence[str]):
        self.words = list(vocabulary)
        self._id = {word: k for k, word in enumerate(vocabulary, 1)}
        self._unknown = self._id[UNKNOWN]

    def ids(self, words: Sequence[str]) -> np.ndarray:
        return np.fromiter((self._id.get(word, self._unknown) for word in words), np.int32, len(words))[:, None]


class Dictionaries(Spelling):
    """The characters of a word, and if there is a dictionary of words first the word's number in it, as
    ELMoForManyLangs reads them (Che et al. 2018).

    Args:
        characters: of the character dictionary in the order of their numbers, among them `<bos>`, `<eos>`, `<bow>`,
            `<eow>`, `<oov>` and `<pad>`. A number with an empty entry is that of no character.
        words: likewise, among them `<oov>`; or nothing.
        max_characters: of a word, its two marks included; what is longer is cut, before it is looked up too.
        widest_filter: of the character convolutions.
    """

    def __init__(self, characters: Sequence[str], words: Sequence[str], max_characters: int, widest_filter: int):
        self.max_characters, self.widest_filter = max_characters, widest_filter
        self.characters, self.words = list(characters), list(words)
        self._character = _numbers(characters)
        self._word = _numbers(words)
        self._first = 1 if words else 0
        self.width = self._first + max_characters
        # The reference's begin and end marks are swapped, and its models were trained so.
        self._begin, self._end = self._character["<eow>"], self._character["<bow>"]
        self._frame = {SENTENCE_BEGIN: "<bos>", SENTENCE_END: "<eos>"}

    def ids(self, words: Sequence[str]) -> np.ndarray:
        ids = np.full((len(words), self.width), self._character["<pad>"], np.int32)
        character, unknown, most = self._character.get, self._character["<oov>"], self.max_characters - 2
        first = self._first
        for row, word in zip(ids, words, strict=True):
            cut = self._frame.get(word, word)
            if cut in ("<bos>", "<eos>"):
                inner = [self._character[cut]]
            else:
                cut = cut[:most]
                inner = [character(part, unknown) for part in cut]
            if first:
                row[0] = self._word.get(cut, self._word["<oov>"])
            row[first : first + len(inner) + 2] = [self._begin, *inner, self._end]
        return ids

    def lengths(self, ids: np.ndarray) -> np.ndarray:
        return self._first + (ids[:, self._first :] != self._character["<pad>"]).sum(axis=1)


def _numbers(entries: Sequence[str]) -> dict[str, int]:
    return {entry: number for number, entry in enumerate(entries, 1) if entry}


def spelling_of(options: BiLMOptions, words: Sequence[str] = (), characters: Sequence[str] = ()) -> Spelling:
    """The spelling that a biLM of these options needs.

    Args:
        options: of the biLM.
        words, characters: its dictionaries, in the order of their numbers.

    Raises:
        ValueError: a dictionary is missing, or lacks an entry.
    """
    if options.inputs == "characters":
        return Bytes(options.max_characters, options.widest_filter)
    if len(words) != options.words:
        raise ValueError(f"the biLM reads {options.words} words by their number, found a vocabulary of {len(words)}")
    if options.inputs == "words":
        _expect(words, UNKNOWN)
        return Words(words)
    if len(characters) != options.characters:
        raise ValueError(f"the biLM reads {options.characters} characters, found a dictionary of {len(characters)}")
    _expect(characters, "<oov>", "<pad>", "<bow>", "<eow>", "<bos>", "<eos>")
    if words:
        _expect(words, "<oov>")
    return Dictionaries(characters, words, options.max_characters, options.widest_filter)


def _expect(dictionary: Sequence[str], *entries: str) -> None:
    missing = [entry for entry in entries if entry not in dictionary]
    if missing:
        raise ValueError(f"no entry {', '.join(missing)} in the dictionary")
