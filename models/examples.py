"""Labelled texts, and the batches that heads learn from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from embeddings.errors import InputError
from embeddings.store import Store
from models.label_scheme import Scheme, marks_spans, scheme_of, spans_of_tags, tags_of_spans
from models.metrics import flat_labels


@dataclass(frozen=True)
class Examples:
    """Labelled texts of one split.

    Args:
        sentences: the words of each text.
        targets: for classification a label for each text, or of multi-label texts a sorted tuple of labels, which may
            be empty; for tagging a tag for each word of each text; for seq2seq the words of each target.
        places: where each text stands, for messages, such as `train.csv line 7`.
        pairs: the words of each second text, to classify pairs; else None.
        references: for seq2seq the targets as they were written, which BLEU and chrF are measured against; else None.
    """

    sentences: Sequence[Sequence[str]]
    targets: Sequence[str] | Sequence[Sequence[str]]
    places: Sequence[str]
    pairs: Sequence[Sequence[str]] | None = None
    references: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.sentences)

    @property
    def is_multi_label(self) -> bool:
        """Whether a text may have none, one or several labels."""
        return isinstance(self.targets[0], tuple)

    def label_set(self, more: Sequence[str] = ()) -> list[str]:
        """All labels and some more, in the order of the alphabet, `O` first among tags."""
        return sorted({*flat_labels(self.targets), *more}, key=lambda label: (label != "O", label))

    def in_scheme(self, labels: Sequence[str], scheme: Scheme | None = None) -> "Examples":
        """The same examples, with their tags in the scheme of a model if theirs is another.

        Args:
            labels: of the model.
            scheme: of the labels, if it is known; else it is told from them.
        """
        own = set(flat_labels(self.targets))
        if scheme is None:
            scheme = scheme_of(labels)
            # IOB1 and BIO have the same labels; which of them the model's are cannot be told.
            scheme = None if scheme == scheme_of(list(own)) else scheme
        if scheme is None or not marks_spans(list(own)):
            return self
        targets = [tags_of_spans(spans_of_tags(tags), len(tags), scheme) for tags in self.targets]
        return replace(self, targets=targets)

    def numbered(self, labels: Sequence[str]) -> list[np.ndarray]:
        """The number of each label, int32: shape `[]` for a text, `[words]` for tags.

        Raises:
            InputError: a label is not among `labels`; the message names the place and the label.
        """
        number = {label: k for k, label in enumerate(labels)}
        numbered = []
        for target, place in zip(self.targets, self.places, strict=True):
            try:
                numbers = number[target] if isinstance(target, str) else [number[tag] for tag in target]
            except KeyError as error:
                known = ", ".join(labels[:20]) + (", ..." if len(labels) > 20 else "")
                raise InputError(f"{place}: label {error} was not seen in training; known labels: {known}") from None
            numbered.append(np.array(numbers, np.int32))
        return numbered


def batches(
    store: Store, targets: Sequence[np.ndarray] | None, batch_size: int, random: np.random.Generator | None = None
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray], np.ndarray | None]]:
    """Batches of texts of like length.

    Args:
        store: the biLM's layers of each text.
        targets: from `Examples.numbered`, or None to predict.
        batch_size: texts in a batch.
        random: shuffles the texts, mildly sorted by length, and then the batches; None for the order of length.

    Yields:
        The positions of the texts, int `[batch]`; what heads take, `layers` `[batch, layers, time, dim]` and `mask`
        `[batch, time]`; and the targets, `[batch]` or `[batch, time]`.
    """
    lengths = np.array([layers.shape[1] for layers in store])
    noise = random.uniform(0.9, 1.1, len(lengths)) if random else 1.0
    order = np.argsort(lengths * noise, kind="stable")
    chunks = [order[first : first + batch_size] for first in range(0, len(order), batch_size)]
    if random:
        random.shuffle(chunks)
    for chunk in chunks:
        yield (
            chunk,
            padded([store[k] for k in chunk]),
            None if targets is None else _padded_targets([targets[k] for k in chunk]),
        )


def padded(layers: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """What heads take, from the layers `[layers, words, dim]` of each text."""
    mask = mask_of([x.shape[1] for x in layers])
    count, _, dim = layers[0].shape
    together = np.zeros((len(layers), count, mask.shape[1], dim), np.float32)
    for row, x in zip(together, layers, strict=True):
        row[:, : x.shape[1]] = x
    return {"layers": together, "mask": mask}


def mask_of(lengths: Sequence[int]) -> np.ndarray:
    """Where the words of texts stand that are padded to the longest: bool `[batch, time]`."""
    return np.arange(max(lengths)) < np.array(lengths)[:, None]


def _padded_targets(targets: Sequence[np.ndarray]) -> np.ndarray:
    if targets[0].ndim == 0:
        return np.array(targets)
    together = np.zeros((len(targets), max(map(len, targets))), np.int32)
    for row, target in zip(together, targets, strict=True):
        row[: len(target)] = target
    return together
