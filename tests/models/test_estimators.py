import operator
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, ShuffleSplit, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MultiLabelBinarizer
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

from embeddings import Embedder, load_bilm, load_elmo
from embeddings.errors import SourceError
from embeddings.published import write_published
from embeddings.weights import MIX, arrays_of
from models import ElmoClassifier, ElmoTagger, ElmoVectorizer, Predictor

TEXTS = ["A good day.", "bad", "so very good !", "It is really bad"] * 6
LABELS = ["yes", "no"] * 12
SENTENCES = [["The", "cat", "sat"], ["a", "dog", "barked", "loudly"], ["cats"], ["the", "dog"]] * 6
TAGS = [["O", "B-X", "I-X"], ["O", "B-X", "I-X", "I-X"], ["B-X"], ["O", "B-X"]] * 6
WORDS = {"inputs": [{"kind": "words", "dim": 8}]}
SMALL = {"encoder": "none", "head_options": WORDS, "learning_rate": 0.1, "batch_size": 8, "random_state": 0}
ELMO = SMALL | {"head_options": None, "epochs": 2}


# === The contract of scikit-learn ===
# Its checks pass over estimators of texts, since they know no texts. Here each row of numbers is read as one.


class OfNumbers:
    def _read(self, X, reset):
        X = validate_data(self, X, reset=reset, dtype="numeric")
        return [[f"{column}:{value:.0f}" for column, value in enumerate(row)] for row in X]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.one_d_array, tags.input_tags.two_d_array = False, False, True
        return tags


class NumbersClassifier(OfNumbers, ElmoClassifier):
    def fit(self, X, y):
        return super().fit(self._read(X, True), y)

    def predict_proba(self, X):
        check_is_fitted(self)
        return super().predict_proba(self._read(X, False))


class NumbersTagger(OfNumbers, ElmoTagger):
    """Each word has the tag of its row."""

    def fit(self, X, y):
        X = self._read(X, True)
        return super().fit(X, None if y is None else self._tags(X, y))

    def predict(self, X):
        check_is_fitted(self)
        return np.array([float(tags[0]) for tags in super().predict(self._read(X, False))])

    def score(self, X, y):
        return float(np.mean(self.predict(X) == y))

    def _tags(self, X, y):
        return [[str(float(label))] * len(row) for row, label in zip(X, y, strict=True)]


class NumbersVectorizer(OfNumbers, ElmoVectorizer):
    def __init__(self, source="none", layer="average", pooling="mean", *, tokenizer="spacy"):
        super().__init__(source, layer, pooling, tokenizer=tokenizer)

    def fit(self, X, y=None):
        return super().fit(self._read(X, True))

    def transform(self, X):
        check_is_fitted(self)
        return super().transform(self._read(X, False))


EXPECTED_FAILED = {
    "NumbersClassifier": {
        "check_methods_sample_order_invariance": "it asks for more digits than float32 has: the last one of a text's "
        "probability may depend on its place in the batch"
    }
}

ABOUT_TABLES = {
    "check_classifier_data_not_an_array",
    "check_complex_data",
    "check_dtype_object",
    "check_estimators_dtypes",
    "check_estimators_nan_inf",
    "check_f_contiguous_array_estimator",
    "check_fit1d",
    "check_fit2d_1feature",
    "check_fit2d_predict1d",
    "check_n_features_in",
    "check_n_features_in_after_fitting",
    "check_positive_only_tag_during_fit",
    "check_readonly_memmap_input",
    "check_transformer_data_not_an_array",
}
"""Checks of how numbers are read, which is done here and not by the estimators."""


@parametrize_with_checks(
    [
        ElmoClassifier(),
        ElmoTagger(),
        ElmoVectorizer("bilm"),
        NumbersClassifier(
            **SMALL | {"batch_size": 4}, epochs=1, validation_fraction=None, training_settings={"clip_norm": None}
        ),
        NumbersTagger(**SMALL, decoder="softmax", epochs=1, training_settings={"optimizer": "sgd", "clip_norm": None}),
        NumbersVectorizer(),
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILED.get(type(estimator).__name__, {}),
)
def test_the_contract_of_scikit_learn_is_kept(estimator, check, tiny_bilm_folder):
    if check.func.__name__ in ABOUT_TABLES or check.keywords:
        pytest.skip("about tables of numbers")
    if isinstance(estimator, NumbersVectorizer):
        estimator.source = str(tiny_bilm_folder)
    check(estimator)


# === Texts to a matrix ===


@pytest.fixture(scope="module")
def mixed_bilm_folder(tiny_options, tiny_bilm_folder, tmp_path_factory):
    """The tiny biLM with a mix of its layers beside it."""
    folder = tmp_path_factory.mktemp("mixed")
    arrays = arrays_of(load_bilm(tiny_bilm_folder))
    arrays |= {MIX[0]: np.array([0.5, -1.0, 2.0], "f4"), MIX[1]: np.array(1.5, "f4")}
    write_published(folder, tiny_options, arrays, [])
    return folder


POOLED = {
    "mean": lambda x: x.mean(axis=0),
    "max": lambda x: x.max(axis=0),
    # Forward and backward states are of 4 units each.
    "last": lambda x: np.concatenate([x[-1].reshape(-1, 2, 4)[:, 0], x[0].reshape(-1, 2, 4)[:, 1]], axis=1).ravel(),
}


def test_a_vector_is_what_layer_and_pooling_say(tiny_bilm_folder):
    layers = list(Embedder(load_bilm(tiny_bilm_folder)).embed(SENTENCES[:4]))
    chosen = {
        "average": lambda x: x.mean(axis=0),
        "concatenate": lambda x: np.concatenate(list(x), axis=1),
        1: lambda x: x[1],
        -1: lambda x: x[2],
    }
    vectorizer = ElmoVectorizer(str(tiny_bilm_folder)).fit(SENTENCES)
    for layer, choose in chosen.items():
        for pooling, pool in POOLED.items():
            vectorizer.set_params(layer=layer, pooling=pooling).fit(SENTENCES)
            found = vectorizer.transform([*SENTENCES[:4], []])
            assert found.dtype == np.float32 and not found[4].any()
            np.testing.assert_allclose(found[:4], [pool(choose(x)) for x in layers], atol=1e-6)
    vectorizer.set_params(layer=0, tokenizer="whitespace").set_output(transform="pandas").fit(SENTENCES)
    table = vectorizer.transform([" ".join(sentence) for sentence in SENTENCES])
    assert list(table.columns) == [f"elmovectorizer{k}" for k in range(8)]
    np.testing.assert_array_equal(table, vectorizer.transform(SENTENCES))


def test_the_mix_is_the_one_that_the_source_brings(mixed_bilm_folder, tiny_bilm_folder):
    elmo = load_elmo(mixed_bilm_folder)
    expected = np.array(elmo.outputs(elmo.ids(SENTENCES[:4]))["default"])
    vectorizer = ElmoVectorizer(str(mixed_bilm_folder), "mix").fit(SENTENCES)
    np.testing.assert_allclose(vectorizer.transform(SENTENCES[:4]), expected, atol=1e-5)
    with pytest.raises(ValueError, match="brings no weights of its layers; expected 'average'"):
        ElmoVectorizer(str(tiny_bilm_folder), "mix").fit(SENTENCES)


def test_a_pipeline_above_vectors_is_searched(tiny_bilm_folder):
    model = Pipeline([("elmo", ElmoVectorizer(str(tiny_bilm_folder))), ("regression", LogisticRegression(C=100.0))])
    search = GridSearchCV(model, {"elmo__layer": [0, "concatenate"]}, cv=2)
    search.fit(TEXTS, LABELS)
    # Each text stands in both folds.
    assert search.best_score_ > 0.9 and search.best_estimator_.predict(["bad"]).tolist() == ["no"]


# === Texts to labels ===


def test_a_classifier_answers_alike_when_it_is_pickled_cloned_or_saved(tiny_bilm_folder, tmp_path):
    numbers = [10 if label == "yes" else 2 for label in LABELS]
    model = ElmoClassifier(str(tiny_bilm_folder), **ELMO).fit(TEXTS, numbers)
    # In the order of numbers; "10" is before "2".
    assert model.classes_.tolist() == [2, 10] and set(model.predict(TEXTS)) <= {2, 10}
    given = model.predict_proba(TEXTS)
    assert len(model.epochs_) == 2
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(TEXTS), given)
    np.testing.assert_array_equal(clone(model).fit(TEXTS, numbers).predict_proba(TEXTS), given)
    model.save(tmp_path / "model", "numbers")
    answers = Predictor.load(tmp_path / "model").predict(TEXTS)
    assert [int(answer.label) for answer in answers] == model.predict(TEXTS).tolist()
    np.testing.assert_allclose([answer.probabilities["10"] for answer in answers], given[:, 1], atol=1e-6)


def test_a_classifier_without_a_source_learns():
    model = ElmoClassifier(**SMALL, class_weight="balanced", validation_fraction=0.25)
    assert cross_val_score(model, TEXTS, LABELS, cv=3).mean() == 1.0
    assert model.fit(np.array(TEXTS), np.array(LABELS)).predict(["so very bad"]).dtype == np.dtype("<U3")


def test_any_number_of_labels_is_a_matrix():
    sets = [("animal", "short"), ("animal",), ("short",), ()] * 6
    matrix = MultiLabelBinarizer().fit_transform(sets)
    model = ElmoClassifier(**SMALL, pooling="mean", epochs=20, patience=20, dropout=0.0, validation_fraction=None)
    model.fit(SENTENCES, matrix)
    np.testing.assert_array_equal(model.predict(SENTENCES), matrix)
    np.testing.assert_array_equal(model.predict_proba(SENTENCES) > 0.5, matrix == 1)
    assert model.score(SENTENCES, matrix) == 1.0
    with pytest.raises(ValueError, match="MultiLabelBinarizer"):
        model.fit(SENTENCES, sets)


def test_training_leaves_the_chance_of_others_alone():
    """Or the folds that are drawn between two fits would all be the same."""
    np.random.seed(3)
    folds = [test.tolist() for _, test in ShuffleSplit(2).split(TEXTS)]
    np.random.seed(3)
    drawn = []
    for _, test in ShuffleSplit(2).split(TEXTS):
        drawn.append(test.tolist())
        ElmoClassifier(**SMALL, epochs=1).fit(TEXTS, LABELS)
    assert drawn == folds and drawn[0] != drawn[1]


# === Words to tags ===


def test_a_tagger_learns_spans_and_is_scored_by_them(tmp_path):
    model = ElmoTagger(**SMALL, dropout=0.0, scheme="BIOUL", epochs=8).fit(SENTENCES, TAGS)
    assert model.predict(SENTENCES) == TAGS and model.classes_.tolist() == ["O", "B-X", "I-X"]
    # Of three spans two are found, and nothing else.
    gold = [["O", "B-X", "I-X"], ["O", "B-X", "I-X", "I-X"], ["B-X"]]
    assert model.score([*SENTENCES[:2], ["the"]], gold) == pytest.approx(2 * 1 * (2 / 3) / (1 + 2 / 3))
    model.save(tmp_path / "model", "spans")
    assert [answer.tags for answer in Predictor.load(tmp_path / "model").predict(SENTENCES)] == TAGS


def test_tags_without_spans_are_scored_word_by_word(tiny_bilm_folder):
    parts = [["DET" if word.lower() in ("the", "a") else "NOUN" for word in sentence] for sentence in SENTENCES]
    search = GridSearchCV(ElmoTagger(str(tiny_bilm_folder), **ELMO), {"decoder": ["softmax"]}, cv=2)
    search.fit(SENTENCES, parts)
    predicted = np.concatenate(search.predict(SENTENCES))
    assert search.score(SENTENCES, parts) == pytest.approx(np.mean(predicted == np.concatenate(parts)))


# === Processes ===


def test_other_processes_load_nothing_to_begin_with_and_answer_alike(tiny_bilm_folder, tmp_path):
    light = "import sys, models; models.ElmoClassifier(units=3).get_params()"
    code = f"{light}; print({{'tensorflow', 'keras', 'spacy'}} & set(sys.modules))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "set()"
    model = ElmoClassifier(str(tiny_bilm_folder), **ELMO)
    here = cross_val_score(model, TEXTS, LABELS, cv=2)
    np.testing.assert_array_equal(cross_val_score(model, TEXTS, LABELS, cv=2, n_jobs=2), here)
    fitted = [
        model.fit(TEXTS, LABELS),
        make_pipeline(ElmoVectorizer(str(tiny_bilm_folder)), LogisticRegression()).fit(TEXTS, LABELS),
    ]
    ask = operator.methodcaller("predict_proba", TEXTS)
    there = joblib.Parallel(n_jobs=2)(joblib.delayed(ask)(one) for one in fitted)
    for found, one in zip(there, fitted, strict=True):
        np.testing.assert_allclose(found, ask(one), atol=1e-6)


# === What cannot be used ===


def test_a_source_that_has_changed_or_gone_is_named(tiny_options, mixed_bilm_folder, tiny_bilm_folder, tmp_path):
    for file in tiny_bilm_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    kept = pickle.dumps(ElmoVectorizer(str(tmp_path)).fit(TEXTS))
    assert pickle.loads(kept).transform(TEXTS).shape == (24, 8)
    (tmp_path / "weights.hdf5").write_bytes((mixed_bilm_folder / "weights.hdf5").read_bytes())
    with pytest.raises(SourceError, match="has other files than at the fit; expected the same, or a new fit"):
        pickle.loads(kept).transform(TEXTS)
    with pytest.raises(SourceError, match="no/such: does not exist"):
        ElmoClassifier("no/such").fit(TEXTS, LABELS)
    with pytest.raises(ValueError, match="source is 'tfidf'; expected a biLM or None, and scikit-learn's"):
        ElmoClassifier("tfidf").fit(TEXTS, LABELS)
    with pytest.raises(ValueError, match="source is None; expected a biLM, or a SavedModel"):
        ElmoVectorizer(None).fit(TEXTS)


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_missing_class_is_named(missing):
    for y in ([*LABELS[:-1], missing], np.array([*LABELS[:-1], missing], object)):
        with pytest.raises(ValueError, match=rf"y\[{len(LABELS) - 1}\] is {missing}; expected a class"):
            ElmoClassifier().fit(TEXTS, y)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ("one text", ValueError, r"X is one text \('one text'\); expected a list of texts"),
        ([], ValueError, "X has no texts; expected at least one"),
        (3, TypeError, "X is of the type int; expected a list of texts"),
        (np.zeros((2, 3)), ValueError, r"X has the shape \(2, 3\); expected a list of texts, such as one column"),
        (["a", 1.5], TypeError, r"X\[1\] is of the type float; expected a str or a list of words"),
        ([["a"], ["b", None]], TypeError, r"X\[1\] has a word of the type NoneType, None; expected str"),
        (["a", "  "], ValueError, r"X\[1\] has no words; expected at least one"),
        (["a", "\ud800"], ValueError, r"X\[1\] holds half a character"),
    ],
)
def test_texts_that_are_none_are_refused(given, kind, message):
    with pytest.raises(kind, match=message):
        ElmoClassifier().fit(given, LABELS)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"units": 0}, "units is 0; Input should be greater than or equal to 1"),
        ({"encoder": "gpt"}, "encoder is 'gpt'; Input should be 'none', 'dense'"),
        ({"encoder": "none", "pooling": "last"}, "pooling 'last' needs a recurrent encoder, found encoder 'none'"),
        ({"head_options": {"depht": 2}}, "head_options: depht is 2; Unexpected keyword argument"),
        ({"head_options": {"units": 2}}, "head_options has the key 'units', which is a parameter of its own"),
        ({"head_options": {"pairs": True}}, "'pairs' is for texts that come in twos"),
        ({"head_options": 3}, "head_options is 3; expected a dict of further options, or None"),
        ({"training_settings": {"fine_tune": True}}, "training.fine_tune needs a biLM that is computed on the fly"),
        ({"validation_fraction": 1.5}, "validation_fraction is 1.5; expected None or a share between 0 and 1"),
        ({"class_weight": {"maybe": 2}}, "class_weight has the class 'maybe'; expected some of no, yes"),
        ({"class_weight": "heavy"}, "class_weight is 'heavy'; expected None, 'balanced' or a dict"),
        ({"tokenizer": "mecab"}, "tokenizer is 'mecab'; expected one of spacy, whitespace, characters"),
    ],
)
def test_wrong_parameters_are_named_at_the_fit(parameters, message):
    with pytest.raises(ValueError, match=message):
        ElmoClassifier(**parameters).fit(TEXTS, LABELS)


def test_numbers_of_numpy_are_numbers():
    model = ElmoClassifier(**SMALL | {"learning_rate": np.float32(0.1)}, units=np.int64(4), epochs=np.int64(1))
    assert len(model.fit(TEXTS, LABELS).epochs_) == 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"layer": 3}, "layer is 3; expected a number from -3 to 2"),
        ({"layer": "top"}, "layer is 'top'; expected a number or one of average, concatenate, mix"),
        ({"pooling": "sum"}, "pooling is 'sum'; expected one of mean, max, last"),
        ({"batch_size": 0}, "batch_size is 0; expected a whole number above 0"),
    ],
)
def test_wrong_parameters_of_the_vectorizer_are_named(parameters, message, tiny_bilm_folder):
    with pytest.raises(ValueError, match=message):
        ElmoVectorizer(str(tiny_bilm_folder), **parameters).fit(TEXTS)


@pytest.mark.parametrize(
    ("texts", "tags", "kind", "message"),
    [
        (["a text"], [["O"]], TypeError, r"X\[0\] is of the type str; expected a list of words"),
        ([["a", "b"]], [["O"]], ValueError, r"X\[0\] has 2 words and 1 tags; expected a tag for each word"),
        ([["a"]], ["O"], TypeError, r"X\[0\] has the tags 'O'; expected a list of str"),
        ([["a"], ["b"]], [["O"], ["O"]], ValueError, r"y has one tag \(one class\), 'O'; expected two at least"),
    ],
)
def test_tags_that_do_not_fit_are_refused(texts, tags, kind, message):
    with pytest.raises(kind, match=message):
        ElmoTagger().fit(texts, tags)


def test_what_is_not_fitted_says_so(tmp_path):
    for ask in (ElmoClassifier().predict, ElmoTagger().predict, ElmoVectorizer("bilm").transform):
        with pytest.raises(NotFittedError):
            ask(TEXTS)
    with pytest.raises(NotFittedError):
        ElmoTagger().save(tmp_path, "none")
