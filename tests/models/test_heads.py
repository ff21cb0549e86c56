import numpy as np
import pytest

from models.classifier import Classifier
from models.options import HeadOptions
from models.tagger import Tagger
from models.texts import padded

OPTIONS = [
    HeadOptions(encoder="none"),
    HeadOptions(encoder="dense", units=4, depth=2),
    HeadOptions(encoder="lstm", units=4, pooling="last"),
    HeadOptions(encoder="gru", units=4, depth=2, pooling="mean", layer_norm=True),
]


@pytest.fixture
def texts(random):
    return [random.normal(size=(3, words, 6)).astype("f4") for words in (4, 1, 7)]


@pytest.mark.parametrize("head", [Classifier, Tagger])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: options.encoder)
def test_padding_changes_no_answer(head, options, texts):
    model = head(options, 3, (3, 6))
    together = np.array(model(padded(texts)))
    for row, text in zip(together, texts, strict=True):
        alone = np.array(model(padded([text])))[0]
        np.testing.assert_allclose(row if head is Classifier else row[: text.shape[1]], alone, atol=1e-5)


def test_pooling_is_over_the_words(texts):
    for pooling, function in (("max", np.max), ("mean", np.mean)):
        model = Classifier(HeadOptions(encoder="none", pooling=pooling), 2, (3, 6))
        kernel, bias = model.output_layer.get_weights()
        expected = [function(text.mean(axis=0), axis=0) @ kernel + bias for text in texts]
        np.testing.assert_allclose(model(padded(texts)), expected, atol=1e-5)


def test_probabilities_are_the_softmax_of_the_logits():
    logits = np.array([[1.0, 2.0, 3.0], [1000.0, 0.0, 0.0]])
    probabilities = Classifier(OPTIONS[0], 3, (3, 6)).decode(logits, np.array([1, 1]))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_allclose(probabilities[0], np.exp([1, 2, 3]) / np.exp([1, 2, 3]).sum())
