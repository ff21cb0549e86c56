"""A tagger of words, for scikit-learn."""

from typing import Any, Literal

import numpy as np
from sklearn.utils.validation import check_consistent_length

from embeddings.source import Source
from models.estimator_inputs import as_value_errors, words_of_texts
from models.head_estimator import HeadEstimator
from models.label_scheme import Scheme
from models.metrics import flat_labels, main_metric, score
from models.options import Cell


class ElmoTagger(HeadEstimator):
    """Tags the words of texts: a head above a frozen biLM, or on words and characters alone, trained as `telmo train`
    does.

    Args:
        source: of the biLM, as for `telmo train`; None for no pretraining.
        encoder, units, depth, dropout, layer_norm, decoder, scheme: as in `models.options.HeadOptions`.
        head_options, vectors, epochs, patience, batch_size, learning_rate, training_settings: as for `ElmoClassifier`.
        validation_fraction, random_state: as for `ElmoClassifier`.

    Attributes:
        classes_: the tags that it answers with, `O` first.
        head_, epochs_: as for `HeadEstimator`.

    Example:
        >>> tagger = ElmoTagger("demo/bilm", epochs=5).fit([["in", "New", "York"]] * 20, [["O", "B-LOC", "I-LOC"]] * 20)
        >>> tagger.predict([["in", "York"]])
        [['O', 'B-LOC']]
    """

    _task = "tagging"

    def __init__(
        self,
        source: Source | None = None,
        *,
        encoder: Cell = "lstm",
        units: int = 100,
        depth: int = 1,
        dropout: float = 0.3,
        layer_norm: bool = False,
        decoder: Literal["crf", "softmax"] = "crf",
        scheme: Scheme | None = None,
        head_options: dict[str, Any] | None = None,
        vectors: str | None = None,
        epochs: int = 10,
        patience: int = 3,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        training_settings: dict[str, Any] | None = None,
        validation_fraction: float | None = 0.1,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.source = source
        self.encoder = encoder
        self.units = units
        self.depth = depth
        self.dropout = dropout
        self.layer_norm = layer_norm
        self.decoder = decoder
        self.scheme = scheme
        self.head_options = head_options
        self.vectors = vectors
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.training_settings = training_settings
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "ElmoTagger":
        """Learn from tagged texts.

        Args:
            X: texts, each a list of words.
            y: the tags of each.

        Raises:
            TypeError, ValueError: the texts, the tags or a parameter cannot be used.
            SourceError: the source cannot be read.
        """
        sentences = words_of_texts(X, None)
        tags = _tags(y, sentences)
        labels = sorted(set(flat_labels(tags)))
        if len(labels) < 2:
            raise ValueError(f"y has one tag (one class), '{labels[0]}'; expected two at least, to tell apart")
        self._fit_head(sentences, tags, labels)
        self.classes_ = np.array(sorted(labels, key=lambda label: (label != "O", label)))
        return self

    def predict(self, X: Any) -> list[list[str]]:
        """The tags of each text's words.

        Raises:
            TypeError, ValueError: X are no lists of words.
            SourceError: the source is no longer there, or has other files than at the fit.
        """
        predictor = self._predictor
        sentences = words_of_texts(X, None)
        with as_value_errors():
            return [answer.tags for answer in predictor.predict(sentences)]

    def score(self, X: Any, y: Any) -> float:
        """How good the tags are: F1 of whole spans, by the CoNLL definition, where the tags mark spans, such as `B-LOC`
        does; else the share of words with the right tag.

        Raises:
            TypeError, ValueError: the texts or the tags cannot be used.
            SourceError: as for `predict`.
        """
        predicted = self.predict(X)
        labels = self.classes_.tolist()
        return score(self._task, _tags(y, predicted), predicted, labels)[main_metric(self._task, labels)]


def _tags(y: Any, sentences: list[list[str]]) -> list[list[str]]:
    """The tags of texts, one for each word.

    Raises:
        TypeError: they are no lists of str.
        ValueError: there are more or fewer than words.
    """
    if y is None:
        raise ValueError("ElmoTagger requires y to be passed, but the target y is None")
    check_consistent_length(sentences, y)
    found = []
    for k, (tags, words) in enumerate(zip(y, sentences, strict=True)):
        if isinstance(tags, str) or not all(isinstance(tag, str) for tag in tags):
            raise TypeError(f"X[{k}] has the tags {tags!r}; expected a list of str")
        if len(tags) != len(words):
            raise ValueError(f"X[{k}] has {len(words)} words and {len(tags)} tags; expected a tag for each word")
        found.append([str(tag) for tag in tags])
    return found
