import itertools
import math

import keras
import numpy as np
import pytest

from embeddings.errors import InputError
from models import Predictor
from models.description import Description
from models.features import Feature, Features
from models.model_folder import save_model
from models.options import CharacterInput, ElmoInput, WordInput
from models.predictions import to_json
from models.seq2seq import Seq2seq
from models.seq2seq_options import Seq2seqOptions
from models.seq2seq_vocabulary import BEGIN, END, MARKS, TargetVocabulary

WORDS = ("words", np.array([[2, 3, 4], [5, 1, 0]], np.int32))
SOURCE = {"mask": np.array([[1, 1, 1], [1, 1, 0]], bool), "features": dict([WORDS])}
TOKENS = 7


def options(**changes):
    small = {"inputs": (WordInput(dim=3),), "units": 3, "target_dim": 3, "decoder_units": 4, "max_length": 4}
    return Seq2seqOptions(**small | changes)


def model(seed=1, **changes):
    """A small model whose translations are not all as probable as each other."""
    keras.utils.set_random_seed(seed)
    built = Seq2seq(options(**changes), TOKENS, None, {"words": 6})
    for weight in built.weights:
        weight.assign(keras.random.normal(weight.shape))
    return built


def known(translations):
    """What the model is given to read known translations: the words before each, and the words themselves."""
    width = max(map(len, translations))
    words = np.zeros((len(translations), width), np.int32)
    previous = np.zeros_like(words)
    for k, translation in enumerate(translations):
        words[k, : len(translation)] = translation
        previous[k, : len(translation)] = [BEGIN, *translation[:-1]]
    return previous, words


def log_probabilities(model, row, translations):
    """Of known translations of a source, from the logits of all words at once."""
    previous, words = known(translations)
    x = {"mask": SOURCE["mask"][[row]], "features": {"words": SOURCE["features"]["words"][[row]]}}
    x = keras.tree.map_structure(lambda array: np.repeat(array, len(translations), axis=0), x)
    logits = keras.ops.convert_to_numpy(model(x | {"previous": previous})).astype(np.float64)
    normalized = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return np.where(words > 0, np.take_along_axis(normalized, words[..., None], -1)[..., 0], 0).sum(axis=1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("attention", ["general", "additive"])
def test_the_decoder_is_that_of_the_equations(attention):
    built = model(attention=attention, decoder="gru", decoder_depth=2)
    decoder = built.decoder
    previous = np.array([[BEGIN, 4, 5], [BEGIN, 6, 0]], np.int32)
    logits, weights = built._read(SOURCE | {"previous": previous})
    encoded = np.array(built.encoder(SOURCE))
    for row, length in enumerate((3, 2)):
        source = encoded[row, :length]
        states = [np.tanh(source.mean(axis=0) @ d.kernel.numpy() + d.bias.numpy()) for (d,) in decoder.first]
        for t, token in enumerate(previous[row]):
            x = decoder.vectors.numpy()[token]
            for k, layer in enumerate(decoder.layers):
                gates, h = x @ layer.kernel.numpy() + layer.bias.numpy(), states[k]
                u = layer.cell.recurrent_kernel.numpy()
                z, r = sigmoid(gates[:8] + h @ u[:, :8]).reshape(2, 4)
                x = states[k] = z * h + (1 - z) * np.tanh(gates[8:] + (r * h) @ u[:, 8:])
            layer = decoder.attention
            keys = source @ layer.keys.kernel.numpy()
            if attention == "general":
                scores = keys @ x
            else:
                scores = np.tanh(x @ layer.queries.kernel.numpy() + keys) @ layer.score.numpy()
            a = np.exp(scores) / np.exp(scores).sum()
            np.testing.assert_allclose(weights[row, t, :length], a, atol=1e-5)
            np.testing.assert_array_equal(weights[row, t, length:], 0)
            attended = np.tanh(np.concatenate([a @ source, x]) @ layer.combine.kernel.numpy())
            expected = attended @ decoder.output_layer.kernel.numpy() + decoder.output_layer.bias.numpy()
            np.testing.assert_allclose(logits[row, t], expected, atol=1e-4)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.5])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_wide_beam_finds_the_best_of_all_translations(alpha, cell):
    built = model(decoder=cell, decoder_depth=2, beam=150, n_best=30, length_penalty=alpha)
    ordinary = range(len(MARKS), TOKENS)
    every = [[*words, END] for length in range(4) for words in itertools.product(ordinary, repeat=length)]
    found, scores = built.translate(SOURCE)
    for row in range(2):
        lengths = np.array([len(translation) for translation in every])
        expected = log_probabilities(built, row, every) / ((5 + lengths) / 6) ** alpha
        best = np.argsort(-expected)[:30]
        np.testing.assert_allclose(scores[row], expected[best], atol=1e-5)
        assert [[k for k in words if k] for words in found[row].tolist()] == [every[k] for k in best]


def test_a_beam_of_one_is_greedy_search():
    for seed in range(2):
        built = model(seed, max_length=8)
        found, scores = built.translate(SOURCE, beam=1)
        for row in range(2):
            words = []
            while not words or words[-1] != END:
                previous, _ = known([[*words, END]])
                x = {"mask": SOURCE["mask"][[row]], "features": {"words": WORDS[1][[row]]}, "previous": previous}
                logits = np.array(built(x))[0, -1]
                logits[:END] = -np.inf
                words.append(int(logits.argmax()) if len(words) < 7 else END)
            assert [k for k in found[row, 0].tolist() if k] == words
            expected = log_probabilities(built, row, [words])[0] / ((5 + len(words)) / 6) ** 0.6
            assert scores[row, 0] == pytest.approx(expected, abs=1e-5)


def test_a_wider_beam_is_never_worse_than_the_exact_answer_and_stops_at_it():
    built = model(beam=150)
    exact = built.translate(SOURCE)[1][:, 0]
    for beam in (1, 2, 4, 8):
        assert (built.translate(SOURCE, beam=beam)[1][:, 0] <= exact + 1e-6).all()


def test_a_search_is_traced_once():
    built = model()
    traced = []
    step = built.decoder.step
    built.decoder.step = lambda *arguments: traced.append(1) or step(*arguments)
    for rows, width in ((1, 2), (2, 3), (3, 5), (1, 1)):
        x = {"mask": np.ones((rows, width), bool), "features": {"words": np.ones((rows, width), np.int32)}}
        assert built.translate(x)[0].shape == (rows, 1, 4)
    assert len(traced) == 1


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_the_cross_entropy_with_smoothed_labels(smoothing, random):
    built = Seq2seq(options(), TOKENS, None, {"words": 6}, smoothing)
    _, words = known([[4, 5, END], [6, END]])
    logits = random.normal(size=(2, 3, TOKENS)).astype("f4")
    smoothed = (1 - smoothing) * np.eye(TOKENS)[words] + smoothing / TOKENS
    losses = -(smoothed * np.log(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))).sum(-1)
    expected = (losses[0].sum() + losses[1, :2].sum()) / 2
    assert float(built.compute_loss(y=words, y_pred=logits)) == pytest.approx(expected, rel=1e-5)


def test_a_vocabulary_numbers_the_most_frequent_first():
    vocabulary = TargetVocabulary.build([["b", "a", "b"], ["c", "a", "<s>"]], min_count=2)
    assert vocabulary.tokens == [*MARKS, "a", "b"]
    assert vocabulary.numbers(["b", "z", "</s>"]) == [5, 1, 1, END]
    assert vocabulary.words([5, 4, END, 0]) == ["b", "a"]


@pytest.fixture(scope="module")
def folder(tiny_bilm_folder, tmp_path_factory):
    """A model of all three inputs, untrained."""
    keras.utils.set_random_seed(2)
    inputs = (ElmoInput(projection=3), WordInput(dim=3), CharacterInput(dim=3, widths=(2,), filters=4))
    head = options(inputs=inputs, max_length=9, n_best=3)
    features = Features({"words": Feature(["the", "cat"]), "characters": Feature(list("thecat"))})
    labels = [*MARKS, "o", "gato", "␣"]
    built = Seq2seq(head, labels, (3, 8), {name: part.size for name, part in features.parts.items()})
    for weight in built.decoder.weights:
        weight.assign(keras.random.normal(weight.shape))
    place = tmp_path_factory.mktemp("seq2seq") / "model"
    description = Description("small", "seq2seq", labels, "spacy", head, {"bleu": 1.0}, "the cat", "characters")
    save_model(place, description, built, tiny_bilm_folder, features)
    return place


def test_a_model_folder_translates(folder):
    translator = Predictor.load(folder)
    assert translator.description.head.n_best == 3
    texts = ["the cat", "x", "the " + "long" * 30 + " cat sat ."]
    together = translator.predict(texts, batch_size=2)
    for text, answer in zip(texts, together, strict=True):
        scores = [found.score for found in answer.hypotheses]
        assert len(scores) == 3 and scores == sorted(scores, reverse=True) and all(map(math.isfinite, scores))
        assert answer.text == answer.hypotheses[0].text and "␣" not in answer.text
        (alone,) = translator.predict([text])
        assert [found.text for found in alone.hypotheses] == [found.text for found in answer.hypotheses]
        np.testing.assert_allclose([found.score for found in alone.hypotheses], scores, atol=1e-4)
    assert "attention" not in to_json(together[0])
    again = Predictor.load(folder).predict(texts)
    assert [answer.text for answer in again] == [answer.text for answer in together]


def test_the_attention_has_a_row_for_each_word_written(folder):
    short, long = Predictor.load(folder).translate(["the", "the cat sat"], attention=True)
    assert short.attention.source == ["the"] and long.attention.source == ["the", "cat", "sat"]
    for answer in (short, long):
        assert answer.attention.target[-1] == MARKS[END]
        weights = np.array(answer.attention.weights)
        assert weights.shape == (len(answer.attention.target), len(answer.attention.source))
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)


def test_a_search_that_cannot_be_is_refused(folder):
    translator = Predictor.load(folder)
    with pytest.raises(InputError, match="n_best 3 with a beam of 2"):
        translator.translate(["the"], beam=2, n_best=3)
    with pytest.raises(InputError, match="a translation has no score of each label"):
        translator.predict(["the"], logits=True)
    with pytest.raises(InputError, match=r"texts\[1\] has no words"):
        translator.predict(["the", ""])
    with pytest.raises(ValueError, match="n_best 6 is more than the beam of 5 holds"):
        options(n_best=6)
