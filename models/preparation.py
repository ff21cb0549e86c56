"""What has to be settled before a head is trained: from its options and the data to labels and vocabularies."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from embeddings.errors import ConfigError
from models.examples import Examples
from models.features import Features
from models.labels import label_set, resolve_options
from models.options import HeadOptions, Task, WordInput, check_trainable, without_elmo
from models.pretrained_vectors import PretrainedVectors


@dataclass(frozen=True)
class Prepared:
    """What `train_head` takes beside the data and the biLM's layers: the options with what the data say, the label set,
    the vocabularies of words and characters, and word vectors to begin with."""

    options: HeadOptions
    labels: list[str]
    features: Features | None
    vectors: PretrainedVectors | None


def prepare(
    task: Task,
    options: HeadOptions,
    train: Examples,
    bilm: bool = True,
    vectors: str | Path | None = None,
    more_labels: Sequence[str] = (),
) -> Prepared:
    """Settle what a head is and what it knows.

    Args:
        task, options: of the head, as a config has them.
        train: the training data.
        bilm: whether there is something below the head that gives layers; without it words and characters stand in
            for ELMo.
        vectors: a file of word vectors in text form, for the inputs of words.
        more_labels: that the head shall know though the training data lack them.

    Raises:
        ConfigError: the head does not fit the task, the labels or the word vectors.
        SourceError: the word vectors cannot be read.
    """
    if not bilm:
        options = without_elmo(options)
    if vectors is not None and not any(isinstance(part, WordInput) for part in options.inputs):
        raise ConfigError("head.inputs: word vectors need an input of kind 'words'; there is none")
    options = resolve_options(task, options, train)
    labels = label_set(options, train, more_labels)
    try:
        check_trainable(task, options, labels)
    except ValueError as error:
        raise ConfigError(f"head: {error}") from None
    read = None
    if vectors is not None:
        # The last, since such files are large.
        read = PretrainedVectors.read(vectors, {word for text in train.texts for word in text})
        inputs = (replace(part, dim=read.dim) if isinstance(part, WordInput) else part for part in options.inputs)
        options = replace(options, inputs=tuple(inputs))
    features = Features.learned(options, train.texts, read) if options.features else None
    return Prepared(options, labels, features, read)
