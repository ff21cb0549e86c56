import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from embeddings.errors import ModelError
from models import Predictor
from models.baseline import tfidf_predictions, tfidf_probabilities
from models.description import Description
from models.ensemble import Ensemble
from models.examples import Examples
from models.labels import label_set, resolve_options
from models.model_folder import save_model
from models.options import HeadOptions
from models.tfidf import Tfidf

WORDS = ["red", "green", "blue", "round", "flat", "the", "a", "is"]


@pytest.fixture(scope="module")
def texts():
    random = np.random.default_rng(3)
    return [random.choice(WORDS, size=random.integers(2, 9)).tolist() for _ in range(80)]


def examples(sentences, targets, pairs=None):
    return Examples(sentences, targets, [f"line {k}" for k in range(len(targets))], pairs)


def kept(folder, task, data, name="small", **fit):
    options = resolve_options(task, HeadOptions(), data)
    labels = label_set(options, data)
    fitted = Tfidf.fit(task, options, data, labels, **fit)
    scores = {"accuracy": 1.0}
    description = Description(name, task, labels, "whitespace", fitted.options, scores, data.example, kind="tfidf")
    save_model(folder, description, fitted, None)
    return fitted, Predictor.load(folder)


@pytest.mark.parametrize("count", [2, 3])
def test_probabilities_are_those_of_scikit_learn_and_stay_so_in_a_model_folder(texts, tmp_path, count):
    targets = ["xyz"[sum("red" in word or "flat" in word for word in text) % count] for text in texts]
    data = examples(texts, targets)
    vectorizer = TfidfVectorizer(analyzer="word", token_pattern=r"\S+", ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    x = vectorizer.fit_transform(map(" ".join, texts[:60]))
    regression = LogisticRegression(C=10.0, max_iter=300).fit(x, targets[:60])
    expected = regression.predict_proba(vectorizer.transform(map(" ".join, texts[60:])))
    train, test = examples(texts[:60], targets[:60]), examples(texts[60:], targets[60:])
    fitted, predictor = kept(tmp_path / "model", "classification", train)
    np.testing.assert_allclose(tfidf_probabilities(train, test, fitted.labels), expected, atol=1e-4)
    answers = predictor.predict([" ".join(text) for text in texts[60:]], logits=True)
    for answer, row in zip(answers, expected, strict=True):
        assert [answer.probabilities[label] for label in fitted.labels] == pytest.approx(row, abs=1e-4)
    assert [answer.label for answer in answers] == tfidf_predictions("classification", train, test)
    chosen = [row[fitted.labels.index(target)] for row, target in zip(expected, targets[60:], strict=True)]
    assert fitted.loss(test) == pytest.approx(-np.log(chosen).mean(), abs=1e-4)
    assert len(data) == 80 and {path.suffix for path in (tmp_path / "model").iterdir()} == {".json", ".npz"}


def test_tags_are_told_by_a_word_and_its_neighbours(texts, tmp_path):
    tags = [["D" if word in ("the", "a") else "V" if word == "is" else "X" for word in text] for text in texts]
    data = examples(texts, tags)
    fitted, predictor = kept(tmp_path / "model", "tagging", data)
    assert fitted.predict(data) == tags
    answers = predictor.tag(texts[:9], paths=2, marginals=True)
    assert [answer.tags for answer in answers] == tags[:9]
    for answer in answers:
        best = np.prod([max(word.values()) for word in answer.marginals])
        assert answer.paths[0].tags == answer.tags and answer.paths[0].probability == pytest.approx(best, rel=1e-3)


def test_pairs_and_any_number_of_labels(texts, tmp_path):
    seconds = [*texts[1:], texts[0]]
    found = [("pair",) if "red" in one and "red" in other else () for one, other in zip(texts, seconds, strict=True)]
    data = examples(texts, [(*labels, "text") for labels in found], seconds)
    fitted, predictor = kept(tmp_path / "model", "classification", data)
    assert [tuple(labels) for labels in fitted.predict(data)] == data.targets
    answers = predictor.predict(list(zip(texts, seconds, strict=True))[:7])
    assert [tuple(sorted(answer.labels)) for answer in answers] == data.targets[:7]
    given = [answer.probabilities["pair"] for answer in predictor.predict(list(zip(texts, seconds, strict=True)))]
    surprise = [-np.log(p if "pair" in target else 1 - p) for p, target in zip(given, data.targets, strict=True)]
    assert fitted.loss(data) == pytest.approx(np.mean(surprise), abs=1e-4)
    # Every text has it.
    assert all(answer.probabilities["text"] == pytest.approx(1) for answer in answers)


def test_weights_of_labels_move_the_answers(texts):
    data = examples(texts, ["x" if k % 10 else "y" for k in range(80)])
    options = resolve_options("classification", HeadOptions(), data)
    counts = []
    for weights in ("none", {"y": 1000.0}):
        counts.append(Tfidf.fit("classification", options, data, ["x", "y"], 1, weights).predict(data).count("y"))
    assert counts[0] < counts[1]


def test_a_label_without_examples_has_no_probability(texts):
    data = examples(texts, ["x" if "red" in text else "y" for text in texts])
    given = tfidf_probabilities(data, data, ["w", "x", "y"])
    np.testing.assert_allclose(given.sum(axis=1), 1, atol=1e-6)
    assert not given[:, 0].any()


def test_an_ensemble_answers_with_the_mean(texts, tmp_path):
    first, second = (
        kept(
            tmp_path / name, "classification", examples(texts, ["x" if word in text else "y" for text in texts]), name
        )[1]
        for name, word in (("red", "red"), ("blue", "blue"))
    )
    asked = [" ".join(text) for text in texts[:5]]
    answers = Ensemble([first, second]).predict(asked)
    for answer, one, other in zip(answers, first.predict(asked), second.predict(asked), strict=True):
        mean = {label: (one.probabilities[label] + other.probabilities[label]) / 2 for label in ("x", "y")}
        assert answer.probabilities == pytest.approx(mean) and answer.label == max(mean, key=mean.get)
    _, third = kept(tmp_path / "third", "classification", examples(texts, ["x", "z"] * 40), "third")
    with pytest.raises(ModelError, match="third: has other labels than red; expected the same"):
        Ensemble([first, third])
    _, tagger = kept(tmp_path / "tagger", "tagging", examples(texts, [["X"] * len(text) for text in texts]), "tagger")
    with pytest.raises(ModelError, match="tagger: a model for tagging; expected one for classification"):
        Ensemble([first, tagger])


def test_an_ensemble_of_none_is_refused():
    with pytest.raises(ModelError, match="an ensemble of no models"):
        Ensemble([])


def test_a_damaged_folder_is_told(texts, tmp_path):
    folder = tmp_path / "model"
    kept(folder, "classification", examples(texts, ["x", "y"] * 40))
    terms = (folder / "tfidf.json").read_text()
    (folder / "tfidf.json").write_text('["one"]')
    with pytest.raises(ModelError, match=r"tfidf\.npz: idf, kernel and bias are .* for 1 terms and 2 labels expected"):
        Predictor.load(folder)
    (folder / "tfidf.json").write_text(terms)
    (folder / "tfidf.npz").write_bytes(b"no")
    with pytest.raises(ModelError, match=r"tfidf\.npz: not TF-IDF of a model"):
        Predictor.load(folder)
    (folder / "tfidf.npz").unlink()
    with pytest.raises(ModelError, match=r"tfidf\.npz: cannot be read"):
        Predictor.load(folder)
