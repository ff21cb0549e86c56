"""What each key of a config means."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from embeddings.bundled import DEFAULT, bundled
from embeddings.handle import is_handle
from embeddings.options import BiLMOptions
from embeddings.settings import PretrainingSettings
from embeddings.tokenizer import TokenizerName
from embeddings.training_checkpoint import checkpoints_in, checkpoints_of
from models.options import HeadOptions, Task, TrainingSettings, check_trainable
from models.pretrained_vectors import is_vectors
from models.seq2seq_options import Seq2seqOptions, Seq2seqTraining
from pipeline.config_file import Config, ConfigFile, Section
from pipeline.data_config import Data
from pipeline.docs_corpus import PREFIX
from serve.registry import is_registered


def _existing_bilm(source: str) -> str:
    if not _is_there(source):
        raise ValueError(f"no such source: {source}; expected {_BILM}")
    return source


def _existing_source(source: str) -> str:
    if source not in NO_SOURCE and not _is_there(source):
        raise ValueError(
            f"no such source: {source}; expected a biLM ({_BILM}), a file of word vectors, {' or '.join(NO_SOURCE)}"
        )
    return source


def _is_there(source: str) -> bool:
    return (
        is_handle(source)
        or bundled(source) is not None
        or is_registered(source)
        or all(Path(part).exists() for part in source.split(","))
        or Path(source).exists()
    )


_BILM = f"{DEFAULT}, a folder, an archive, a TF-Hub handle, OPTIONS,WEIGHTS or models:/NAME@ALIAS"


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


Corpus = Annotated[str | tuple[str, ...], AfterValidator(_corpus)]
"""One or several of: a path, a folder, a pattern such as `books/*.txt.xz`, or a part of the docs corpus."""


class Tracking(Section):
    """Where MLflow keeps the run.

    Args:
        experiment: that the run belongs to.
        register_model: whether the trained model is logged to MLflow and registered under the config's name.
        enabled: whether there is a run at all.
        alias: that the new version of the registered model gets, whatever the version before scored; by default
            `champion` where no version ever had it, else `challenger`, which `telmo models promote` makes the champion
            if it is no worse.
    """

    enabled: bool = True
    experiment: str = "telmo"
    alias: str | None = None
    register_model: bool = True


class PretrainConfig(Section):
    """What `telmo pretrain` does.

    Args:
        output: folder of the biLM.
        name: of the registered model; by default that of the folder.
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
    name: Annotated[str, Field(pattern=r"^[\w.-]+$")] | None = None
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

    @property
    def registered_name(self) -> str:
        return self.name or self.output.resolve().name

    @field_validator("source")
    @classmethod
    def _source_is_there_to_begin_with(cls, source: str | None, info: ValidationInfo) -> str | None:
        # A training that goes on has no more need of it.
        goes_on = "output" in info.data and checkpoints_in(checkpoints_of(info.data["output"]))
        return source if source is None or goes_on else _existing_bilm(source)

    @model_validator(mode="after")
    def _one_of_source_and_bilm(self) -> "PretrainConfig":
        if self.source and "bilm" in self.model_fields_set:
            raise ValueError(
                "'source' and 'bilm' are both there; expected one of them: the source has sizes of its own"
            )
        return self


class Embedding(Section):
    """What is below the head.

    Args:
        source: a biLM in any form, by default the one that comes with Telmo; or for classification a SavedModel that
            embeds texts. Or to compare it with: a file of word vectors in text form (GloVe, fastText: `.txt` or `.vec`,
            plain or compressed); `none`, to learn from the labelled texts alone; `tfidf`, for TF-IDF with logistic
            regression in place of a head, which takes nothing of `head` but its schemes and of `training` but the class
            weights. Where there is no biLM, words and characters stand in for ELMo in the head's inputs.
        weights: `pretrained`, or `random` for a biLM of the same sizes that has learned nothing.
        vectors: a file of word vectors beside the biLM, for the head's input of words.
        layers: of a frozen biLM: `stored`, computed once and read back from the disk in each epoch, or `computed` anew
            in each epoch, which is slower and needs no room on the disk. Those of a biLM that is fine-tuned are always
            computed.
        store: folder that keeps a biLM's stored layers for the next run; by default they are removed after training.
    """

    source: Annotated[str, AfterValidator(_existing_source)] = DEFAULT
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


class TrainConfig(Section):
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
    embedding: Embedding = Embedding()
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
        asked = {
            "training.fine_tune": self.training.fine_tune,
            "embedding.layers": self.computes_layers,
            "data.text_pair": self.data.text_pair,
            "data.label_separator": self.data.label_separator,
            "training.class_weights": self.training.class_weights != "none",
        }
        for key, value in asked.items():
            if value:
                raise ValueError(f"'{key}' is for classification and tagging; this is seq2seq")
        return self


def read_config(kind: type[Config], path: Path, changes: Sequence[str] | None = None) -> Config:
    """Read a YAML config.

    Args:
        kind: `PretrainConfig` or `TrainConfig`, which for the task seq2seq gives a `Seq2seqConfig`.
        path: the file.
        changes: `key=value` from the command line, such as `training.epochs=3`; the value is YAML.

    Raises:
        ConfigError: the file cannot be read, or a key is unknown, missing or of a wrong type; the message names the
            line or the change, and the key.
    """
    return validated(kind, ConfigFile.read(path, changes))


def validated(kind: type[Config], file: ConfigFile) -> Config:
    """As `ConfigFile.validated`; for the task seq2seq a `Seq2seqConfig`."""
    if issubclass(kind, TrainConfig) and file.values.get("task") == "seq2seq":
        kind = Seq2seqConfig  # type: ignore[assignment]
    return file.validated(kind)
