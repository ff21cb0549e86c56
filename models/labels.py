"""From the labels of data to those that a head learns, and back."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from embeddings.errors import ConfigError, InputError
from models.examples import Examples, unseen_label
from models.label_scheme import labels_in_scheme, marks_spans, scheme_of_texts, to_scheme
from models.options import HeadOptions, Task


def resolve_options(task: Task, options: HeadOptions, train: Examples) -> HeadOptions:
    """The options with what the training data say filled in: whether texts are pairs, whether they have any number of
    labels, and the scheme of a tagger's answers, where it learns another.

    Raises:
        ConfigError: the tags mark no spans, though a scheme is asked for; or constraints are those of another scheme.
    """
    if task == "classification":
        many, pairs = options.multi_label or train.is_multi_label, options.pairs or train.pairs is not None
        return replace(options, multi_label=many, pairs=pairs)
    found = scheme_of_texts(train.targets) if options.scheme or options.constraints else None
    if not options.scheme:
        if found and options.constraints not in (None, found):
            raise ConfigError(
                f"head.constraints: '{options.constraints}' does not fit the tags, which are in {found}; expected "
                f"'{found}', or head.scheme '{options.constraints}', too, to learn them in that scheme"
            )
        return options
    if found is None:
        odd = next(label for label in train.label_set() if not marks_spans([label, "B-X"]))
        raise ConfigError(f"head.scheme: '{options.scheme}' does not fit the label '{odd}'; expected such as 'B-X'")
    return replace(options, answers=options.answers or found)


def label_set(options: HeadOptions, train: Examples, more: Sequence[str] = ()) -> list[str]:
    """The labels that a head learns from training data, and some more, in the order of its output."""
    labels = train.label_set(more)
    return labels_in_scheme(labels, options.scheme) if options.scheme else labels


def numbered_targets(options: HeadOptions, labels: Sequence[str], examples: Examples) -> list[np.ndarray]:
    """The targets of a head: the number of each text's label, int32 `[]`; of the tags of its words, `[words]`; or with
    many labels to a text 1 for each that it has and 0 for the others, float32 `[labels]`.

    Raises:
        InputError: a label is not among `labels`; the message names the place and the label.
    """
    if not options.multi_label:
        return examples.in_scheme(labels, options.scheme).numbered(labels)
    number = {label: k for k, label in enumerate(labels)}
    targets = []
    for own, place in zip(examples.targets, examples.places, strict=True):
        if isinstance(own, str):
            raise InputError(f"{place}: one label '{own}'; head.multi_label expects a list of labels")
        row = np.zeros(len(labels), np.float32)
        for label in own:
            if label not in number:
                raise unseen_label(place, label, labels)
            row[number[label]] = 1.0
        targets.append(row)
    return targets


def answers(options: HeadOptions, labels: Sequence[str], path: Sequence[int] | np.ndarray) -> list[str]:
    """The tags that a tagger answers with, for the numbers of those that it has learned."""
    tags = [labels[k] for k in path]
    return to_scheme(tags, options.answers) if options.answers and options.answers != options.scheme else tags


def likely_labels(given: np.ndarray, labels: Sequence[str], multi_label: bool) -> list:
    """What a classifier answers with.

    Args:
        given: probabilities `[texts, labels]`.
        labels: the label set.
        multi_label: whether a text may have any number of them.

    Returns:
        The most probable label of each text, or a list of those that are more probable than not.
    """
    if multi_label:
        return [[label for label, p in zip(labels, row, strict=True) if p > 0.5] for row in given]
    return [labels[k] for k in given.argmax(axis=1)]


def class_weights(wanted, options: HeadOptions, labels: Sequence[str], targets: Sequence[np.ndarray]):
    """What each label counts in the loss.

    Args:
        wanted: `class_weights` of the settings.
        options: of the head.
        labels: the label set.
        targets: of the training data, from `numbered_targets`.

    Returns:
        float32 `[labels]`, or None if all count the same.

    Raises:
        ConfigError: a label is unknown.
    """
    if wanted == "none":
        return None
    if wanted != "balanced":
        for label in wanted:
            if label not in labels:
                raise ConfigError(f"training.class_weights: no label '{label}'; expected one of {', '.join(labels)}")
        return np.array([wanted.get(label, 1.0) for label in labels], np.float32)
    if options.multi_label:
        present = np.sum(targets, axis=0)
        # One that no text lacks would count nothing, and never be learned.
        return (np.maximum(len(targets) - present, 1) / np.maximum(present, 1)).astype(np.float32)
    counts = np.bincount(targets, minlength=len(labels))
    return (len(targets) / (len(labels) * np.maximum(counts, 1))).astype(np.float32)
