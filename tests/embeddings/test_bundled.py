import numpy as np
import pytest

from embeddings import Embedder, load_bilm
from embeddings.bundled import DEFAULT, FOLDER, bundled
from embeddings.source import find_source
from embeddings.word_predictor import BACKWARD, FORWARD, WordPredictor


def test_it_is_small_enough_to_travel_with_the_package():
    assert sum(file.stat().st_size for file in (FOLDER / DEFAULT).iterdir()) <= 16_000_000


def test_what_a_user_has_under_its_name_comes_first(tmp_path, monkeypatch):
    assert bundled(DEFAULT) == FOLDER / DEFAULT
    assert bundled("telmo-small-de") is None
    monkeypatch.chdir(tmp_path)
    (tmp_path / DEFAULT).mkdir()
    assert bundled(DEFAULT) is None


def test_its_source_is_told_by_its_name():
    assert find_source(DEFAULT).tree.place == DEFAULT


@pytest.fixture(scope="module")
def predictor():
    return WordPredictor.load(DEFAULT)


@pytest.mark.parametrize("way", [FORWARD, BACKWARD])
def test_it_expects_english(predictor, way):
    """By a sentence of everyday English it is far less surprised than by the same words in another order."""
    words = ["<S>", "She", "opened", "the", "door", "and", "looked", "at", "the", "man", ".", "</S>"]
    shuffled = ["<S>", ".", "the", "at", "opened", "looked", "She", "man", "door", "the", "and", "</S>"]

    def nats(text):
        hidden, _ = predictor.read(way, text)
        numbers = [predictor.vocabulary.index(word) for word in text]
        told, asked = (hidden[:-1], numbers[1:]) if way == FORWARD else (hidden[1:], numbers[:-1])
        return -np.mean(predictor.log_probabilities(told)[np.arange(len(asked)), asked])

    assert nats(words) < 4.5
    assert nats(shuffled) > nats(words) + 3


def test_unknown_has_the_probability_of_all_words_that_the_softmax_lacks(predictor):
    """In running text some five in a hundred words are none of the most frequent 13,500."""
    words = [
        "<S>",
        "The",
        "ship",
        "sailed",
        "to",
        "the",
        "harbour",
        ",",
        "and",
        "the",
        "men",
        "came",
        "home",
        ".",
        "</S>",
    ]
    hidden, _ = predictor.read(FORWARD, words)
    unknown = np.exp(predictor.log_probabilities(hidden)[:, predictor.vocabulary.index("<UNK>")])
    assert 0.005 < unknown.mean() < 0.25


def test_a_word_has_the_vectors_of_its_meaning_in_a_context():
    embedder = Embedder(load_bilm())
    texts = ("He sat on the bank of the river .", "He put money in the bank .", "She took her money from the bank .")
    river, money, other = (next(embedder.embed([text.split()]))[:, text.split().index("bank")] for text in texts)
    assert np.allclose(river[0], money[0], atol=1e-5)
    for layer in (1, 2):
        assert cosine(money[layer], other[layer]) > cosine(river[layer], other[layer])


def cosine(x, y):
    return x @ y / np.linalg.norm(x) / np.linalg.norm(y)
