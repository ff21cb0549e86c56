from collections import Counter
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import Split
from pipeline.data_split import drawn_splits

TEST, VALIDATION = [6, 16, 17, 18], [0, 14]
labels = st.lists(st.sampled_from("abc"), min_size=1, max_size=80)


@given(labels, st.integers(2, 7), st.integers(0, 99))
def test_folds_part_every_label_evenly(strata, folds, seed):
    found = [
        drawn_splits(strata, None, Split(folds=folds, fold=fold, seed=seed))["test"] for fold in range(1, folds + 1)
    ]
    assert sorted(chain(*found)) == list(range(len(strata)))
    for label in set(strata):
        sizes = [sum(strata[k] == label for k in fold) for fold in found]
        assert max(sizes) - min(sizes) <= 1


@given(labels, st.floats(0.05, 0.45), st.floats(0.05, 0.45), st.integers(0, 99))
def test_shares_are_those_of_every_label(strata, validation, test, seed):
    found = drawn_splits(strata, None, Split(validation=validation, test=test, seed=seed))
    assert sorted(chain(*found.values())) == list(range(len(strata)))
    assert all(part == sorted(part) for part in found.values())
    for label, count in Counter(strata).items():
        assert abs(sum(strata[k] == label for k in found["test"]) - count * test) <= 1
        # The test data were drawn first, so that two roundings meet.
        assert abs(sum(strata[k] == label for k in found["validation"]) - count * validation) <= 2


@given(st.lists(st.integers(0, 8), min_size=1, max_size=80), st.integers(0, 99))
def test_a_group_stays_together(groups, seed):
    found = drawn_splits([""] * len(groups), groups, Split(folds=3, validation=0.2, seed=seed))
    where = [{groups[k] for k in part} for part in found.values()]
    assert sum(map(len, where)) == len(set(groups))


def test_large_groups_are_spread_over_the_folds():
    groups = ["big"] * 10 + ["large"] * 9 + list("abcdefg")
    sizes = [len(drawn_splits([""] * 26, groups, Split(folds=2, fold=fold))["test"]) for fold in (1, 2)]
    assert abs(sizes[0] - sizes[1]) <= 2


def test_the_draw_is_the_same_on_every_machine_and_another_with_another_seed():
    found = drawn_splits("aabb" * 5, None, Split(test=0.2, validation=0.1))
    assert found["test"] == TEST and found["validation"] == VALIDATION
    assert drawn_splits("aabb" * 5, None, Split(test=0.2, validation=0.1, seed=2))["test"] != TEST


def test_an_order_of_classes_in_the_file_does_not_matter():
    found = drawn_splits(["a"] * 50 + ["b"] * 50, None, Split(test=0.1))
    assert sum(k < 50 for k in found["test"]) == 5 and found["test"] != list(range(0, 100, 10))


@pytest.mark.parametrize("seed", range(3))
def test_without_a_test_share_nothing_is_tested(seed):
    assert drawn_splits(["a"] * 9, None, Split(validation=0.3, seed=seed))["test"] == []
