import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from embeddings.rows import take_rows
from embeddings.schedule import Schedule
from embeddings.settings import PretrainingSettings
from embeddings.watched_optimizer import build_optimizer


def updated(optimizer, gradients):
    """Variables of ones after an update with each of the gradients."""
    variables = [
        keras.Variable(np.ones(np.shape(gradient), "f4"), name=f"v{k}") for k, gradient in enumerate(gradients[0])
    ]
    optimizer.build(variables)
    for gradient in gradients:
        optimizer.apply([ops.convert_to_tensor(np.float32(part)) for part in gradient], variables)
    return [ops.convert_to_numpy(variable) for variable in variables]


def settings(**changes):
    return PretrainingSettings(
        **{"schedule": "constant", "warm_up": 0.0, "learning_rate": 0.5, "clip_norm": None} | changes
    )


def test_norms_are_those_of_the_gradient_before_and_after_clipping():
    optimizer = build_optimizer(settings(optimizer="sgd", clip_norm=2.5), 10)
    after = updated(optimizer, [[[3.0, 0.0], [4.0]]])
    norms = optimizer.last_norms()
    assert norms.norm == pytest.approx(5) and norms.clipped == pytest.approx(2.5) and norms.was_clipped
    assert list(norms.by_variable.values()) == pytest.approx([3, 4])
    assert list(norms.clipped_by_variable.values()) == pytest.approx([1.5, 2])
    assert norms.by_variable.keys() == norms.clipped_by_variable.keys()
    np.testing.assert_allclose(after[0], [1 - 0.5 * 1.5, 1])
    np.testing.assert_allclose(after[1], [1 - 0.5 * 2.0])


@pytest.mark.parametrize("kind", ["adam", "adagrad", "sgd"])
def test_of_a_table_only_the_rows_that_were_read_move(kind):
    optimizer = build_optimizer(settings(optimizer=kind, clip_norm=1.0), 10)
    table = keras.Variable(np.ones((6, 2), "f4"), name="table")
    optimizer.build([table])
    for _ in range(2):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(take_rows(table, np.array([4, 1, 4])))
        optimizer.apply([tape.gradient(loss, table.value)], [table])
    norms = optimizer.last_norms()
    # The fourth row was read twice.
    assert norms.norm == pytest.approx(math.sqrt(2 * 4 + 2)) and norms.clipped == pytest.approx(1)
    assert ((table.numpy() != 1).all(axis=1) == [False, True, False, False, True, False]).all()


def test_a_gradient_below_the_bound_is_left_alone():
    optimizer = build_optimizer(settings(optimizer="sgd", clip_norm=50.0), 10)
    np.testing.assert_allclose(updated(optimizer, [[[3.0, 4.0]]])[0], [-0.5, -1.0])
    assert not optimizer.last_norms().was_clipped


def test_clipping_by_value_bounds_each_number():
    optimizer = build_optimizer(settings(optimizer="sgd", clip_value=1.0), 10)
    np.testing.assert_allclose(updated(optimizer, [[[3.0, -0.5]]])[0], [0.5, 1.25])
    assert optimizer.last_norms().clipped == pytest.approx(math.hypot(1, 0.5))


def test_accumulated_gradients_make_one_step_of_their_mean():
    one = updated(build_optimizer(settings(optimizer="sgd", accumulate=2), 10), [[[2.0]], [[4.0]]])
    np.testing.assert_allclose(one[0], [1 - 0.5 * 3.0])


def test_the_rate_ends_with_the_last_batch_however_many_make_a_step():
    optimizer = build_optimizer(settings(accumulate=4, schedule="linear", warm_up=0.0, learning_rate=1.0), 40)
    rates = []
    variable = keras.Variable([[1.0]])
    for _ in range(40):
        rates.append(float(optimizer.learning_rate))
        optimizer.apply([keras.ops.ones((1, 1))], [variable])
    assert rates[0] == pytest.approx(1.0)
    assert rates[20] == pytest.approx(0.525)
    assert rates[39] == pytest.approx(0.05, abs=0.03)


def test_adagrad_begins_as_bilm_tf_does():
    """Its loss is the sum over the steps of a window, of which ours is the mean."""
    after = updated(build_optimizer(settings(optimizer="adagrad", steps=20), 10), [[[0.1]]])
    np.testing.assert_allclose(after[0], [1 - 0.5 * 2 / math.sqrt(1 + 4)], rtol=1e-4)


def test_the_place_where_a_gradient_is_no_number_is_named():
    optimizer = build_optimizer(settings(clip_norm=1.0), 10)
    updated(optimizer, [[[1.0], [np.nan], [np.inf]]])
    norms = optimizer.last_norms()
    assert not math.isfinite(norms.norm)
    assert norms.first_not_finite == list(norms.by_variable)[1]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("cosine", lambda x: 0.05 + 0.95 * (1 + math.cos(math.pi * x)) / 2),
        ("linear", lambda x: 1 - 0.95 * x),
        ("exponential", lambda x: 0.05**x),
        ("inverse_sqrt", lambda x: math.sqrt(20 / (20 + 80 * x))),
        ("constant", lambda x: 1.0),
    ],
)
def test_the_rate_rises_and_falls_by_its_equation(kind, expected):
    schedule = Schedule(kind, 2.0, steps=100, warm_up=20)
    assert float(schedule(0)) == pytest.approx(0.1)
    assert float(schedule(10)) == pytest.approx(2 * (0.05 + 0.95 / 2))
    for step in (20, 60, 100):
        assert float(schedule(step)) == pytest.approx(2 * expected((step - 20) / 80), rel=1e-4)
    assert Schedule.from_config(schedule.get_config()).get_config() == schedule.get_config()


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="clip_norm and clip_value"):
        PretrainingSettings(clip_value=1.0)
    with pytest.raises(ValueError, match="momentum is for sgd"):
        PretrainingSettings(momentum=0.9)
