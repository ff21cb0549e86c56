import numpy as np
import pytest

from models.features import Feature, Features
from models.inputs import CharacterVectors, WordVectors
from models.options import CharacterInput, ElmoInput, HeadOptions, WordInput
from models.scoring import scorer
from models.tagger import Tagger

SENTENCES = [["ab", "abcba", "a"], ["cab"], ["x" * 70, "é", "AB", "ab"]]


@pytest.fixture
def features():
    return Features({"words": Feature(["ab", "cab"], lowercase=True), "characters": Feature(["a", "b", "c"])})


def vectors(options, features, random):
    layer = CharacterVectors(options, 5)
    layer.set_weights([random.normal(size=w.shape) for w in layer.get_weights()])
    return layer, np.array(layer(arrays(options, features)["characters"]))


def arrays(options, features):
    return features.arrays(HeadOptions(inputs=(options,)), SENTENCES)


def test_words_are_looked_up_in_lower_case_if_so_asked(features):
    rows = arrays(WordInput(), features)["words"]
    np.testing.assert_array_equal(rows, [[2, 1, 1, 0], [3, 0, 0, 0], [1, 1, 2, 2]])
    layer = WordVectors(WordInput(dim=3), 4)
    np.testing.assert_array_equal(np.array(layer(rows))[1, 0], layer.get_weights()[0][3])


def test_one_long_word_does_not_widen_the_others(features):
    found = arrays(CharacterInput(), features)["characters"]
    assert [group.shape for group in found["groups"]] == [(6, 8), (1, 16), (1, 32), (1, 64), (1, 256)]


def test_a_word_beyond_all_others_stands_alone(features):
    words = ["a" * 40, "b" * 40, "c" * 5000]
    found = features.arrays(HeadOptions(inputs=(CharacterInput(),)), [words])["characters"]
    assert [group.shape for group in found["groups"][:4]] == [(1, 8), (1, 16), (1, 32), (2, 64)]
    assert [np.count_nonzero(group) for group in found["groups"][4:]] == [0, 0, 0, 5000]


def test_each_word_has_its_own_characters(features):
    found = arrays(CharacterInput(), features)["characters"]
    assert not found["groups"][1].any()
    spelled = [list(row[row > 0]) for group in found["groups"] for row in group]
    for sentence, places in zip(SENTENCES, found["place"], strict=True):
        for word, place in zip(sentence, places, strict=False):
            assert spelled[place] == features.parts["characters"].character_rows(word)


def test_bytes_need_no_vocabulary():
    feature = Feature(None, lowercase=True, begin=[259], end=[260], rows=262)
    assert feature.character_rows("Aé") == [259, ord("a") + 1, 0xC3 + 1, 0xA9 + 1, 260]


def mish(x):
    return x * np.tanh(np.log1p(np.exp(x)))


@pytest.mark.parametrize("activation", [np.tanh, mish], ids=lambda f: f.__name__)
def test_convolutions_see_the_word_alone(features, random, activation):
    options = CharacterInput(dim=4, widths=(1, 3), filters=5, activation=activation.__name__, projection=2)
    layer, got = vectors(options, features, random)
    table, kernel1, bias1, kernel3, bias3, project, bias = layer.get_weights()
    for sentence, row in zip(SENTENCES, got, strict=True):
        for word, vector in zip(sentence, row, strict=False):
            x = table[features.parts["characters"].character_rows(word)]
            one = activation(x @ kernel1[0] + bias1).max(axis=0)
            windows = [activation(np.einsum("wd,wdn->n", x[k : k + 3], kernel3) + bias3) for k in range(len(x) - 2)]
            # A word that is shorter than the filter gives zeros.
            three = np.max(windows, axis=0) if windows else np.zeros(5)
            np.testing.assert_allclose(vector, np.concatenate([one, three]) @ project + bias, atol=1e-5)


@pytest.mark.parametrize("encoder", ["sum", "mean"])
def test_bags_of_characters(features, random, encoder):
    layer, got = vectors(CharacterInput(dim=4, encoder=encoder), features, random)
    (table,) = layer.get_weights()
    for sentence, row in zip(SENTENCES, got, strict=True):
        for word, vector in zip(sentence, row, strict=False):
            x = table[features.parts["characters"].character_rows(word)]
            np.testing.assert_allclose(vector, getattr(x, encoder)(axis=0), atol=1e-4)


@pytest.mark.parametrize(("encoder", "bidirectional"), [("lstm", True), ("gru", False)])
def test_no_answer_depends_on_padding(features, encoder, bidirectional):
    character = CharacterInput(encoder=encoder, units=3, depth=2, bidirectional=bidirectional)
    options = HeadOptions(
        inputs=(character, ElmoInput(projection=3), WordInput(dim=3)),
        encoder=encoder,
        units=4,
        bidirectional=bidirectional,
        feedforward=((5, "tanh"),),
    )
    head = Tagger(options, 3, (2, 6), {"characters": 5, "words": 4})

    def answer(sentences):
        mask = np.arange(max(map(len, sentences))) < np.array([[len(sentence)] for sentence in sentences])
        layers = np.stack([np.stack([np.full((2, 6), len(w) % 7 / 7, "f4") for w in s]) for s in padded(sentences)])
        x = {"mask": mask, "layers": layers.transpose(0, 2, 1, 3), "features": features.arrays(options, sentences)}
        return scorer(head)(x)

    def padded(sentences):
        return [[*s, *[""] * (max(map(len, sentences)) - len(s))] for s in sentences]

    together = answer(SENTENCES)
    for sentence, row in zip(SENTENCES, together, strict=True):
        np.testing.assert_allclose(answer([sentence])[0], row[: len(sentence)], atol=1e-5)
