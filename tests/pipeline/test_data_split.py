from collections import Counter
from itertools import chain
from random import Random

import pytest

from pipeline.data_config import Split
from pipeline.data_split import drawn_splits

TEST, VALIDATION = [6, 16, 17, 18], [0, 14]


@pytest.fixture(params=range(100))
def drawn(request):
    """A random generator and labels of a random number of texts."""
    random = Random(request.param)
    return random, random.choices("abc", [5, 2, 1], k=random.randint(1, 80))


def test_folds_part_every_label_evenly(drawn):
    random, strata = drawn
    folds, seed = random.randint(2, 7), random.randint(0, 99)
    found = [
        drawn_splits(strata, None, Split(folds=folds, fold=fold, seed=seed))["test"] for fold in range(1, folds + 1)
    ]
    assert sorted(chain(*found)) == list(range(len(strata)))
    for label in set(strata):
        sizes = [sum(strata[k] == label for k in fold) for fold in found]
        assert max(sizes) - min(sizes) <= 1


def test_shares_are_those_of_every_label(drawn):
    random, strata = drawn
    validation, test = random.uniform(0.05, 0.45), random.uniform(0.05, 0.45)
    found = drawn_splits(strata, None, Split(validation=validation, test=test, seed=random.randint(0, 99)))
    assert sorted(chain(*found.values())) == list(range(len(strata)))
    assert all(part == sorted(part) for part in found.values())
    for label, count in Counter(strata).items():
        assert abs(sum(strata[k] == label for k in found["test"]) - count * test) <= 1
        # The test data were drawn first, so that two roundings meet.
        assert abs(sum(strata[k] == label for k in found["validation"]) - count * validation) <= 2


def test_a_group_stays_together(drawn):
    random, strata = drawn
    groups = [random.randint(0, 8) for _ in strata]
    found = drawn_splits(strata, groups, Split(folds=3, validation=0.2))
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
