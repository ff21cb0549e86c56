"""Labelled texts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from embeddings.errors import InputError
from models.label_scheme import Scheme, marks_spans, scheme_of, to_scheme
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
    def texts(self) -> Sequence[Sequence[str]]:
        """All texts: of pairs the first ones, then the second ones. A store holds the layers of these."""
        return self.sentences if self.pairs is None else [*self.sentences, *self.pairs]

    @property
    def example(self) -> str | list[str]:
        """The first text, or pair of texts, to try a model with."""
        first = " ".join(self.sentences[0])
        return first if self.pairs is None else [first, " ".join(self.pairs[0])]

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
        return replace(self, targets=[to_scheme(tags, scheme) for tags in self.targets])

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
                raise unseen_label(place, error.args[0], labels) from None
            numbered.append(np.array(numbers, np.int32))
        return numbered


def unseen_label(place: str, label: str, labels: Sequence[str]) -> InputError:
    """What to say of a label that a model does not know."""
    known = ", ".join(labels[:20]) + (", ..." if len(labels) > 20 else "")
    return InputError(f"{place}: label {label!r} was not seen in training; known labels: {known}")
