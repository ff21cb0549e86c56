"""Config files: what each key means, and where in the file a wrong one stands."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from embeddings.errors import ConfigError
from embeddings.handle import is_handle
from embeddings.options import BiLMOptions
from embeddings.settings import PretrainingSettings
from embeddings.tokenizer import TokenizerName
from models.options import HeadOptions, Task, TrainingSettings, check_trainable
from pipeline.docs_corpus import PREFIX
from pipeline.readers import Format


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _existing(name: str) -> str:
    if not name.startswith(PREFIX) and not Path(name).is_file():
        raise ValueError(f"no such file: {name}")
    return name


def _existing_source(source: str) -> str:
    if not (is_handle(source) or all(Path(part).exists() for part in source.split(",")) or Path(source).exists()):
        raise ValueError(f"no such source: {source}; expected a folder, an archive, a TF-Hub handle or OPTIONS,WEIGHTS")
    return source


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
    source: Annotated[str, AfterValidator(_existing_source)] | None = None
    bilm: Annotated[BiLMOptions, BeforeValidator(_of_any_words), AfterValidator(_can_be_pretrained)] = BiLMOptions()
    training: PretrainingSettings = PretrainingSettings()
    tracking: Tracking = Tracking()

    @model_validator(mode="after")
    def _one_of_source_and_bilm(self) -> "PretrainConfig":
        if self.source and "bilm" in self.model_fields_set:
            raise ValueError(
                "'source' and 'bilm' are both there; expected one of them: the source has sizes of its own"
            )
        return self


class Data(_Section):
    """The labelled texts.

    Args:
        train, validation, test: data files.
        format: of the files, if their names do not tell.
        text, label: columns; by default `text` and `label`, for tagging `words` and `tags`.
        tokenizer: how a raw text becomes words.
        limit: most examples of the training file; drawn at random, always the same ones.
        held_out_limit: likewise of the validation and of the test file.
    """

    train: DataFile
    validation: DataFile
    test: DataFile
    format: Format | None = None
    text: str | None = None
    label: str | None = None
    tokenizer: TokenizerName = "spacy"
    encoding: str = "utf-8"
    limit: int | None = Field(None, ge=1)
    held_out_limit: int | None = Field(None, ge=1)


class Embedding(_Section):
    """What is below the head.

    Args:
        source: a biLM in any form, or for classification a SavedModel that embeds texts.
        weights: `pretrained`, or `random` for a biLM of the same sizes that has learned nothing.
        store: folder that keeps the computed layers for the next run; by default they are removed after training.
    """

    source: Annotated[str, AfterValidator(_existing_source)]
    weights: Annotated[str, Field(pattern="^(pretrained|random)$")] = "pretrained"
    store: Path | None = None


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
        return self


Config = TypeVar("Config", bound=_Section)


def read_config(kind: type[Config], path: Path, changes: list[str] | None = None) -> Config:
    """Read a YAML config.

    Args:
        kind: `PretrainConfig` or `TrainConfig`.
        path: the file.
        changes: `key=value` from the command line, such as `training.epochs=3`; the value is YAML.

    Raises:
        ConfigError: the file cannot be read, or a key is unknown, missing or of a wrong type; the message names the
            line and the key.
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
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = [_problem(kind, path, node, detail) for detail in error.errors()]
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
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"--set {change}: '{section}' is a value, not a section")
    try:
        values[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {change}: '{value}' is not a YAML value") from None


def _problem(kind: type[_Section], path: Path, node: yaml.Node | None, detail: Any) -> str:
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
    if detail["type"] == "value_error":
        return f"{place}: '{key}': {detail['ctx']['error']}" if key else f"{place}: {detail['ctx']['error']}"
    message = detail["msg"].removeprefix("Input should be ")
    return f"{place}: '{key}' is {detail['input']!r}; expected {message}"


def _known_keys(kind: Any, keys: list[str]) -> list[str]:
    for key in keys:
        kind = getattr(kind, "model_fields", None) and kind.model_fields[key].annotation
    return list(getattr(kind, "model_fields", None) or getattr(kind, "__dataclass_fields__", {}))


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
