import numpy as np
import pytest

from models.calibration import Calibration, expected_calibration_error, fit_calibration, probabilities, reliability


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_the_temperature_that_labels_were_drawn_with_is_found(random, temperature):
    logits = random.normal(size=(20_000, 3)) * 3
    p = probabilities(logits / temperature)
    targets = (p.cumsum(axis=1) < random.uniform(size=(20_000, 1))).sum(axis=1)
    assert fit_calibration(logits, targets).temperature == pytest.approx(temperature, rel=0.05)
    assert expected_calibration_error(p, targets) < 0.01
    assert expected_calibration_error(probabilities(logits), targets) > 0.03


def test_the_temperature_of_label_sets_is_found(random):
    logits = random.normal(size=(20_000, 2)) * 2
    targets = (random.uniform(size=logits.shape) < probabilities(logits / 2, multi_label=True)).astype("f4")
    assert fit_calibration(logits, targets, multi_label=True).temperature == pytest.approx(2, rel=0.05)


def test_the_error_is_that_of_the_definition():
    given = np.array([[0.9, 0.1], [0.91, 0.09], [0.2, 0.8]])
    # Two answers near 0.9, one of them right, and one of 0.8 that is right.
    error = expected_calibration_error(given, np.array([0, 1, 1]), bins=10)
    assert error == pytest.approx((2 * abs(0.905 - 0.5) + abs(0.8 - 1)) / 3)
    many = expected_calibration_error(np.array([[0.7, 0.2]]), np.array([[1.0, 0.0]]))
    assert many == pytest.approx((0.3 + 0.2) / 2)


@pytest.mark.parametrize("multi_label", [False, True])
def test_answers_that_are_all_right_are_not_taken_for_certain(multi_label):
    """Of 8 right answers the next is right with 9 / 10, by Laplace's rule of succession; and none is surer."""
    logits = np.tile([[5.0, -5.0]], (8, 1))
    targets = np.tile([[1.0, 0.0]], (8, 1)) if multi_label else np.zeros(8, int)
    found = fit_calibration(logits, targets, multi_label)
    assert found.surest == 0.9
    assert found.probabilities(logits, multi_label).max() == pytest.approx(0.9, abs=1e-4)
    assert found.probabilities(100 * logits, multi_label).max() == 0.9


def test_what_the_surest_label_has_too_much_goes_to_the_others_in_their_proportions(random):
    logits = 3 * random.normal(size=(200, 4))
    given, bounded = probabilities(logits), Calibration(surest=0.8).probabilities(logits)
    np.testing.assert_allclose(bounded.sum(axis=1), 1)
    for row, other in zip(given, bounded, strict=True):
        if row.max() <= 0.8:
            np.testing.assert_allclose(other, row)
        else:
            assert other.max() == 0.8 and other.argmax() == row.argmax()
            rest = np.arange(4) != row.argmax()
            np.testing.assert_allclose(other[rest] / other[rest].sum(), row[rest] / row[rest].sum())
    np.testing.assert_array_equal(Calibration().probabilities(logits), given)
    np.testing.assert_allclose(Calibration(surest=0.8).probabilities(np.array([0.0, 0.0, 1e9])), [0.1, 0.1, 0.8])


def test_reliability_bins_count_the_answers_by_brute_force(random):
    confidence, right = random.random(200), random.random(200) < 0.6
    found = reliability(confidence, right, bins=5)
    for k in range(5):
        inside = [j for j, p in enumerate(confidence) if k / 5 <= p < (k + 1) / 5]
        assert found.answers[k] == len(inside)
        assert found.confidence[k] == pytest.approx(sum(confidence[j] for j in inside))
        assert found.right[k] == sum(right[j] for j in inside)
    assert reliability(np.array([1.0]), np.array([True])).error == 0
