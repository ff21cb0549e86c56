"""What a biLM has to beat: TF-IDF with logistic regression."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from models.examples import Examples
from models.options import Task


def tfidf_predictions(task: Task, train: Examples, test: Examples, seed: int = 1) -> list:
    """Train the baseline and answer for the test texts.

    A text is represented by its words and pairs of words; a word to be tagged by its character n-grams, itself and
    its two neighbours on each side.

    Returns:
        A label for each text, its labels where it may have many, or the tags of its words.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    if task == "classification":
        labels = train.label_set()
        given = tfidf_probabilities(train, test, labels, seed)
        if train.is_multi_label:
            return [[label for label, p in zip(labels, row, strict=True) if p > 0.5] for row in given]
        return [labels[k] for k in given.argmax(axis=1)]
    features = TfidfVectorizer(analyzer=lambda word: word, min_df=2, sublinear_tf=True)
    model = make_pipeline(features, LogisticRegression(C=10.0, max_iter=300, random_state=seed))
    model.fit(_words_in_context(train.sentences), [tag for tags in train.targets for tag in tags])
    tags = iter(model.predict(_words_in_context(test.sentences)))
    return [[str(next(tags)) for _ in sentence] for sentence in test.sentences]


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
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MultiLabelBinarizer

    regression = LogisticRegression(C=10.0, max_iter=300, random_state=seed)
    vectorizer = TfidfVectorizer(analyzer=list, min_df=2, sublinear_tf=True)
    present = MultiLabelBinarizer()
    if train.is_multi_label:
        model, y = make_pipeline(vectorizer, OneVsRestClassifier(regression)), present.fit_transform(train.targets)
    else:
        model, y = make_pipeline(vectorizer, regression), list(train.targets)
    found = model.fit(_words_and_pairs(train), y).predict_proba(_words_and_pairs(test))
    known = present.classes_ if train.is_multi_label else model.classes_
    given = np.zeros((len(test), len(labels)))
    given[:, [labels.index(label) for label in known]] = found
    return given


def _words_and_pairs(examples: Examples) -> list[list[str]]:
    """The words and pairs of words of each text, those of a second text under other names."""
    terms = [_terms(sentence) for sentence in examples.sentences]
    if examples.pairs is None:
        return terms
    seconds = ([f"2 {term}" for term in _terms(sentence)] for sentence in examples.pairs)
    return [first + second for first, second in zip(terms, seconds, strict=True)]


def _terms(sentence: Sequence[str]) -> list[str]:
    words = [word.lower() for word in sentence]
    return words + [f"{first} {second}" for first, second in pairwise(words)]


def _words_in_context(sentences: Sequence[Sequence[str]]) -> list[list[str]]:
    return [_features(sentence, place) for sentence in sentences for place in range(len(sentence))]


def _features(sentence: Sequence[str], place: int) -> list[str]:
    framed = f"<{sentence[place]}>"
    features = [f"word={sentence[place]}"]
    features += [framed[k : k + n] for n in (2, 3, 4) for k in range(len(framed) - n + 1)]
    for offset in (-2, -1, 1, 2):
        if 0 <= place + offset < len(sentence):
            features.append(f"{offset}={sentence[place + offset]}")
    return features
