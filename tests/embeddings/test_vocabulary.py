from collections import Counter

import numpy as np
import pytest

from embeddings.errors import SourceError
from embeddings.published import write_published
from embeddings.source import find_source
from embeddings.vocabulary import Vocabulary
from embeddings.weights import weight_shapes

SENTENCES = [["b", "a", "b"], ["c", "a", "<S>"], ["d"]]


def test_a_vocabulary_is_ranked_by_count_and_then_by_the_alphabet():
    vocabulary = Vocabulary.build(SENTENCES, size=5)
    assert vocabulary.words == ["<S>", "</S>", "<UNK>", "a", "b"]
    assert Vocabulary.build(SENTENCES, size=9).words[3:] == ["a", "b", "c", "d"]
    assert Vocabulary.build(SENTENCES, size=9, min_count=2).words[3:] == ["a", "b"]
    assert vocabulary.numbers(["b", "z", "</S>"]).tolist() == [4, 2, 1]


def test_the_counts_are_of_all_words_to_be_predicted():
    vocabulary = Vocabulary.build(SENTENCES, size=5)
    assert vocabulary.counts.tolist() == [4, 3, 2, 2, 2]
    assert Vocabulary(["<S>", "</S>", "<UNK>"]).counts is None
    with pytest.raises(ValueError, match="2 counts; expected one for each of the 3 words"):
        Vocabulary(["<S>", "</S>", "<UNK>"], [1, 2])


def test_where_there_is_no_room_the_rarest_are_forgotten(random):
    """No count is off by more than the bound of Misra and Gries (1982), and the words above it are all there."""
    text = [[f"w{k}" for k in random.zipf(1.3, 20) % 10_000] for _ in range(1000)]
    exact = Counter(word for sentence in text for word in sentence)
    bounded = Vocabulary.build(text, size=200, most_counted=1000)
    bound = 2 * 20_000 / 1000
    sure = [word for word, count in exact.items() if count > bound]
    assert len(sure) > 20
    assert set(sure) <= set(bounded.words)
    for word, count in zip(bounded.words[3:], bounded.counts[3:], strict=True):
        assert exact[word] - bound < count <= exact[word]
    assert bounded.counts[2:].sum() == 20_000


def test_a_word_that_is_forgotten_again_and_again_is_not_lost():
    """It comes once between others of which there are too many."""
    text = [[f"once{k}", f"once{k + 1}", f"once{k + 2}", "often"] for k in range(0, 60, 3)]
    assert "often" in Vocabulary.build(text, size=7, most_counted=4).words


def test_words_written_as_the_special_ones_are_counted_as_these():
    text = [["a", "<UNK>", "<UNK>", "<S>"], ["b", "</S>", "a"]]
    built = Vocabulary.build(text, size=4)
    assert built.words == ["<S>", "</S>", "<UNK>", "a"]
    assert built.counts.tolist() == [3, 3, 3, 2] == Vocabulary.count(built.words, text).counts.tolist()


def test_a_vocabulary_reads_back_with_and_without_counts(tmp_path):
    vocabulary, path = Vocabulary.build([*SENTENCES, ["odd\x85word"]], size=9), tmp_path / "vocabulary.txt"
    vocabulary.write(path)
    read = Vocabulary.read(path)
    assert read.words == vocabulary.words == path.read_text("utf-8").split("\n")[:-1]
    np.testing.assert_array_equal(read.counts, vocabulary.counts)
    (tmp_path / "vocabulary.counts.txt").unlink()
    assert Vocabulary.read(path).counts is None


def test_a_wrong_file_is_refused(tmp_path):
    path, beside = tmp_path / "vocabulary.txt", tmp_path / "vocabulary.counts.txt"
    with pytest.raises(SourceError, match="cannot be read"):
        Vocabulary.read(path)
    path.write_text("a\nb\n")
    with pytest.raises(SourceError, match="expected <S>, </S> and <UNK>"):
        Vocabulary.read(path)
    path.write_bytes(b"<S>\n</S>\n<UNK>\n\xff\n")
    with pytest.raises(SourceError, match="byte 16 is not UTF-8"):
        Vocabulary.read(path)
    path.write_text("<S>\n</S>\n<UNK>\n")
    beside.write_text("1\n2\n")
    with pytest.raises(SourceError, match="2 counts; expected one for each of the 3 words"):
        Vocabulary.read(path)
    beside.write_text("1\n-2\n3\n")
    with pytest.raises(SourceError, match="line 2: found '-2'; expected a count"):
        Vocabulary.read(path)


def test_readers_of_the_published_form_pass_over_the_counts(tmp_path, tiny_options):
    vocabulary = Vocabulary.build(SENTENCES, size=9)
    arrays = {name: np.zeros(shape, "f4") for name, shape in weight_shapes(tiny_options)}
    write_published(tmp_path, tiny_options, arrays, vocabulary.words)
    vocabulary.write_counts(tmp_path / "vocabulary.txt")
    assert list(find_source(tmp_path).vocabulary) == vocabulary.words
