import numpy as np
import tensorflow as tf

from embeddings.softmax import softmax_loss


def cases(random, scale):
    hidden, kernel = random.normal(size=(9, 4)) * scale, random.normal(size=(6, 4))
    return [tf.Variable(x.astype("f4")) for x in (hidden, kernel, random.normal(size=6))], random.integers(0, 6, 9)


def plain(hidden, kernel, bias, targets):
    logits = hidden @ tf.transpose(kernel) + bias
    return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)


def test_loss_and_gradient_are_those_of_automatic_differentiation(random):
    variables, targets = cases(random, 1.0)
    weights = tf.constant(random.normal(size=9).astype("f4"))
    results = []
    for function in (softmax_loss, plain):
        with tf.GradientTape() as tape:
            loss = function(*variables, targets)
            total = tf.reduce_sum(loss * weights)
        results.append([loss, *map(tf.convert_to_tensor, tape.gradient(total, variables))])
    for got, want in zip(*results, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)


def test_an_improbable_word_has_a_finite_loss(random):
    variables, targets = cases(random, 300.0)
    np.testing.assert_allclose(softmax_loss(*variables, targets), plain(*variables, targets), rtol=1e-4, atol=1e-3)
    assert np.max(plain(*variables, targets)) > 200
