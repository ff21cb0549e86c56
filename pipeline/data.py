"""Labelled texts as a config describes them: read, split, and known by their checksums."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Any

from embeddings.errors import InputError
from models.examples import Examples
from models.options import Task
from pipeline.checksums import checksum_of_file, checksum_of_sentences
from pipeline.data_config import Data, Split
from pipeline.data_examples import examples_of, labelled_records, sampled
from pipeline.data_hub import HUB
from pipeline.data_records import Record
from pipeline.data_split import drawn_splits
from pipeline.docs_corpus import SPLITS
from pipeline.readers import DETECT, data_file, detected_encoding


@dataclass(frozen=True)
class DataSet:
    """Labelled texts in three splits.

    Args:
        splits: the examples of `train`, `validation` and `test`.
        names: the files that each split was read from, or drawn from.
        files: what is known of each file: its `sha256`, and its `encoding` if that was detected.
        drawn: how splits were drawn from the training files, with the seed; empty if each has files of its own.
    """

    splits: dict[str, Examples]
    names: dict[str, list[str]]
    files: dict[str, dict[str, str]]
    drawn: dict[str, Any] = field(default_factory=dict)

    def checksums(self) -> dict[str, str]:
        """SHA-256 of the words and the labels of each split, in hexadecimal."""
        return {split: checksum_of_examples(examples) for split, examples in self.splits.items()}


def checksum_of_examples(examples: Examples) -> str:
    """SHA-256 of words and labels, in hexadecimal."""
    return checksum_of_sentences(chain(examples.sentences, examples.pairs or ()), examples.targets)


def read_data(task: Task, data: Data) -> DataSet:
    """The data of a config; the same data give the same splits, whatever the config's seed.

    Raises:
        InputError: a file cannot be read, a row is not as expected, or a split would be empty; the message names the
            file and the line.
    """
    # A comparison trains on the same data many times. What holds a dictionary cannot be looked up as it is.
    names = {name for split in SPLITS for _, name in data.files(split)}
    found = [data_file(name).stat() for name in sorted(names) if not name.startswith(HUB)]
    return _read_data(task, data.model_dump_json(), tuple((file.st_mtime_ns, file.st_size) for file in found))


@lru_cache(maxsize=1)
def _read_data(task: Task, json: str, as_of: tuple) -> DataSet:
    data = Data.model_validate_json(json)
    names = {split: [name for _, name in data.files(split) or data.files("train")] for split in SPLITS}
    parts: dict[str, Iterable[Record]] = {split: labelled_records(task, data, data.files(split)) for split in SPLITS}
    drawn = not (data.validation and data.test)
    if drawn:
        records = list(labelled_records(task, data, data.files("train"), data.split.group))
        for split, positions in drawn_splits(*_strata(task, data.split, records), data.split).items():
            if split == "train" or not data.files(split):
                parts[split] = [records[position] for position in positions]
    splits = {}
    for split, part in parts.items():
        limit = data.limit if split == "train" else data.held_out_limit
        nothing = f"{', '.join(names[split])}: no examples for {split}"
        splits[split] = examples_of(task, data, sampled(part, limit), nothing)
    _check_kinds(splits)
    files = {name: _facts(name, data) for name in dict.fromkeys(chain(*names.values())) if not name.startswith(HUB)}
    return DataSet(splits, names, files, data.split.model_dump(exclude_none=True) if drawn else {})


def _strata(task: Task, split: Split, records: Sequence[Record]) -> tuple[list[str], list[str] | None]:
    by_label = task == "classification" and split.stratify
    strata = [str(record.values["label"]) if by_label else "" for record in records]
    return strata, [str(record.values["group"]) for record in records] if split.group else None


def _check_kinds(splits: dict[str, Examples]) -> None:
    """That texts have one label each, or each any number."""
    kind = type(splits["train"].targets[0])
    for examples in splits.values():
        for target, place in zip(examples.targets, examples.places, strict=True):
            if type(target) is not kind:
                many, one = "a list of labels", "one label"
                found, expected = (one, many) if kind is tuple else (many, one)
                raise InputError(f"{place}: found {found}; expected {expected}, as in {splits['train'].places[0]}")


def _facts(name: str, data: Data) -> dict[str, str]:
    path = data_file(name)
    detected = {"encoding": detected_encoding(path)} if data.encoding == DETECT else {}
    return {"sha256": checksum_of_file(path)} | detected
