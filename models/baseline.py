"""TF-IDF with logistic regression in one call: what a biLM has to beat."""

from collections.abc import Sequence

import numpy as np

from models.calibration import probabilities
from models.examples import Examples
from models.labels import label_set, resolve_options
from models.options import HeadOptions, Task
from models.tfidf import Tfidf


def tfidf_predictions(task: Task, train: Examples, test: Examples, seed: int = 1) -> list:
    """Train the baseline and answer for the test texts.

    Returns:
        A label for each text, its labels where it may have many, or the tags of its words.
    """
    options = resolve_options(task, HeadOptions(), train)
    return Tfidf.fit(task, options, train, label_set(options, train), seed).predict(test)


def tfidf_probabilities(train: Examples, test: Examples, labels: Sequence[str], seed: int = 1) -> np.ndarray:
    """Train the baseline of a classifier and give the probability of each label of each test text; their mean with the
    probabilities of a head is the two's ensemble.

    Args:
        train, test: texts, or pairs of them, with one label or any number of them.
        labels: the columns of the answer.
        seed: of the regression.

    Returns:
        `[texts, labels]`, 0 for a label that the training data lack.
    """
    options = resolve_options("classification", HeadOptions(), train)
    fitted = Tfidf.fit("classification", options, train, labels, seed)
    return probabilities(fitted.logits(test), options.multi_label)
