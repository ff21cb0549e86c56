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
        fresh: bool `[words]`, whether a word is the first that is read of its sentence.
        begins: int `[steps + 1]`, where each step begins in them.
    """

    words: np.ndarray
    mirrored: np.ndarray
    fresh: np.ndarray
    begins: np.ndarray

    @property
    def rows(self) -> int:
        """Streams at most at a step."""
        return int(self.begins[1])

    def pieces(self, most: int) -> Iterator[tuple[int, int]]:
        """First and last step of pieces of at most so many words, or of one step."""
        first = 0
        while first < len(self.begins) - 1:
            last = int(np.searchsorted(self.begins, self.begins[first] + most, side="right")) - 1
            yield first, max(first + 1, last)
            first = max(first + 1, last)


def streams_of(lengths: np.ndarray, sentences: np.ndarray, most: int) -> Streams:
    """Sentences in streams of about the same length: each goes to the stream that is shortest (Graham 1969, "Bounds on
    multiprocessing timing anomalies").

    Args:
        lengths: int `[all sentences]`, words of each, at least one of those that are taken; the words are numbered
            through.
        sentences: int, the numbers of those that are taken, the longest first.
        most: streams.
    """
    begins, lengths = (np.cumsum(lengths) - lengths)[sentences], lengths[sentences]
    loads = [(0, stream) for stream in range(min(most, len(sentences)))]
    begin, stream_of = np.empty((2, len(sentences)), np.int64)
    for k, length in enumerate(lengths.tolist()):
        load, stream = loads[0]
        begin[k], stream_of[k] = load, stream
        heapq.heapreplace(loads, (load + length, stream))
    rank = np.empty(len(loads), np.int64)
    rank[[stream for _, stream in sorted(loads, reverse=True)]] = range(len(loads))

    # Of each word, sentence by sentence: its place in the sentence and the step that reads it.
    inside = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    step = np.repeat(begin, lengths) + inside
    order = np.argsort(step * len(loads) + np.repeat(rank[stream_of], lengths))
    first, last = np.repeat(begins, lengths), np.repeat(begins + lengths - 1, lengths)
    return Streams(
        (first + inside)[order],
        (last - inside)[order],
        inside[order] == 0,
        np.concatenate([[0], np.cumsum(np.bincount(step))]),
    )
