import json
from dataclasses import replace
from itertools import islice

import keras
import numpy as np
import pytest
from reference import numpy_bilm

from embeddings.bilm import BiLM
from embeddings.errors import SourceError
from embeddings.generation import Generator
from embeddings.published import write_published
from embeddings.samplers import Sampler
from embeddings.weights import SOFTMAX, arrays_of
from embeddings.word_predictor import BACKWARD, FORWARD, WordPredictor

PROMPT = [["the", "cat"], ["zyzzyva", "sat"]]
STREAM = ["<S>", "the", "cat", "</S>", "<S>", "zyzzyva", "sat"]
SETTINGS = {"temperature": 2.0, "seed": 3}


@pytest.fixture(scope="module")
def predictor(language_model_folder):
    return WordPredictor.load(language_model_folder)


def reference(predictor, folder, stream):
    """Logits after each word of a stream but the first, in NumPy, computed over the whole stream at once."""
    options = json.loads((folder / "options.json").read_text())
    # The reference frames what it gets.
    top = numpy_bilm.layers(stream[1:], folder / "weights.hdf5", options)[-1]
    return top[:, : options["lstm"]["projection_dim"]] @ predictor.softmax.kernel.T + predictor.softmax.bias


class Recorder(Sampler):
    """Keeps what it was asked to draw from."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.logits = []

    def sample(self, logits):
        self.logits.append(logits.copy())
        return super().sample(logits)


def read_by(words):
    """What was read before each drawn word."""
    return [x for word in words for x in ([word, "<S>"] if word == "</S>" else [word])]


def test_each_step_expects_what_the_whole_text_does(predictor, language_model_folder):
    sampler = Recorder(**SETTINGS)
    words = list(Generator(predictor, sampler).generate(PROMPT, 30))
    assert "</S>" in words and len(set(words)) > 4
    stream, at = list(STREAM), []
    for word in words:
        at.append(len(stream) - 2)
        stream += read_by([word])
    expected = reference(predictor, language_model_folder, stream)[at]
    found = np.array(sampler.logits)
    assert np.isneginf(found[:, [0, 2]]).all()
    np.testing.assert_allclose(np.delete(found, [0, 2], axis=1), np.delete(expected, [0, 2], axis=1), atol=1e-4)


@pytest.mark.parametrize("direction", [FORWARD, BACKWARD])
def test_a_text_read_in_pieces_is_the_text_read_at_once(predictor, direction):
    whole, _ = predictor.read(direction, STREAM)
    pieces = WordPredictor(predictor.bilm, predictor.softmax, predictor.vocabulary, steps=3)
    np.testing.assert_allclose(pieces.read(direction, STREAM)[0], whole, atol=5e-5)
    order = (STREAM[:2], STREAM[2:]) if direction == FORWARD else (STREAM[2:], STREAM[:2])
    first, state = predictor.read(direction, order[0])
    second, _ = predictor.read(direction, order[1], state)
    both = [first, second] if direction == FORWARD else [second, first]
    np.testing.assert_allclose(np.concatenate(both), whole, atol=5e-5)


def test_the_seed_decides(predictor):
    texts = [list(Generator(predictor, Sampler(temperature=2.0, seed=seed)).generate(PROMPT, 40)) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_the_greedy_text_is_the_most_probable_word_each_time(predictor, language_model_folder):
    stream = list(STREAM)
    for word in Generator(predictor, Sampler(temperature=0)).generate(PROMPT, 6):
        logits = reference(predictor, language_model_folder, stream)[-1]
        logits[[0, 2]] = -np.inf
        assert word == predictor.vocabulary[int(np.argmax(logits))]
        stream += read_by([word])


def test_the_prompt_changes_the_text(predictor):
    texts = [list(Generator(predictor, Sampler(**SETTINGS)).generate(p, 20)) for p in (PROMPT, [["mat"]], [], [[]])]
    assert texts[0] != texts[1] != texts[2] == texts[3]


def test_unknown_words_are_drawn_only_if_asked_for(predictor):
    drawn = {
        unknown: set(Generator(predictor, Sampler(temperature=5.0, seed=1), unknown).generate([], 200))
        for unknown in (False, True)
    }
    assert drawn[True] - drawn[False] == {"<UNK>"}
    assert not any("<S>" in words for words in drawn.values())


def test_words_are_drawn_one_at_a_time(predictor):
    generator = Generator(predictor, Recorder(seed=1))
    list(islice(generator.generate(PROMPT, 10**9), 3))
    assert len(generator.sampler.logits) == 3


@pytest.mark.parametrize("cell", ["gru", "rnn", "lstm", "lstm_without_forget_gate"])
def test_every_cell_generates_in_one_direction(tiny_options, tmp_path, cell):
    options = replace(tiny_options, cell=cell, cells=4, bidirectional=False)
    softmax = dict(zip(SOFTMAX, (np.ones((4, 4), "f4"), np.ones(4, "f4")), strict=True))
    write_published(tmp_path, options, arrays_of(BiLM(options)) | softmax, ["<S>", "</S>", "<UNK>", "a"])
    generator = Generator(WordPredictor.load(tmp_path), Sampler(seed=1))
    assert set(generator.generate([["a"]], 20)) == {"a", "</S>"}


def test_a_biLM_of_words_reads_unknown_words_as_such(tiny_options, tmp_path):
    keras.utils.set_random_seed(1)
    words = ["<S>", "</S>", "<UNK>", "a", "b"]
    options = replace(tiny_options, inputs="words", words=5, word_dim=4, filters=())
    softmax = dict(zip(SOFTMAX, (np.eye(5, 4, dtype="f4"), np.zeros(5, "f4")), strict=True))
    write_published(tmp_path, options, arrays_of(BiLM(options, _words(words))) | softmax, words)
    predictor = WordPredictor.load(tmp_path)
    np.testing.assert_array_equal(
        predictor.read(FORWARD, ["<S>", "never", "a"])[0], predictor.read(FORWARD, ["<S>", "<UNK>", "a"])[0]
    )
    assert set(Generator(predictor, Sampler(seed=1)).generate([["never"]], 40)) == {"a", "b", "</S>"}


def _words(vocabulary):
    from embeddings.spelling import Words

    return Words(vocabulary)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "brings no vocabulary; expected the 4 words of its softmax"),
        (["<S>", "</S>", "<UNK>"], "3 words in the vocabulary; the softmax has 4"),
        (["a", "b", "c", "<UNK>"], "no <S> and no </S> in the vocabulary"),
    ],
)
def test_a_vocabulary_that_does_not_fit_is_refused(tiny_options, tmp_path, words, message):
    softmax = dict(zip(SOFTMAX, (np.ones((4, 4), "f4"), np.ones(4, "f4")), strict=True))
    write_published(tmp_path, tiny_options, arrays_of(BiLM(tiny_options)) | softmax, words)
    with pytest.raises(SourceError, match=message):
        WordPredictor.load(tmp_path)


def test_a_biLM_without_softmax_is_refused(tiny_bilm_folder):
    with pytest.raises(SourceError, match="brings no softmax; expected a language model"):
        WordPredictor.load(tiny_bilm_folder)
