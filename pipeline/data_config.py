"""The part of a config that says where labelled texts are and how they are written."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from embeddings.tokenizer import TokenizerName
from models.options import Task
from pipeline.config_file import Section
from pipeline.data_hub import HUB, hub_parts
from pipeline.docs_corpus import SPLITS
from pipeline.embedded import PREFIXES
from pipeline.readers import Format

Files = str | list[str] | dict[str, str]
"""A data file, several, or one for each label: `{positive: a.txt, negative: b.txt}`. A name is a path, data that Telmo
makes (`docs:library/train`, `babel:dates-pt/train`), or a data set of the hub
(`hub:NAME[@REVISION]:[CONFIG:]SPLIT`, whose name may also be a folder that `datasets` wrote)."""


def _pattern(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groupindex
    except re.error as error:
        raise ValueError(f"not a regular expression ({error})") from None
    if not groups:
        raise ValueError("names no column; expected groups such as (?P<label>...) and (?P<text>...)")
    return pattern


class Texts(Section):
    """How labelled texts are written.

    Args:
        format: of the files, if their names do not tell.
        encoding: of the files; `detect` has each told from its bytes.
        delimiter: between the columns of csv, tsv and conll, if it is not the usual one.
        columns: names of the columns of csv and tsv without a header, and of conll.
        pattern: a regular expression for a whole line of text, whose named groups are the columns; by default the line
            is the column `text`. The questions of TREC: `(?P<label>\\w+):(?P<fine>\\w+) (?P<text>.*)`.
        text, label: columns; by default `text` and `label`, for tagging `words` and `tags` (in conllu `form` and
            `upos`, in conll the first and the last), for seq2seq `source` and `target`.
        text_pair: column of the second text, to classify pairs of texts.
        label_separator: between the labels of a text that may have none, one or several; a list in a column needs none.
        tokenizer: how a raw text becomes words. Words to be tagged are taken as they are.
        target_tokenizer: likewise for the targets of seq2seq; by default the same.
    """

    format: Format | None = None
    encoding: str = "utf-8"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    columns: tuple[str, ...] | None = None
    pattern: Annotated[str, AfterValidator(_pattern)] | None = None
    text: str | None = None
    text_pair: str | None = None
    label: str | None = None
    label_separator: Annotated[str, Field(min_length=1)] | None = None
    tokenizer: TokenizerName = "spacy"
    target_tokenizer: TokenizerName | None = None


class Split(Section):
    """How validation and test data without a file are drawn from the training data: always the same, whatever the
    config's seed.

    Args:
        validation, test: shares of all that the training files hold.
        folds: equal parts, of which one is the test data, for cross-validation.
        fold: which of them, from 1.
        group: column whose values are not to stand in two splits, such as an author; `document` in CoNLL files; the
            text's own column keeps equal texts together.
        stratify: give each split the same share of every label, in classification.
        seed: of the draw.
    """

    validation: Annotated[float, Field(gt=0, lt=1)] | None = None
    test: Annotated[float, Field(gt=0, lt=1)] | None = None
    folds: Annotated[int, Field(ge=2)] | None = None
    fold: Annotated[int, Field(ge=1)] = 1
    group: str | None = None
    stratify: bool = True
    seed: int = 1

    @model_validator(mode="after")
    def _possible(self) -> "Split":
        if self.folds and self.test:
            raise ValueError("'test' and 'folds' both make test data; expected one of them")
        if self.folds and self.fold > self.folds:
            raise ValueError(f"fold {self.fold} of {self.folds} folds; expected 1 to {self.folds}")
        if (self.validation or 0) + self.test_share >= 1:
            raise ValueError("validation and test data leave nothing to train on; expected shares below 1 together")
        return self

    @property
    def test_share(self) -> float:
        return 1 / self.folds if self.folds else self.test or 0.0


class Data(Texts):
    """The labelled texts.

    Args:
        folder: that the paths of the files begin in; by default the one in which the command runs.
        train: files.
        validation, test: files; or drawn from the training data as `split` says.
        split: how.
        more_labels: that held-out data may have though the training data lack them; others are taken for a mistake.
        limit: most examples of the training data; drawn at random, always the same ones.
        held_out_limit: likewise of the validation and of the test data.
    """

    folder: Path | None = None
    train: Files
    validation: Files | None = None
    test: Files | None = None
    split: Split = Split()
    more_labels: tuple[str, ...] = ()
    limit: int | None = Field(None, ge=1)
    held_out_limit: int | None = Field(None, ge=1)

    @field_validator(*SPLITS, mode="plain")
    @classmethod
    def _there(cls, files: Any, info: ValidationInfo) -> Files | None:
        if files is None and info.field_name != "train":
            return None
        if isinstance(files, dict):
            files = {str(label): name for label, name in files.items()}
        names = [name for _, name in _named_files(files, None)]
        if not names or not all(isinstance(name, str) for name in names):
            raise ValueError(f"found {files!r}; expected a file, a list of files, or a file for each label")
        for _, name in _named_files(files, info.data.get("folder")):
            if name.startswith(HUB):
                hub_parts(name)
            elif not name.startswith(PREFIXES) and not Path(name).is_file():
                raise ValueError(f"no such file: {name}" + _hint(info.data.get("folder")))
        return files

    @model_validator(mode="after")
    def _complete(self) -> "Data":
        for split, drawn in (("validation", self.split.validation), ("test", self.split.test or self.split.folds)):
            if drawn and getattr(self, split):
                how = f"split.{'folds' if split == 'test' and self.split.folds else split}"
                raise ValueError(f"'{split}' has files, and '{how}' draws it, too; expected one of them")
            if not drawn and not getattr(self, split):
                raise ValueError(f"no {split} data; expected files in '{split}' or a share in 'split.{split}'")
        return self

    def files(self, split: str) -> list[tuple[str | None, str]]:
        """The label, if it is the file's, and the name of each file of a split; none if the split is drawn."""
        return _named_files(getattr(self, split), self.folder)


def _hint(folder: Path | None) -> str:
    return "" if folder is None or folder.is_dir() else f"; no folder {folder}, expected that of the data in 'folder'"


def _named_files(files: Any, folder: Path | None) -> list[tuple[str | None, str]]:
    labelled: list[tuple[str | None, str]]
    labelled = list(files.items()) if isinstance(files, dict) else [(None, name) for name in _listed(files)]
    if folder is None:
        return labelled
    return [(label, name if name.startswith((*PREFIXES, HUB)) else str(folder / name)) for label, name in labelled]


def _listed(files: Any) -> list:
    return files if isinstance(files, list) else [] if files is None else [files]


class DataConfig(Section):
    """What `telmo data` reads of a training config. Its other sections are not looked into, since the biLM that they
    name need not be there yet.

    Args:
        task: classification, tagging or seq2seq.
        data: the labelled texts.
    """

    task: Task
    data: Data
    name: Any = None
    output: Any = None
    seed: Any = None
    embedding: Any = None
    head: Any = None
    training: Any = None
    tracking: Any = None
    tune: Any = None
