"""Config files: what each key means, and where in the file a wrong one stands."""

import dataclasses
import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from embeddings.errors import ConfigError
from embeddings.handle import is_handle
from embeddings.options import BiLMOptions
from embeddings.settings import PretrainingSettings
from embeddings.tokenizer import TokenizerName
from embeddings.training_checkpoint import checkpoints_in, checkpoints_of
from models.options import HeadOptions, Task, TrainingSettings, check_trainable
from models.pretrained_vectors import is_vectors
from models.seq2seq_options import Seq2seqOptions, Seq2seqTraining
from pipeline.data_hub import HUB, hub_parts
from pipeline.docs_corpus import PREFIX, SPLITS
from pipeline.embedded import PREFIXES
from pipeline.readers import Format


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _existing(name: str) -> str:
    if not name.startswith(PREFIXES) and not Path(name).is_file():
        raise ValueError(f"no such file: {name}")
    return name


def _existing_source(source: str) -> str:
    if source in NO_SOURCE:
        return source
    if not (is_handle(source) or all(Path(part).exists() for part in source.split(",")) or Path(source).exists()):
        raise ValueError(f"no such source: {source}; expected a folder, an archive, a TF-Hub handle or OPTIONS,WEIGHTS")
    return source


NO_SOURCE = ("none", "tfidf")
"""What `embedding.source` says where nothing is below the head, or no head is trained at all."""


def _existing_vectors(name: str) -> str:
    if not Path(name).is_file():
        raise ValueError(f"no such file: {name}; expected word vectors in text form")
    return name


def _corpus(names: str | tuple[str, ...]) -> str | tuple[str, ...]:
    for name in [names] if isinstance(names, str) else names:
        if not (name.startswith(PREFIX) or Path(name).exists() or any(sign in name for sign in "*?[")):
            raise ValueError(f"no such file or folder: {name}")
    return names


def _of_any_words(values: Any) -> Any:
    """A biLM that reads words by their number does not know before its training how many there are."""
    if isinstance(values, dict) and values.get("inputs") == "words":
        return {"words": 3, "word_dim": values.get("projection", BiLMOptions.projection), "filters": ()} | values
    return values


def _can_be_pretrained(options: BiLMOptions) -> BiLMOptions:
    if options.inputs == "dictionaries":
        raise ValueError("inputs 'dictionaries' can be read but not pretrained; expected 'characters' or 'words'")
    return options


DataFile = Annotated[str, AfterValidator(_existing)]
"""A path, from the folder in which the command runs, or a part of the docs corpus: `docs:library/train`."""

Corpus = Annotated[str | tuple[str, ...], AfterValidator(_corpus)]
"""One or several of: a path, a folder, a pattern such as `books/*.txt.xz`, or a part of the docs corpus."""


class Tracking(_Section):
    """Where MLflow keeps the run.

    Args:
        experiment: that the run belongs to.
        register_model: whether the trained model is logged to MLflow and registered under the config's name.
        alias: that the new version of the registered model gets, whatever the version before scored.
    """

    experiment: str = "telmo"
    alias: str = "champion"
    register_model: bool = True


class PretrainConfig(_Section):
    """What `telmo pretrain` does.

    Args:
        output: folder of the biLM.
        train, validation: text, one sentence a line, CoNLL-U or Parquet; plain or compressed (xz, gz, bz2).
        column: of Parquet files.
        tokenizer: how a line becomes words.
        shuffle: sentences that are held in memory to be shuffled; 0 to read the text in its order.
        vocabulary: most words that are predicted.
        min_count: how often a word must occur to be among them.
        epochs: passes over the training text; may be a fraction.
        source: a biLM in any form, to go on from (domain adaptation).
        bilm: sizes of a new one.
        training: how it is trained.
    """

    output: Path
    train: Corpus
    validation: Corpus
    column: str = "text"
    tokenizer: TokenizerName = "spacy"
    encoding: str = "utf-8"
    shuffle: int = Field(0, ge=0)
    vocabulary: int = Field(10_000, ge=4)
    min_count: int = Field(1, ge=1)
    epochs: float = Field(1.0, gt=0)
    source: str | None = None
    bilm: Annotated[BiLMOptions, BeforeValidator(_of_any_words), AfterValidator(_can_be_pretrained)] = BiLMOptions()
    training: PretrainingSettings = PretrainingSettings()
    tracking: Tracking = Tracking()

    @field_validator("source")
    @classmethod
    def _source_is_there_to_begin_with(cls, source: str | None, info: ValidationInfo) -> str | None:
        # A training that goes on has no more need of it.
        goes_on = "output" in info.data and checkpoints_in(checkpoints_of(info.data["output"]))
        return source if source is None or goes_on else _existing_source(source)

    @model_validator(mode="after")
    def _one_of_source_and_bilm(self) -> "PretrainConfig":
        if self.source and "bilm" in self.model_fields_set:
            raise ValueError(
                "'source' and 'bilm' are both there; expected one of them: the source has sizes of its own"
            )
        return self


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


class Texts(_Section):
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


class Split(_Section):
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
            else:
                _existing(name)
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


def _named_files(files: Any, folder: Path | None) -> list[tuple[str | None, str]]:
    labelled: list[tuple[str | None, str]]
    labelled = list(files.items()) if isinstance(files, dict) else [(None, name) for name in _listed(files)]
    if folder is None:
        return labelled
    return [(label, name if name.startswith((*PREFIXES, HUB)) else str(folder / name)) for label, name in labelled]


def _listed(files: Any) -> list:
    return files if isinstance(files, list) else [] if files is None else [files]


class DataConfig(_Section):
    """The part of a training config that `telmo data` reads; the rest may be anything.

    Args:
        task: classification, tagging or seq2seq.
        data: the labelled texts.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)
    task: Task
    data: Data


class Embedding(_Section):
    """What is below the head.

    Args:
        source: a biLM in any form, or for classification a SavedModel that embeds texts. Or to compare it with: a file
            of word vectors in text form (GloVe, fastText: `.txt` or `.vec`, plain or compressed); `none`, to learn
            from the labelled texts alone; `tfidf`, for TF-IDF with logistic regression in place of a head, which
            takes nothing of `head` but its schemes and of `training` but the class weights. Where there is no biLM,
            words and characters stand in for ELMo in the head's inputs.
        weights: `pretrained`, or `random` for a biLM of the same sizes that has learned nothing.
        vectors: a file of word vectors beside the biLM, for the head's input of words.
        layers: of a frozen biLM: `stored`, computed once and read back from the disk in each epoch, or `computed` anew
            in each epoch, which is slower and needs no room on the disk. Those of a biLM that is fine-tuned are always
            computed.
        store: folder that keeps a biLM's stored layers for the next run; by default they are removed after training.
    """

    source: Annotated[str, AfterValidator(_existing_source)]
    weights: Annotated[str, Field(pattern="^(pretrained|random)$")] = "pretrained"
    vectors: Annotated[str, AfterValidator(_existing_vectors)] | None = None
    layers: Literal["stored", "computed"] = "stored"
    store: Path | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Embedding":
        if self.kind == "bilm":
            return self
        if self.vectors is not None:
            raise ValueError(f"'vectors' stands beside a biLM; the source is {self.source}")
        if self.weights == "random":
            raise ValueError(f"weights 'random' is for a biLM; the source is {self.source}")
        return self

    @property
    def kind(self) -> Literal["bilm", "vectors", "none", "tfidf"]:
        """What the source is; `bilm` stands for a SavedModel too."""
        if self.source in NO_SOURCE:
            return self.source  # type: ignore[return-value]
        return "vectors" if is_vectors(self.source) else "bilm"

    @property
    def vectors_file(self) -> str | None:
        """The file of word vectors, if there is one."""
        return self.source if self.kind == "vectors" else self.vectors


class TrainConfig(_Section):
    """What `telmo train` does.

    Args:
        name: of the registered model.
        task: classification or tagging.
        output: folder of the trained model.
        seed: of everything that is drawn at random.
        data, embedding, head, training, tracking: the parts.
    """

    name: str = Field(pattern=r"^[\w.-]+$")
    task: Task
    output: Path
    seed: int = 1
    data: Data
    embedding: Embedding
    head: HeadOptions = HeadOptions()
    training: TrainingSettings = TrainingSettings()
    tracking: Tracking = Tracking()

    @model_validator(mode="after")
    def _trainable(self) -> "TrainConfig":
        try:
            check_trainable(self.task, self.head)
        except ValueError as error:
            raise ValueError(f"'head': {error}") from None
        _check_bilm(self.embedding, self.head.uses_bilm)
        if self.training.fine_tune and self.embedding.kind != "bilm":
            raise ValueError(f"'training.fine_tune' trains a biLM; the source is {self.embedding.source}")
        stored = "layers" in self.embedding.model_fields_set and self.embedding.layers == "stored"
        if self.training.fine_tune and stored:
            raise ValueError("'training.fine_tune' changes the biLM; expected 'embedding.layers' to be computed")
        if self.task == "tagging":
            _check_tagging(self.data, self.training)
        if self.head.pairs and not self.data.text_pair:
            raise ValueError("'head.pairs' reads two texts; expected the column of the second in 'data.text_pair'")
        return self

    @property
    def computes_layers(self) -> bool:
        """Whether a biLM's layers are computed in each epoch."""
        return self.training.fine_tune or self.embedding.layers == "computed"


def _check_bilm(embedding: Embedding, is_used: bool) -> None:
    if embedding.kind == "bilm" and not is_used:
        raise ValueError("'head.inputs' has no 'elmo', which reads the biLM of 'embedding'")


def _check_tagging(data: Data, training: TrainingSettings) -> None:
    asked = {
        "data.text_pair": data.text_pair,
        "data.label_separator": data.label_separator,
        "training.class_weights": training.class_weights != "none",
    }
    for key, value in asked.items():
        if value:
            raise ValueError(f"'{key}' is for classification; this is tagging")


class Seq2seqConfig(TrainConfig):
    """What `telmo train` does for the task seq2seq.

    Args:
        task: seq2seq.
        embedding: the biLM, or `none`.
        head, training: of a translating model.
    """

    task: Literal["seq2seq"]
    embedding: Embedding = Embedding(source="none")
    head: Seq2seqOptions = Seq2seqOptions()  # type: ignore[assignment]
    training: Seq2seqTraining = Seq2seqTraining()

    @model_validator(mode="after")
    def _trainable(self) -> "Seq2seqConfig":
        if self.embedding.vectors_file or self.embedding.kind == "tfidf":
            found = self.embedding.vectors_file or self.embedding.source
            raise ValueError(f"'embedding': {found} is not for seq2seq; expected a biLM or none")
        _check_bilm(self.embedding, self.head.uses_bilm)
        for key, value in (("training.fine_tune", self.training.fine_tune), ("embedding.layers", self.computes_layers)):
            if value:
                raise ValueError(f"'{key}' is for classification and tagging; this is seq2seq")
        return self


Config = TypeVar("Config", bound=_Section)


def read_config(kind: type[Config], path: Path, changes: list[str] | None = None) -> Config:
    """Read a YAML config.

    Args:
        kind: `PretrainConfig` or `TrainConfig`, which for the task seq2seq gives a `Seq2seqConfig`.
        path: the file.
        changes: `key=value` from the command line, such as `training.epochs=3`; the value is YAML.

    Raises:
        ConfigError: the file cannot be read, or a key is unknown, missing or of a wrong type; the message names the
            line and the key.
    """
    values, node = read_yaml(path, changes)
    return validated(kind, values, path, node)


def read_yaml(path: Path, changes: list[str] | None = None) -> tuple[dict[str, Any], yaml.Node | None]:
    """The values of a config as they are written, with changes, and where they stand.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8; expected a YAML config") from None
    try:
        values, node = yaml.safe_load(text), yaml.compose(text)
    except ValueError as error:
        raise ConfigError(f"{path}: not YAML ({error})") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{place}: not YAML ({getattr(error, 'problem', error)})") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: found {type(values).__name__}; expected keys and values")
    for change in changes or []:
        _change(values, change)
    return values, node


def validated(kind: type[Config], values: dict[str, Any], path: Path, node: yaml.Node | None) -> Config:
    """The config that values make, as `read_yaml` gives them.

    Raises:
        ConfigError: a key is unknown, missing or of a wrong type; the message names the line and the key.
    """
    if issubclass(kind, TrainConfig) and values.get("task") == "seq2seq":
        kind = Seq2seqConfig  # type: ignore[assignment]
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = [problem(kind, path, node, detail) for detail in error.errors()]
        raise ConfigError("\n".join(problems)) from None


def flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested keys as one, with dots between them."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _change(values: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {change}: expected key=value, such as training.epochs=3")
    try:
        set_value(values, key, yaml.safe_load(value))
    except ValueError as error:
        raise ConfigError(f"--set {change}: {error}") from None
    except yaml.YAMLError:
        raise ConfigError(f"--set {change}: '{value}' is not a YAML value") from None


def set_value(values: dict[str, Any], key: str, value: Any) -> None:
    """Set a key such as `training.epochs`.

    Raises:
        ValueError: what stands above it is no section.
    """
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ValueError(f"'{section}' is a value, not a section")
    values[last] = value


def problem(kind: type[_Section], path: Path, node: yaml.Node | None, detail: Any) -> str:
    """One line for a person: file, line, key, what was found and what was expected."""
    keys = [str(part) for part in detail["loc"]]
    line = _line(node, keys)
    place = f"{path} line {line}" if line else f"{path}"
    key = ".".join(keys)
    if detail["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = _known_keys(kind, keys[:-1])
        close = difflib.get_close_matches(keys[-1], known, n=1)
        expected = f"; expected one of {', '.join(known)}" if known else ""
        return f"{place}: unknown key '{key}'" + (f"; did you mean '{close[0]}'?" if close else expected)
    if detail["type"] == "missing":
        return f"{place}: key '{key}' is missing"
    if detail["type"] == "union_tag_not_found":
        return f"{place}: key '{key}.kind' is missing"
    if detail["type"] == "union_tag_invalid":
        return f"{place}: '{key}.kind' is '{detail['ctx']['tag']}'; expected one of {detail['ctx']['expected_tags']}"
    if detail["type"] == "value_error":
        return f"{place}: '{key}': {detail['ctx']['error']}" if key else f"{place}: {detail['ctx']['error']}"
    message = detail["msg"].removeprefix("Input should be ").removeprefix("String should have ")
    return f"{place}: '{key}' is {detail['input']!r}; expected {message}"


def _known_keys(kind: Any, keys: list[str]) -> list[str]:
    for key in keys:
        kind = getattr(kind, "model_fields", None) and kind.model_fields[key].annotation
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    return list(getattr(kind, "model_fields", {}))


def _line(node: yaml.Node | None, keys: list[str]) -> int | None:
    """The line of a key, or of the section that lacks it."""
    line = None
    for key in keys:
        if not isinstance(node, yaml.MappingNode):
            break
        found = next(((name, value) for name, value in node.value if name.value == key), None)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line
