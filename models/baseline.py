"""What a biLM has to beat: TF-IDF with logistic regression."""

from collections.abc import Sequence
from itertools import pairwise

from models.examples import Examples
from models.options import Task


def tfidf_predictions(task: Task, train: Examples, test: Examples, seed: int = 1) -> list:
    """Train the baseline and answer for the test texts.

    A text is represented by its words and pairs of words; a word to be tagged by its character n-grams, itself and
    its two neighbours on each side.

    Returns:
        A label for each text, or the tags of its words.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    regression = LogisticRegression(C=10.0, max_iter=300, random_state=seed)
    if task == "classification":
        words = TfidfVectorizer(analyzer=_words_and_pairs, min_df=2, sublinear_tf=True)
        return list(make_pipeline(words, regression).fit(train.sentences, train.targets).predict(test.sentences))
    features = TfidfVectorizer(analyzer=lambda word: word, min_df=2, sublinear_tf=True)
    model = make_pipeline(features, regression)
    model.fit(_words_in_context(train.sentences), [tag for tags in train.targets for tag in tags])
    tags = iter(model.predict(_words_in_context(test.sentences)))
    return [[str(next(tags)) for _ in sentence] for sentence in test.sentences]


def _words_and_pairs(sentence: Sequence[str]) -> list[str]:
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
