"""The order in which sentences are read side by side, so that no step has padding."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Streams:
    """Sentences in streams, each sentence behind another. At each step every stream that is not at its end reads one
    word; the longest streams stand first, so that the streams of a step are the first ones.

    Args:
        words: int `[words]`, the words that are read, step after step, by number.
        mirrored: int `[words]`, the same where each sentence is read from its end.
        new: int `[words]`, the sentence of which a word is the first that is read, or -1 for one that goes on.
        begins: int `[steps + 1]`, where each step begins in them.
    """

    words: np.ndarray
    mirrored: np.ndarray
    new: np.ndarray
    begins: np.ndarray

    @property
    def rows(self) -> int:
        """Streams at most at a step."""
        return int(self.begins[1])

    def pieces(self, most: int) -> Iterator[tuple[int, int]]:
        """First and last step of pieces of at most so many words, or of one step."""
        first = 0
        while first < len(self.begins) - 1:
            last = max(first + 1, int(np.searchsorted(self.begins, self.begins[first] + most, side="right")) - 1)
            yield first, last
            first = last


def streams_of(lengths: np.ndarray, sentences: np.ndarray, most: int, skip: int = 0) -> Streams:
    """Sentences in streams of about the same length: each goes to the stream that is shortest (Graham 1969, "Bounds on
    multiprocessing timing anomalies").

    Args:
        lengths: int `[all sentences]`, words of each; the words are numbered through.
        sentences: int, the numbers of those that are taken, the longest first.
        most: streams.
        skip: words that are passed over at the begin of each sentence, or where it is read from its end, there; all
            that are taken have more.
    """
    begins, ends = (np.cumsum(lengths) - lengths + skip)[sentences], (np.cumsum(lengths) - 1 - skip)[sentences]
    lengths = lengths[sentences] - skip
    loads = [(0, stream) for stream in range(min(most, len(sentences)))]
    begin, stream_of = np.empty((2, len(sentences)), np.int64)
    for k, length in enumerate(lengths.tolist()):
        load, stream = loads[0]
        begin[k], stream_of[k] = load, stream
        heapq.heapreplace(loads, (load + length, stream))
    rank = np.empty(len(loads), np.int64)
    rank[[stream for _, stream in sorted(loads, key=lambda one: (-one[0], one[1]))]] = range(len(loads))

    # Of each word, sentence by sentence: its place in the sentence and the step that reads it.
    inside = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    step = np.repeat(begin, lengths) + inside
    order = np.argsort(step * len(loads) + np.repeat(rank[stream_of], lengths))
    return Streams(
        (np.repeat(begins, lengths) + inside)[order],
        (np.repeat(ends, lengths) - inside)[order],
        np.where(inside == 0, np.repeat(sentences, lengths), -1)[order],
        np.concatenate([[0], np.cumsum(np.bincount(step))]),
    )
