import numpy as np
import pytest

from models import biattentive
from models.biattentive import BiattentiveClassifier, Maxout, attend_to_self
from models.options import Biattention, ElmoInput, HeadOptions
from models.texts import padded


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("queries", [512, 3])
def test_attention_is_the_softmax_of_the_dot_products(random, monkeypatch, queries):
    monkeypatch.setattr(biattentive, "QUERIES", queries)
    x = random.normal(size=(2, 7, 4)).astype("f4")
    mask = np.arange(7) < np.array([[7], [4]])
    x[~mask] = 0
    got = np.array(attend_to_self(x, mask))
    for row, text, present in zip(got, x, mask, strict=True):
        words = text[present]
        np.testing.assert_allclose(row[present], softmax(words @ words.T) @ words, atol=1e-5)


def test_maxout_takes_the_largest_piece(random):
    layer = Maxout(3, 2)
    x = random.normal(size=(5, 4)).astype("f4")
    got = np.array(layer(x))
    kernel, bias = layer.get_weights()
    expected = [[max((row @ kernel + bias)[2 * unit : 2 * unit + 2]) for unit in range(3)] for row in x]
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.fixture
def head():
    parts = Biattention(before=((5, "relu"),), units=3, elmo=True, output=((4, 2),), pieces=2)
    return BiattentiveClassifier(HeadOptions(units=2, biattention=parts, inputs=(ElmoInput(),)), 3, (2, 6))


def test_padding_changes_no_answer(head, random):
    texts = [random.normal(size=(2, words, 6)).astype("f4") for words in (4, 1, 7)]
    together = np.array(head(padded(texts)))
    for row, text in zip(together, texts, strict=True):
        np.testing.assert_allclose(row, np.array(head(padded([text])))[0], atol=1e-5)


def test_pooling_is_maximum_minimum_mean_and_attention(head, random):
    x = random.normal(size=(1, 5, 12)).astype("f4")
    mask = np.array([[True, True, True, False, False]])
    got = np.array(head._pool(x, mask))[0]
    words = x[0, :3]
    kernel, bias = head.attention.get_weights()
    attended = softmax((words @ kernel + bias)[:, 0]) @ words
    np.testing.assert_allclose(got, np.r_[words.max(0), words.min(0), words.mean(0), attended], atol=1e-5)


def test_it_learns(head, random):
    import keras

    head.set_weights([random.normal(size=w.shape) / 4 if w.ndim else w for w in head.get_weights()])
    texts = [random.normal(size=(2, 4, 6)).astype("f4") + label for label in (0, 1, 2) for _ in range(4)]
    labels = np.repeat([0, 1, 2], 4)
    head.compile(keras.optimizers.Adam(0.02), jit_compile=False)
    before = head.evaluate(padded(texts), labels, verbose=0)
    for _ in range(40):
        head.train_on_batch(padded(texts), labels)
    # Without dropout: a training loss says as much of the words that were dropped.
    assert head.evaluate(padded(texts), labels, verbose=0) < before / 2
