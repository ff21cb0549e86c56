import dataclasses
import itertools
import math

import numpy as np
import pytest

from embeddings.errors import InputError
from embeddings.new_model import new_model
from embeddings.perplexity import perplexity
from embeddings.pretraining import pretrain
from embeddings.settings import PretrainingSettings
from embeddings.spelling import Bytes
from embeddings.vocabulary import Vocabulary
from embeddings.windows import Windows

# A language in which each word tells the next one.
SENTENCES = [[f"w{(k + j) % 6}" for j in range(8)] for k in range(6)] * 40
VOCABULARY = Vocabulary.build(SENTENCES, 20)
SETTINGS = PretrainingSettings(batch_size=4, steps=5, learning_rate=2e-2, dropout=0.0)


def train(options, batches, settings=SETTINGS):
    losses = []
    model = pretrain(
        options,
        VOCABULARY,
        itertools.cycle(SENTENCES),
        batches,
        settings,
        lambda now: losses.append(now.loss),
        report_every=1,
    )
    return model, losses


@pytest.fixture(scope="module")
def model(tiny_options):
    """A model that has been trained a little."""
    return train(tiny_options, 20)[0]


def test_training_learns_both_directions(tiny_options):
    model, losses = train(dataclasses.replace(tiny_options, projection=8, cells=16), 200)
    assert losses[0] == pytest.approx(math.log(len(VOCABULARY)), abs=0.5)
    forward, backward = perplexity(model, VOCABULARY, SENTENCES[:60], SETTINGS)
    # Only the first word after a frame cannot be known.
    assert forward < 2 and backward < 2


def test_a_batch_may_have_one_row(tiny_options):
    settings = dataclasses.replace(SETTINGS, batch_size=1, objective="full")
    _, losses = train(tiny_options, 2, settings)
    model = new_model(tiny_options, VOCABULARY, settings)
    (first,) = itertools.islice(Windows(SENTENCES, VOCABULARY, 1, 5, Bytes(50, 3)), 1)
    assert losses[0] == pytest.approx(float(np.mean(model(first))), rel=1e-5)


def test_the_seed_decides(tiny_options):
    assert train(tiny_options, 3)[1] == train(tiny_options, 3)[1]


def test_the_state_is_carried_from_window_to_window(model):
    """Losses in windows of 5 are those of one window over the whole stream."""
    whole = next(Windows(SENTENCES, VOCABULARY, 4, 40, Bytes(50, 3)))
    model.reset_state()
    forward, backward = model.predict_on_batch(whole)
    model.reset_state()
    for first in range(0, 40, 5):
        left, right = slice(first, first + 5), slice(35 - first, 40 - first)
        window = {"words": whole["words"]}
        window |= {
            name: whole[name][:, left if name.startswith("forward") else right] for name in whole if name != "words"
        }
        piece = model.predict_on_batch(window)
        np.testing.assert_allclose(piece[0], forward[:, left], atol=1e-5)
        np.testing.assert_allclose(piece[1], backward[:, right], atol=1e-5)


def test_perplexity_is_the_exponential_of_the_mean_loss_and_leaves_the_state_alone(model):
    carried = [variable.numpy() for variable in model._carried_variables()]
    model.reset_state()
    losses = [model.predict_on_batch(x) for x in Windows(SENTENCES, VOCABULARY, 4, 5, Bytes(50, 3))]
    expected = np.exp(np.mean(losses, axis=(0, 2, 3)))
    for variable, value in zip(model._carried_variables(), carried, strict=True):
        variable.assign(value)
    np.testing.assert_allclose(perplexity(model, VOCABULARY, SENTENCES, SETTINGS), expected, rtol=1e-5)
    for variable, value in zip(model._carried_variables(), carried, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_a_text_that_is_too_short_is_refused(model, tiny_options):
    with pytest.raises(InputError, match="does not fill one batch of 4 x 5 words"):
        pretrain(tiny_options, VOCABULARY, [["w1"]], 3, SETTINGS, lambda now: None)
    with pytest.raises(InputError, match="held-out text does not fill"):
        perplexity(model, VOCABULARY, [["w1"]], SETTINGS)


def test_mixed_precision_learns_the_same_and_keeps_its_weights_in_float32(tiny_options):
    options = dataclasses.replace(tiny_options, projection=8, cells=16)
    single, expected = train(options, 60)
    mixed, losses = train(options, 60, dataclasses.replace(SETTINGS, precision="bfloat16"))
    assert {variable.dtype for variable in mixed.trainable_variables} == {"float32"}
    assert mixed.bilm.token_encoder.compute_dtype == mixed.bilm.stacks[0].layers[0].compute_dtype == "bfloat16"
    assert single.bilm.token_encoder.compute_dtype == "float32"
    np.testing.assert_allclose(losses[:5], expected[:5], rtol=0.02)
    assert losses[-1] < losses[0] - 0.5
    assert losses[-1] == pytest.approx(expected[-1], rel=0.15)
