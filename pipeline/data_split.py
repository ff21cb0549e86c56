"""Which examples are for training, which for validation and which for the test."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from random import Random

from pipeline.data_config import Split


def drawn_splits(strata: Sequence[Hashable], groups: Sequence[Hashable] | None, split: Split) -> dict[str, list[int]]:
    """Draw validation and test data.

    The examples, or the groups of them, are put in order by stratum, within it the large groups first and else at
    random; of this row every k-th is taken, so that each split has its share of every stratum, to within one
    (systematic sampling, Madow and Madow 1944). It is the same on every machine and with every version of libraries.

    Args:
        strata: what each split is to have its share of, such as the labels; of a group the first example's counts.
        groups: examples of a group are not parted; None if each is one of its own.
        split: shares or folds, and the seed.

    Returns:
        The positions of the examples of `train`, `validation` and `test`, in order. One that is not drawn is empty.
    """
    random = Random(split.seed)
    members: dict[Hashable, list[int]] = defaultdict(list)
    for position in range(len(strata)):
        members[position if groups is None else groups[position]].append(position)
    row = sorted(members.values(), key=lambda group: (str(strata[group[0]]), -len(group), random.random()))
    if split.folds:
        tested = [k % split.folds == split.fold - 1 for k in range(len(row))]
    else:
        tested = _every(split.test or 0.0, len(row), random)
    rest = [group for group, chosen in zip(row, tested, strict=True) if not chosen]
    validated = _every((split.validation or 0.0) / (1 - split.test_share), len(rest), random)
    parts = {
        "train": [group for group, chosen in zip(rest, validated, strict=True) if not chosen],
        "validation": [group for group, chosen in zip(rest, validated, strict=True) if chosen],
        "test": [group for group, chosen in zip(row, tested, strict=True) if chosen],
    }
    return {name: sorted(position for group in part for position in group) for name, part in parts.items()}


def _every(share: float, count: int, random: Random) -> list[bool]:
    """Of a row of things a share at equal distances, from a random start."""
    start = random.random()
    return [int((k + 1) * share + start) > int(k * share + start) for k in range(count)]
