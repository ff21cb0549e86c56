import numpy as np
import pytest
from reference.numpy_bilm import character_ids

from embeddings.characters import characters_of_words
from embeddings.spelling import Bytes
from embeddings.word_table import WordTable

WORDS = ["a", "Привет", "😀", "x" * 80, "", "<S>", "</S>", "é" * 30]


@pytest.mark.parametrize("max_characters", [10, 50])
def test_a_word_is_its_bytes_between_marks(max_characters):
    expected = [character_ids(word, max_characters) for word in WORDS]
    assert characters_of_words(WORDS, max_characters).tolist() == expected


def test_a_lone_surrogate_is_left_out_as_the_reference_does():
    assert characters_of_words(["a\udc80b"]).tolist() == characters_of_words(["ab"]).tolist()


def test_trimming_keeps_every_distinct_window():
    characters = characters_of_words(["at", "the", "longer"])
    trimmed = Bytes(50, 3).trim(characters)
    assert trimmed.shape[1] == len("longer") + 2 + 3

    def windows(rows):
        return [{tuple(row[k : k + 3]) for k in range(len(row) - 2)} for row in rows.tolist()]

    assert windows(trimmed) == windows(characters)


def test_words_are_numbered_once_in_the_order_of_appearance():
    table = WordTable(Bytes(12, 3))
    assert table.framed_rows(["b", "a", "b"]).tolist() == [0, 2, 3, 2, 1]
    assert table.words() == ["<S>", "</S>", "b", "a"]
    many = [f"w{k}" for k in range(3000)]
    assert table.rows(many).tolist() == list(range(4, 3004))
    np.testing.assert_array_equal(table.ids, characters_of_words(["<S>", "</S>", "b", "a", *many], 12))


def test_a_cleared_table_begins_again():
    table = WordTable(Bytes(12, 3), capacity=3)
    table.rows(["a", "b"])
    assert table.full
    table.clear()
    assert not table.full and table.rows(["b"]).tolist() == [2]
