"""Data sets by their hub names, through the library `datasets`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from embeddings.errors import InputError
from pipeline.parquet import check_columns

HUB = "hub:"
_EXPECTED = f"expected {HUB}NAME[@REVISION]:SPLIT or {HUB}NAME[@REVISION]:CONFIG:SPLIT"


def hub_parts(name: str) -> tuple[str, str | None, str | None, str]:
    """The name of a data set or the path of its folder, its revision, its config and its split.

    Raises:
        ValueError: the name has another form.

    >>> hub_parts("hub:nyu-mll/glue@main:sst2:train[:100]")
    ('nyu-mll/glue', 'main', 'sst2', 'train[:100]')
    """
    where, *rest = name.removeprefix(HUB).split(":", 1)
    # A slice such as train[:100] has a colon of its own.
    before, bracket, after = (rest or [""])[0].partition("[")
    *config, split = before.split(":")
    where, _, revision = where.partition("@")
    if not where or not split or len(config) > 1:
        raise ValueError(f"'{name}' is no name on the hub; {_EXPECTED}")
    return where, revision or None, config[0] if config else None, split + bracket + after


def hub_rows(name: str, wanted: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The wanted columns of the rows of a data set; classes by their names, not their numbers.

    Args:
        name: `hub:NAME:SPLIT`; the name may be a folder that `save_to_disk` wrote, or one of data files.
        wanted: columns.

    Raises:
        InputError: the library is not installed, there is no such data set, or it lacks a column.
    """
    try:
        import datasets
    except ImportError:
        expected = "expected the extra: pip install 'telmo[hub]'"
        raise InputError(f"{name}: is read by the library datasets, which is not installed; {expected}") from None
    try:
        data = _load(datasets, *hub_parts(name))
        check_columns(name, wanted, data.column_names)
        data = data.select_columns(list(wanted))
        classes = {column: _classes(feature) for column, feature in data.features.items()}
        for row in data:
            yield {column: _named(value, classes[column]) for column, value in row.items()}
    except (OSError, ValueError, KeyError, datasets.exceptions.DatasetsError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"{name}: cannot be loaded ({lines[0]}); {_EXPECTED}") from None


def _load(datasets: Any, where: str, revision: str | None, config: str | None, split: str) -> Any:
    folder = Path(where)
    if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
        saved = datasets.load_from_disk(where)
        splits = saved if isinstance(saved, dict) else {str(saved.split or split): saved}
        if split not in splits:
            raise ValueError(f"no split '{split}', found {', '.join(splits)}")
        return splits[split]
    return datasets.load_dataset(where, config, split=split, revision=revision)


def _classes(feature: Any) -> list[str] | None:
    """The names of the classes of a column of classes, or of lists of them."""
    return getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None)


def _named(value: Any, classes: list[str] | None) -> Any:
    """A class, or a list of them, by name; -1 stands for no class."""
    if classes is None or value is None:
        return value
    if isinstance(value, list):
        return [_named(one, classes) for one in value]
    return classes[value] if value >= 0 else ""
