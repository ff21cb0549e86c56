import keras
import numpy as np
import pytest
import tensorflow as tf

from embeddings.row_updates import RowAdagrad, RowAdam, RowSGD
from embeddings.rows import take_rows

STEPS = [[1, 4, 4, 2], [0, 1], [1, 6, 6]]


def trained(optimizer, random, every_row=False, dense=False, read=take_rows):
    """A matrix and a vector after some steps, in which some rows have a gradient and all of the vector has."""
    matrix, vector = (keras.Variable(random.normal(size=x).astype("f4")) for x in ((7, 3), 3))
    optimizer.build([matrix, vector])
    for ids in STEPS:
        rows = np.array([*ids, *range(7)] if every_row else ids)
        weights = random.normal(size=(len(rows), 3)).astype("f4")
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.sin(read(matrix, rows) + vector) * weights)
        gradients = tape.gradient(loss, [matrix.value, vector.value])
        assert isinstance(gradients[0], tf.IndexedSlices)
        optimizer.apply([tf.convert_to_tensor(x) for x in gradients] if dense else gradients, [matrix, vector])
    return matrix.numpy(), vector.numpy()


def read_with_repetitions(matrix, rows):
    """As Keras reads a table: the gradient has a row as often as it was asked for."""
    return keras.ops.take(matrix, rows, axis=0)


CLIPS = [{}, {"global_clipnorm": 0.5}, {"clipnorm": 0.5}, {"clipvalue": 0.2}]


@pytest.mark.parametrize("read", [take_rows, read_with_repetitions])
@pytest.mark.parametrize("clip", CLIPS, ids=str)
@pytest.mark.parametrize(
    ("ours", "keras_own", "every_row"),
    [
        (lambda **clip: RowAdagrad(0.5, **clip), lambda **clip: keras.optimizers.Adagrad(0.5, **clip), False),
        (lambda **clip: RowSGD(0.5, **clip), lambda **clip: keras.optimizers.SGD(0.5, **clip), False),
        (lambda **clip: RowSGD(0.5, 0.9, **clip), lambda **clip: keras.optimizers.SGD(0.5, 0.9, **clip), False),
        (lambda **clip: RowAdam(0.1, **clip), lambda **clip: keras.optimizers.Adam(0.1, **clip), True),
    ],
    ids=["adagrad", "sgd", "momentum", "adam"],
)
def test_the_result_is_that_of_the_dense_gradient(ours, keras_own, every_row, clip, read):
    random = [np.random.default_rng(3) for _ in range(2)]
    found = trained(ours(**clip), random[0], every_row, read=read)
    expected = trained(keras_own(**clip), random[1], every_row, dense=True)
    for got, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)


def test_adam_leaves_rows_without_a_gradient_alone(random):
    begin = np.random.default_rng(7).normal(size=(7, 3)).astype("f4")
    optimizer = RowAdam(0.1)
    matrix, _ = trained(optimizer, random)
    np.testing.assert_array_equal(matrix[[3, 5]], begin[[3, 5]])
    assert (matrix[[0, 1, 2, 4, 6]] != begin[[0, 1, 2, 4, 6]]).all()
