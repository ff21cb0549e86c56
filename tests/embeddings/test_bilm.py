import dataclasses

import keras
import numpy as np
import pytest
from reference import numpy_bilm

from embeddings.bilm import BiLM
from embeddings.characters import characters_of_words
from embeddings.embedder import Embedder
from embeddings.published import WEIGHTS, write_published
from embeddings.source import load_bilm
from embeddings.spelling import spelling_of
from embeddings.weights import arrays_of

VOCABULARY = ["<S>", "</S>", "<UNK>", "The", "cat", "sat", "Привет", "😀"]
SENTENCES = [["The", "cat", "sat", "."], ["Привет"], ["a" * 70, "😀", "!"]]
VARIANTS = {
    "as published": {},
    "one layer": {"layers": 1},
    "three layers": {"layers": 3},
    "no highway": {"highways": 0},
    "tanh": {"activation": "tanh"},
    "no clip": {"cell_clip": None, "projection_clip": None},
    "tight clip": {"cell_clip": 0.05, "projection_clip": 0.02},
    "no skip connections": {"skip_connections": False},
    "as many filters as units": {"filters": ((1, 1), (2, 3))},
    "short words": {"max_characters": 8},
    "no projection of the state": {"cells": 4},
    "one direction": {"bidirectional": False},
    "words": {"inputs": "words", "words": len(VOCABULARY), "word_dim": 4, "filters": ()},
}


@pytest.mark.parametrize("change", VARIANTS.values(), ids=VARIANTS)
def test_layers_are_those_of_the_equations(change, tiny_options, tmp_path):
    options = dataclasses.replace(tiny_options, **change)
    keras.utils.set_random_seed(1)
    bilm = BiLM(options, spelling_of(options, VOCABULARY))
    for variable in bilm.trainable_variables:
        variable.assign(keras.random.normal(variable.shape, stddev=0.5))
    write_published(tmp_path, options, arrays_of(bilm), VOCABULARY)
    for sentence, vectors in zip(SENTENCES, Embedder(load_bilm(tmp_path)).embed(SENTENCES), strict=True):
        expected = numpy_bilm.layers(sentence, tmp_path / WEIGHTS, options.to_json(), VOCABULARY)
        np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_called_on_characters_it_gives_what_the_embedder_gives(tiny_options):
    bilm = BiLM(tiny_options)
    characters = np.zeros((2, 6, 50), np.int16)
    for row, sentence in zip(characters, SENTENCES[:2], strict=True):
        row[: len(sentence) + 2] = characters_of_words(["<S>", *sentence, "</S>"])
    layers = keras.ops.convert_to_numpy(bilm(characters))
    for row, sentence, vectors in zip(layers, SENTENCES, Embedder(bilm).embed(SENTENCES[:2]), strict=False):
        np.testing.assert_allclose(row[:, 1 : len(sentence) + 1], vectors, atol=1e-6)


def test_gradients_reach_every_weight(tiny_options):
    import tensorflow as tf

    bilm = BiLM(tiny_options)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(bilm(characters_of_words(["<S>", "word", "</S>"])[None]) ** 2)
    assert all(gradient is not None for gradient in tape.gradient(loss, bilm.trainable_variables))


def test_a_config_rebuilds_the_network(tiny_options):
    assert BiLM.from_config(BiLM(tiny_options).get_config()).options == tiny_options
