"""A model's answers to labelled texts, and how sure it was of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from embeddings.errors import InputError
from models.counts import Counts, counts_of
from models.description import Description
from models.examples import Examples
from models.label_scheme import labels_in_scheme, to_scheme
from models.metrics import main_metric
from models.predictions import Classification, Tagging
from models.predictor import Predictor
from models.seq2seq_metrics import MAIN, translation_counts
from models.translator import Translator

_TEXTS_AT_ONCE = 1024


@dataclass(frozen=True)
class Answers:
    """What a model answered, beside what is true.

    Args:
        description: of the model.
        examples: the texts, with their labels as the model would give them; tags are in its scheme.
        labels: that its answers may have.
        predicted: a label, labels, tags or a translation for each text.
        sure: for each text the probability of each part of the answer: of the label; of each label of the label set
            that it has it or not, as answered; of each word's tag. Of a translation its score.
        of_gold: likewise of what is true; empty for translations.
    """

    description: Description
    examples: Examples
    labels: Sequence[str]
    predicted: list
    sure: list[np.ndarray]
    of_gold: list[np.ndarray]

    @property
    def task(self) -> str:
        return self.description.task

    @property
    def gold(self) -> Sequence:
        """What is true, in the form of `predicted`."""
        return self.examples.references or [] if self.task == "seq2seq" else self.examples.targets

    @cached_property
    def marks(self) -> list[np.ndarray]:
        """For each text whether each part of the answer is right, as in `sure`; of a translation whether it is the
        reference."""
        if self.task == "seq2seq":
            return [np.array([g.split() == p.split()]) for g, p in zip(self.gold, self.predicted, strict=True)]
        if self.many:
            return [
                np.array([(label in g) == (label in p) for label in self.labels])
                for g, p in zip(self.gold, self.predicted, strict=True)
            ]
        if self.task == "tagging":
            return [np.array(g) == np.array(p) for g, p in zip(self.gold, self.predicted, strict=True)]
        return [np.array([g == p]) for g, p in zip(self.gold, self.predicted, strict=True)]

    @property
    def many(self) -> bool:
        """Whether a text may have any number of labels."""
        return self.task == "classification" and self.description.head.multi_label

    @property
    def main(self) -> str:
        """The metric by which such a model is chosen."""
        return MAIN if self.task == "seq2seq" else main_metric(self.task, self.labels, self.counts.scores())

    @cached_property
    def counts(self) -> Counts:
        if self.task == "seq2seq":
            return translation_counts(self.gold, self.predicted)
        return counts_of(self.task, self.gold, self.predicted, self.labels)


def answers_of(predictor: Predictor, examples: Examples, name: str) -> Answers:
    """Ask a model for the labels of labelled texts.

    Args:
        predictor: the model.
        examples: the texts.
        name: of the data, for messages.

    Raises:
        InputError: the texts have a label that the model does not know, or several labels where it gives one, or the
            other way round; or they are no pairs where it reads pairs, or the other way round.
    """
    description, options = predictor.description, predictor.description.head
    if isinstance(predictor, Translator):
        found = predictor.translate(examples.sentences)
        scores = [np.array([translation.hypotheses[0].score]) for translation in found]
        return Answers(description, examples, [], [translation.text for translation in found], scores, [])
    labels = labels_in_scheme(description.labels, options.answers) if options.answers else description.labels
    if description.task == "tagging":
        examples = examples.in_scheme(labels, options.answers or options.constraints)
    else:
        _check_form(description, examples, name)
    examples.numbered(labels)
    texts: Sequence = examples.sentences
    if examples.pairs is not None:
        texts = list(zip(examples.sentences, examples.pairs, strict=True))
    predicted: list[Any] = []
    sure: list[np.ndarray] = []
    of_gold: list[np.ndarray] = []
    # What is known of every label of every word is kept for some texts at a time only.
    for first in range(0, len(texts), _TEXTS_AT_ONCE):
        asked = texts[first : first + _TEXTS_AT_ONCE]
        tagging = description.task == "tagging"
        given: Sequence = predictor.tag(asked, marginals=True) if tagging else predictor.predict(asked)
        probability: Any = _of_tags if tagging else _of_label_set if options.multi_label else _of_label
        for prediction, gold in zip(given, examples.targets[first:], strict=False):
            answer = prediction.tags if tagging else prediction.labels if options.multi_label else prediction.label
            predicted.append(answer)
            sure.append(probability(description, prediction, answer))
            of_gold.append(probability(description, prediction, gold))
    return Answers(description, examples, labels, predicted, sure, of_gold)


def _check_form(description: Description, examples: Examples, name: str) -> None:
    options = description.head
    if options.multi_label != examples.is_multi_label:
        found, expected = ("one label", "a list of labels") if options.multi_label else ("several labels", "one")
        raise InputError(f"{name}: {found} a text; the model {description.name} expects {expected}")
    if options.pairs != (examples.pairs is not None):
        found, expected = ("one text", "pairs of texts") if options.pairs else ("pairs of texts", "one text")
        raise InputError(f"{name}: {found} an example; the model {description.name} reads {expected}")


def _of_label(description: Description, prediction: Classification, label: str) -> np.ndarray:
    return np.array([prediction.probabilities[label]])


def _of_label_set(description: Description, prediction: Classification, labels: Sequence[str]) -> np.ndarray:
    probabilities = np.array([prediction.probabilities[label] for label in description.labels])
    return np.where([label in labels for label in description.labels], probabilities, 1 - probabilities)


def _of_tags(description: Description, prediction: Tagging, tags: Sequence[str]) -> np.ndarray:
    scheme = description.head.scheme
    # The model knows the probabilities of the tags that it learned.
    learned = to_scheme(tags, scheme) if scheme and scheme != description.head.answers else tags
    assert prediction.marginals is not None
    return np.array([of.get(tag, 0.0) for of, tag in zip(prediction.marginals, learned, strict=True)])
