import numpy as np
import pytest

from models.calibration import expected_calibration_error, fit_temperature, reliability
from models.text_classifier import probabilities


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_the_temperature_that_labels_were_drawn_with_is_found(random, temperature):
    logits = random.normal(size=(20_000, 3)) * 3
    p = probabilities(logits / temperature)
    targets = (p.cumsum(axis=1) < random.uniform(size=(20_000, 1))).sum(axis=1)
    assert fit_temperature(logits, targets) == pytest.approx(temperature, rel=0.05)
    assert expected_calibration_error(p, targets) < 0.01
    assert expected_calibration_error(probabilities(logits), targets) > 0.03


def test_the_temperature_of_label_sets_is_found(random):
    logits = random.normal(size=(20_000, 2)) * 2
    targets = (random.uniform(size=logits.shape) < probabilities(logits / 2, multi_label=True)).astype("f4")
    assert fit_temperature(logits, targets, multi_label=True) == pytest.approx(2, rel=0.05)


def test_the_error_is_that_of_the_definition():
    given = np.array([[0.9, 0.1], [0.91, 0.09], [0.2, 0.8]])
    # Two answers near 0.9, one of them right, and one of 0.8 that is right.
    error = expected_calibration_error(given, np.array([0, 1, 1]), bins=10)
    assert error == pytest.approx((2 * abs(0.905 - 0.5) + abs(0.8 - 1)) / 3)
    many = expected_calibration_error(np.array([[0.7, 0.2]]), np.array([[1.0, 0.0]]))
    assert many == pytest.approx((0.3 + 0.2) / 2)


@pytest.mark.parametrize("multi_label", [False, True])
def test_answers_that_are_all_right_are_not_taken_for_certain(multi_label):
    """Of N right answers the next is right with (N + 1) / (N + 2), by Laplace's rule of succession."""
    logits = np.tile([[5.0, -5.0]], (8, 1))
    targets = np.tile([[1.0, 0.0]], (8, 1)) if multi_label else np.zeros(8, int)
    given = probabilities(logits / fit_temperature(logits, targets, multi_label), multi_label)
    answers = 16 if multi_label else 8
    assert given.max() == pytest.approx((answers + 1) / (answers + 2), abs=1e-4)


def test_reliability_bins_count_the_answers_by_brute_force(random):
    confidence, right = random.random(200), random.random(200) < 0.6
    found = reliability(confidence, right, bins=5)
    for k in range(5):
        inside = [j for j, p in enumerate(confidence) if k / 5 <= p < (k + 1) / 5]
        assert found.answers[k] == len(inside)
        assert found.confidence[k] == pytest.approx(sum(confidence[j] for j in inside))
        assert found.right[k] == sum(right[j] for j in inside)
    assert reliability(np.array([1.0]), np.array([True])).error == 0
