import keras
import numpy as np
import pytest

from models.classifier import Classifier
from models.encoder import layer_weights
from models.options import HeadOptions
from models.tagger import Tagger
from models.texts import padded

OPTIONS = [
    HeadOptions(encoder="none"),
    HeadOptions(encoder="dense", units=4, depth=2),
    HeadOptions(encoder="lstm", units=4, pooling="last"),
    HeadOptions(encoder="gru", units=4, depth=2, pooling="mean", layer_norm=True),
    HeadOptions(encoder="cnn", units=4, depth=2, widths=(2, 3), pooling="attention"),
    HeadOptions(encoder="rnn", units=4, pooling="last", bidirectional=False),
    HeadOptions(encoder="lstm_without_forget_gate", units=4, pooling="last"),
    HeadOptions(encoder="projected_lstm", units=4, cells=6, elmo_at_output=True, feedforward=((5, "tanh"),)),
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


def test_attention_is_the_mean_weighted_by_the_fit_to_a_vector(texts):
    model = Classifier(HeadOptions(encoder="none", pooling="attention"), 2, (3, 6))
    kernel, bias = model.output_layer.get_weights()
    context, hidden, hidden_bias = (keras.ops.convert_to_numpy(w) for w in model.attention.weights)
    expected = []
    for text in texts:
        words = text.mean(axis=0)
        scores = np.exp(np.tanh(words @ hidden + hidden_bias) @ context)
        expected.append(scores / scores.sum() @ words @ kernel + bias)
    np.testing.assert_allclose(model(padded(texts)), expected, atol=1e-5)


def test_a_second_mix_stands_beside_the_encoder(texts):
    options = HeadOptions(encoder="dense", units=4, elmo_at_output=True)
    model = Tagger(options, 3, (3, 6))
    model.encoder.output_elmo.w.assign([9.0, 0.0, 0.0])
    vectors = np.array(model.encoder(padded(texts)))
    assert vectors.shape[-1] == 4 + 6
    weights = layer_weights(model)
    assert weights["input"] == pytest.approx([1 / 3] * 3) and weights["output"][0] > 0.99
    expected = np.einsum("l,lwd->wd", weights["output"], texts[2])
    np.testing.assert_allclose(vectors[2, :, 4:], expected, atol=1e-5)


def test_pairs_are_seen_side_by_side_with_their_difference_and_product(texts):
    model = Classifier(HeadOptions(encoder="none", pooling="mean", pairs=True), 2, (3, 6))
    kernel, bias = model.output_layer.get_weights()
    u, v = (text.mean(axis=(0, 1)) for text in texts[:2])
    expected = np.concatenate([u, v, abs(u - v), u * v]) @ kernel + bias
    np.testing.assert_allclose(model(padded(texts[:2])), [expected], atol=1e-5)


def test_variational_dropout_leaves_out_the_same_units_of_all_words(texts):
    encoder = Tagger(
        HeadOptions(encoder="none", dropout=0.5, variational_dropout=True, layer_norm=True), 2, (3, 6)
    ).encoder
    ones = {"mask": np.ones((2, 5), bool), "layers": np.ones((2, 3, 5, 6), "f4")}
    assert encoder.dropout(ones["layers"][:, 0], training=True).numpy().std(axis=1).max() == 0


def test_the_loss_is_that_of_the_definitions(random):
    logits, y = random.normal(size=(4, 3)).astype("f4"), np.array([0, 2, 1, 2])
    model = Classifier(HeadOptions(encoder="none"), 3, (3, 6))
    each = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(4), y]
    assert float(model.compute_loss(y=y, y_pred=logits)) == pytest.approx(each.mean(), abs=1e-5)
    model.class_weights = np.array([1.0, 2.0, 0.5], "f4")
    assert float(model.compute_loss(y=y, y_pred=logits)) == pytest.approx((each * [1, 0.5, 2, 0.5]).mean(), abs=1e-5)
    model = Classifier(HeadOptions(encoder="none", multi_label=True), 3, (3, 6))
    y = random.integers(0, 2, (4, 3)).astype("f4")
    p = model.decode(logits)
    np.testing.assert_allclose(p, 1 / (1 + np.exp(-logits)), atol=1e-6)
    expected = -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum(axis=1).mean()
    assert float(model.compute_loss(y=y, y_pred=logits)) == pytest.approx(expected, abs=1e-5)


def test_probabilities_are_the_softmax_of_the_logits():
    logits = np.array([[1.0, 2.0, 3.0], [1000.0, 0.0, 0.0]])
    probabilities = Classifier(OPTIONS[0], 3, (3, 6)).decode(logits, np.array([1, 1]))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_allclose(probabilities[0], np.exp([1, 2, 3]) / np.exp([1, 2, 3]).sum())
