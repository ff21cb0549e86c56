from itertools import chain

import numpy as np
import pytest

from embeddings.streams import streams_of


@pytest.mark.parametrize("most", [1, 3, 40])
def test_every_word_is_read_once_and_in_order(random, most):
    lengths = random.integers(0, 30, 50)
    taken = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
    streams = streams_of(lengths, taken, most)
    assert sorted(streams.words) == sorted(streams.mirrored) == list(range(lengths.sum()))

    read = {False: {}, True: {}}
    for first, last in zip(streams.begins, streams.begins[1:], strict=False):
        assert 0 < last - first <= streams.rows <= most
        for row in range(last - first):
            for backwards, words in ((False, streams.words), (True, streams.mirrored)):
                of_row = read[backwards].setdefault(row, [])
                if streams.new[first + row] >= 0:
                    of_row.append([])
                of_row[-1].append(int(words[first + row]))
    ends = np.cumsum(lengths)
    expected = [list(range(end - n, end)) for n, end in zip(lengths, ends, strict=True) if n]
    assert sorted(chain.from_iterable(read[False].values())) == expected
    assert sorted(sentence[::-1] for sentence in chain.from_iterable(read[True].values())) == expected


def test_streams_are_about_equally_long(random):
    lengths = random.integers(1, 30, 500)
    streams = streams_of(lengths, np.argsort(-lengths), 16)
    # Longest first, each to the shortest, is at most a third longer than the best (Graham 1969).
    assert len(streams.begins) - 1 <= 4 / 3 * max(lengths.max(), lengths.sum() / 16)


@pytest.mark.parametrize("most", [1, 7, 10**6])
def test_pieces_are_all_steps(random, most):
    lengths = random.integers(1, 9, 20)
    streams = streams_of(lengths, np.argsort(-lengths), 4)
    pieces = list(streams.pieces(most))
    assert [first for first, _ in pieces] == [0, *(last for _, last in pieces[:-1])]
    assert pieces[-1][1] == len(streams.begins) - 1
    for first, last in pieces:
        assert streams.begins[last] - streams.begins[first] <= most or last == first + 1


def test_words_are_passed_over_where_a_sentence_begins(random):
    lengths = random.integers(0, 9, 20)
    taken = np.flatnonzero(lengths > 2)
    streams = streams_of(lengths, taken, 4, skip=2)
    ends = np.cumsum(lengths)
    words = [(k, word) for k in taken for word in range(ends[k] - lengths[k], ends[k])]
    assert sorted(streams.words) == sorted(w for k, w in words if w >= ends[k] - lengths[k] + 2)
    assert sorted(streams.mirrored) == sorted(w for k, w in words if w < ends[k] - 2)
    new = streams.new >= 0
    np.testing.assert_array_equal(streams.words[new], (ends - lengths + 2)[streams.new[new]])
    np.testing.assert_array_equal(streams.mirrored[new], (ends - 3)[streams.new[new]])
