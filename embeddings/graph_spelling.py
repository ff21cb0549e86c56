"""How words become the numbers that a biLM reads, as operations of TensorFlow: `embeddings.spelling` inside a graph.

A graph knows words by their bytes. Where a biLM reads bytes, words are taken as TF-Hub's ELMo takes them: `<S>` is a
word of three characters, and what is no UTF-8 is read as it is. Where it reads by dictionaries, `<S>` is their entry.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable

import tensorflow as tf

from embeddings.characters import SENTENCE_BEGIN, SENTENCE_END
from embeddings.spelling import UNKNOWN, Bytes, Dictionaries, Spelling, Words


class GraphSpelling(ABC):
    """A spelling in a graph.

    Args:
        spelling: the one to follow.

    Attributes:
        frame: numbers of the words `<S>` and `</S>`, int32 `[2, width]`.
        tables: what the graph looks words up in; the object that is saved holds them.
    """

    def __init__(self, spelling: Spelling):
        self.width = spelling.width
        self.frame = spelling.ids([SENTENCE_BEGIN, SENTENCE_END]).astype("int32")
        self.tables: list[tf.lookup.StaticHashTable] = []

    @abstractmethod
    def ids(self, words):
        """Numbers of words.

        Args:
            words: strings `[words]`.

        Returns:
            int32 `[words, width]`.
        """

    def trim(self, ids):
        """The same words `[batch, time, width]` with the columns left out that cannot change what a biLM makes of
        them."""
        return ids

    def _table(self, entries: Iterable[str], unknown: str):
        """Looks up where an entry stands, counted from 1; an unknown one stands where `unknown` stands.
        An empty entry is that of no word."""
        numbers = {entry.encode("utf-8", "ignore"): number for number, entry in enumerate(entries, 1) if entry}
        rows = tf.lookup.KeyValueTensorInitializer(list(numbers), list(numbers.values()), tf.string, tf.int32)
        self.tables.append(tf.lookup.StaticHashTable(rows, numbers[unknown.encode()]))
        return self.tables[-1]


class GraphWords(GraphSpelling):
    """`Words` in a graph."""

    def __init__(self, spelling: Words):
        super().__init__(spelling)
        self._words = self._table(spelling.words, UNKNOWN)

    def ids(self, words):
        return self._words.lookup(words)[:, None]


class _Marked(GraphSpelling):
    """Characters between a begin and an end mark, then padding; before them `first` columns of another kind."""

    def __init__(self, spelling: Bytes | Dictionaries, first: int):
        super().__init__(spelling)
        self.first, self.most = first, spelling.width - first - 2
        self.widest_filter = spelling.widest_filter
        # An empty word is nothing but the marks.
        self.begin, self.end, self.padding = map(int, spelling.ids([""])[0, first : first + 3])

    def marked(self, characters, length):
        """Set the marks: int32 `[words, most]` of which `length` `[words]` count, to `[words, most + 2]`."""
        place, length = tf.range(self.most + 2)[None], length[:, None]
        inner = tf.where(place <= length, tf.pad(characters, [[0, 0], [1, 1]]), self.padding)
        return tf.where(place == 0, self.begin, tf.where(place == length + 1, self.end, inner))

    def trim(self, ids):
        # Windows of nothing but padding all give the same value and only their maximum counts. A word of zeros has
        # windows of one kind anyway.
        characters = ids[:, :, self.first :]
        used = tf.reduce_sum(tf.cast((characters != self.padding) & (characters != 0), tf.int32), axis=-1)
        longest = tf.maximum(tf.reduce_max(used), 1)
        return ids[:, :, : self.first + longest + self.widest_filter]


class GraphBytes(_Marked):
    """`Bytes` in a graph."""

    def __init__(self, spelling: Bytes):
        super().__init__(spelling, first=0)

    def ids(self, words):
        cut = tf.strings.substr(words, 0, self.most)
        characters = tf.io.decode_raw(cut, tf.uint8, fixed_length=self.most)
        return self.marked(tf.cast(characters, tf.int32) + 1, tf.strings.length(cut))


class GraphDictionaries(_Marked):
    """`Dictionaries` in a graph. What is no UTF-8 is read as U+FFFD."""

    def __init__(self, spelling: Dictionaries):
        super().__init__(spelling, first=1 if spelling.words else 0)
        self._characters = self._table(spelling.characters, "<oov>")
        self._words = self._table(spelling.words, "<oov>") if spelling.words else None

    def ids(self, words):
        words = tf.where(words == SENTENCE_BEGIN, "<bos>", tf.where(words == SENTENCE_END, "<eos>", words))
        framed = (words == "<bos>") | (words == "<eos>")
        characters = tf.strings.unicode_split(words, "UTF-8")[:, : self.most]
        # A frame is one character, and is not cut.
        length = tf.where(framed, 1, tf.cast(characters.row_lengths(), tf.int32))
        spelled = characters.to_tensor("", shape=[None, self.most])
        whole = tf.pad(words[:, None], [[0, 0], [0, self.most - 1]], constant_values="")
        ids = self.marked(self._characters.lookup(tf.where(framed[:, None], whole, spelled)), length)
        if self._words is None:
            return ids
        cut = tf.where(framed, words, tf.strings.reduce_join(characters, axis=-1))
        return tf.concat([self._words.lookup(cut)[:, None], ids], axis=-1)


def graph_spelling(spelling: Spelling) -> GraphSpelling:
    """A spelling as operations of TensorFlow."""
    if isinstance(spelling, Bytes):
        return GraphBytes(spelling)
    if isinstance(spelling, Words):
        return GraphWords(spelling)
    if isinstance(spelling, Dictionaries):
        return GraphDictionaries(spelling)
    raise TypeError(f"no graph for the spelling {type(spelling).__name__}")
