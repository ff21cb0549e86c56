"""A classifier of texts, for scikit-learn."""

from typing import Any, Literal

import numpy as np
from scipy.sparse import issparse
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, column_or_1d

from embeddings.source import Source
from embeddings.tokenizer import TokenizerName
from models.estimator_inputs import as_value_errors, words_of_texts
from models.head_estimator import HeadEstimator
from models.options import Cell


class ElmoClassifier(ClassifierMixin, HeadEstimator):
    """Labels texts: a head above a frozen biLM, or on words and characters alone, trained as `telmo train` does.

    Args:
        source: of the biLM, as for `telmo train`, or a SavedModel that embeds texts, which is then run and for which
            the tokenizer should be `whitespace`; None for no pretraining.
        encoder, units, depth, pooling, dropout, layer_norm: as in `models.options.HeadOptions`.
        head_options: further options of the head, by their names there, a dict.
        vectors: a file of word vectors in text form (GloVe, fastText), for the inputs of words.
        tokenizer: of texts that are no lists of words.
        epochs, patience, batch_size, learning_rate: as in `models.options.TrainingSettings`.
        training_settings: further ones, by their names there, a dict.
        class_weight: what an example of a class counts in the loss: `balanced`, a number for each class in a dict, or
            None for 1.
        validation_fraction: share of the texts that are not learned from, but tell the best epoch and calibrate the
            probabilities; None to take the training texts for it, uncalibrated.
        random_state: of that share, of the initial weights, of dropout and of the order of the batches.

    Attributes:
        classes_: the classes, sorted; of a matrix y the numbers of its columns.
        head_, epochs_: as for `HeadEstimator`.

    Example:
        >>> from sklearn.model_selection import GridSearchCV
        >>> search = GridSearchCV(ElmoClassifier("demo/bilm"), {"units": [50, 100], "pooling": ["max", "attention"]})
        >>> search.fit(texts, labels).predict(["Returns a DataFrame."])
        array(['pandas'], dtype='<U10')
    """

    _task = "classification"

    def __init__(
        self,
        source: Source | None = None,
        *,
        encoder: Cell = "lstm",
        units: int = 100,
        depth: int = 1,
        pooling: Literal["max", "mean", "last", "attention"] = "max",
        dropout: float = 0.3,
        layer_norm: bool = False,
        head_options: dict[str, Any] | None = None,
        vectors: str | None = None,
        tokenizer: TokenizerName = "spacy",
        epochs: int = 10,
        patience: int = 3,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        training_settings: dict[str, Any] | None = None,
        class_weight: Literal["balanced"] | dict | None = None,
        validation_fraction: float | None = 0.1,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.source = source
        self.encoder = encoder
        self.units = units
        self.depth = depth
        self.pooling = pooling
        self.dropout = dropout
        self.layer_norm = layer_norm
        self.head_options = head_options
        self.vectors = vectors
        self.tokenizer = tokenizer
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.training_settings = training_settings
        self.class_weight = class_weight
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "ElmoClassifier":
        """Learn from labelled texts.

        Args:
            X: texts, each a string or a list of words.
            y: a class for each, or of texts with any number of labels a matrix of 0 and 1, `[texts, labels]`, such as
                `sklearn.preprocessing.MultiLabelBinarizer` makes.

        Raises:
            TypeError, ValueError: the texts, the classes or a parameter cannot be used.
            SourceError: the source cannot be read.
        """
        sentences = words_of_texts(X, self.tokenizer)
        if y is None:
            raise ValueError("ElmoClassifier requires y to be passed, but the target y is None")
        check_consistent_length(sentences, y)
        _check_present(y)
        check_classification_targets(y)
        many = type_of_target(y) == "multilabel-indicator"
        if many:
            present = y.toarray() if issparse(y) else np.asarray(y)
            classes, strata = np.arange(present.shape[1]), None
            targets: list = [tuple(sorted(str(k) for k in np.flatnonzero(row))) for row in present]
        else:
            y = column_or_1d(check_array(y, ensure_2d=False, dtype=None, input_name="y"), warn=True)
            classes, strata = np.unique(y, return_inverse=True)
            targets = [str(label) for label in y]
            if len(classes) < 2:
                raise ValueError(f"y has one class, '{classes[0]}'; expected two at least, to tell apart")
        names = [str(label) for label in classes]
        self._fit_head(sentences, targets, names, strata, class_weights=self._class_weights(classes))
        self.classes_, self._many = classes, many
        return self

    def _class_weights(self, classes: np.ndarray) -> Any:
        """As `TrainingSettings` has them."""
        if self.class_weight is None or self.class_weight == "balanced":
            return self.class_weight or "none"
        if not isinstance(self.class_weight, dict):
            raise ValueError(f"class_weight is {self.class_weight!r}; expected None, 'balanced' or a dict")
        weights = {str(label): self.class_weight[label] for label in classes if label in self.class_weight}
        # A class that a fold lacks is no mistake where each of the others has its number.
        if len(weights) < min(len(classes), len(self.class_weight)):
            odd = next(label for label in self.class_weight if label not in classes)
            raise ValueError(f"class_weight has the class {odd!r}; expected some of {', '.join(map(str, classes))}")
        return weights

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, float32 `[texts, classes]`, in the order of `classes_`.

        Raises:
            TypeError, ValueError: X are no texts.
            SourceError: the source is no longer there, or has other files than at the fit.
        """
        check_is_fitted(self, "head_")
        sentences = words_of_texts(X, self.tokenizer)
        with as_value_errors():
            answers = self._predictor.predict(sentences)
        names = [str(label) for label in self.classes_]
        return np.array([[answer.probabilities[name] for name in names] for answer in answers], np.float32)

    def predict(self, X: Any) -> np.ndarray:
        """The class of each text, `[texts]`; or of texts with any number of labels 1 for each that is more probable
        than not, int `[texts, labels]`.

        Raises:
            TypeError, ValueError: X are no texts.
            SourceError: the source is no longer there, or has other files than at the fit.
        """
        given = self.predict_proba(X)
        return (given > 0.5).astype(int) if self._many else self.classes_[given.argmax(axis=1)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _check_present(y: Any) -> None:
    """That no class is missing; NumPy would sort it among the others, or make a word of it."""
    for k, label in enumerate(y if getattr(y, "ndim", 1) == 1 else ()):
        if label is None or (isinstance(label, float) and np.isnan(label)):
            raise ValueError(f"y[{k}] is {label}; expected a class (Input y contains NaN)")
