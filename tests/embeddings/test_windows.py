import itertools
import json

import numpy as np
import pytest

from embeddings.characters import characters_of_words
from embeddings.spelling import Bytes
from embeddings.vocabulary import Vocabulary
from embeddings.windows import Windows

SENTENCES = [[f"w{k}{j}" for j in range(1 + (3 * k) % 7)] for k in range(40)]
VOCABULARY = Vocabulary.build(SENTENCES[:30], size=60)


def streams(batch_size, steps):
    """Both streams of each row, put together again from the windows: the words read, and the words to predict."""
    spelled = {
        tuple(row): word
        for word in ["<S>", "</S>", *itertools.chain(*SENTENCES)]
        for row in characters_of_words([word]).tolist()
    }
    rows = [{name: [] for name in ("forward", "backward", "forward_next", "backward_next")} for _ in range(batch_size)]
    for window in Windows(SENTENCES, VOCABULARY, batch_size, steps, Bytes(50, 3)):
        full = np.pad(window["words"], ((0, 0), (0, 50 - window["words"].shape[1])), constant_values=261)
        words = [spelled[tuple(row)] for row in full.tolist()]
        for k, row in enumerate(rows):
            row["forward"] += [words[i] for i in window["forward"][k]]
            row["backward"] += [words[i] for i in window["backward"][k][::-1]]
            row["forward_next"] += [VOCABULARY.words[i] for i in window["forward_next"][k]]
            row["backward_next"] += [VOCABULARY.words[i] for i in window["backward_next"][k][::-1]]
    return rows


def test_one_row_reads_the_whole_text_in_both_directions():
    (row,) = streams(batch_size=1, steps=5)
    forward = [word for sentence in SENTENCES for word in ["<S>", *sentence, "</S>"]]
    backward = [word for sentence in SENTENCES for word in ["</S>", *sentence[::-1], "<S>"]]
    known = set(VOCABULARY.words)
    for got, want in ((row["forward"], forward), (row["backward"], backward)):
        assert got == want[: len(got)]
        assert len(want) - len(got) <= 5 + max(map(len, SENTENCES)) + 2
    for direction, text in (("forward", forward), ("backward", backward)):
        following = [word if word in known else "<UNK>" for word in text[1:]]
        assert row[f"{direction}_next"] == following[: len(row[direction])]


def test_rows_share_the_sentences_without_losing_or_repeating_one():
    rows = streams(batch_size=3, steps=4)
    begun = [word for row in rows for word in row["forward"] if word.endswith("0") and word.startswith("w")]
    firsts = [sentence[0] for sentence in SENTENCES]
    assert len(begun) == len(set(begun)) and set(begun) <= set(firsts)
    assert len(begun) > len(firsts) - 8


def test_a_full_table_of_words_does_not_change_the_windows(monkeypatch):
    expected = streams(batch_size=2, steps=5)
    monkeypatch.setattr("embeddings.word_table.WordTable.full", True)
    assert streams(batch_size=2, steps=5) == expected


def test_the_characters_are_trimmed():
    window = next(Windows(SENTENCES, VOCABULARY, 2, 5, Bytes(50, 3)))
    np.testing.assert_array_equal(window["words"], Bytes(50, 3).trim(window["words"]))
    assert window["words"].shape[1] < 15


def test_reading_resumes_to_the_same_batches(monkeypatch):
    """The state goes through JSON; the caller hands over the sentences that have not been read."""
    for full in (False, True):
        monkeypatch.setattr("embeddings.word_table.WordTable.full", full)
        supply = iter(SENTENCES)
        expected = list(Windows(SENTENCES, VOCABULARY, 3, 4, Bytes(50, 3)))
        whole = Windows(supply, VOCABULARY, 3, 4, Bytes(50, 3))
        for k in range(len(expected) + 1):
            state, rest = json.loads(json.dumps(whole.state())), list(supply)
            resumed = Windows(rest, VOCABULARY, 3, 4, Bytes(50, 3))
            resumed.restore(state)
            for got, want in zip(resumed, expected[k:], strict=True):
                for name in want:
                    np.testing.assert_array_equal(got[name], want[name])
            supply = iter(rest)
            whole = Windows(supply, VOCABULARY, 3, 4, Bytes(50, 3))
            whole.restore(state)
            next(whole, None)


def test_a_state_that_does_not_fit_is_refused():
    state = Windows(SENTENCES, VOCABULARY, 3, 4, Bytes(50, 3)).state()
    with pytest.raises(ValueError, match="one of 3 streams; expected 2"):
        Windows(SENTENCES, VOCABULARY, 2, 4, Bytes(50, 3)).restore(state)
    with pytest.raises(ValueError, match="cannot be resumed"):
        Windows(SENTENCES, VOCABULARY, 3, 4, Bytes(50, 3)).restore(state | {"sentences": {"epoch": 0}})
