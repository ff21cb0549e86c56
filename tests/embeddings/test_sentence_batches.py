"""Whole sentences as batches: every word predicted once in each direction, from a state of zeros."""

import dataclasses
import random

import keras
import numpy as np
import pytest

from embeddings.errors import InputError
from embeddings.new_model import new_model
from embeddings.perplexity import perplexity
from embeddings.pretraining import pretrain
from embeddings.sentence_batches import POOL, SentenceBatches
from embeddings.settings import PretrainingSettings
from embeddings.spelling import Bytes
from embeddings.training_step import window_losses
from embeddings.vocabulary import Vocabulary

DRAW = random.Random(3)
SENTENCES = [[f"w{DRAW.randrange(9)}" for _ in range(DRAW.randrange(1, 12))] for _ in range(3 * POOL)]
VOCABULARY = Vocabulary.build(SENTENCES, 10)
SETTINGS = PretrainingSettings(
    batch_size=4, steps=30, learning_rate=2e-2, dropout=0.0, backpropagation="sentence", objective="full"
)


def batches(sentences, batch_size=4, steps=30):
    return SentenceBatches(sentences, VOCABULARY, batch_size, steps, Bytes(50, 3))


def predictions(batch, way):
    """Of each row, the spelled inputs and what follows them."""
    for inputs, following, mask in zip(batch[way], batch[f"{way}_next"], batch["mask"], strict=True):
        if mask.any():
            yield [tuple(batch["words"][k]) for k in inputs[mask]], following[mask].tolist()


@pytest.mark.parametrize("steps", [30, 5, 2])
def test_every_word_is_predicted_once_in_each_direction(steps):
    expected = {"forward": [], "backward": []}
    for sentence in SENTENCES:
        framed = ["<S>", *sentence, "</S>"]
        for first in range(0, len(framed) - 1, steps - 1):
            numbers = VOCABULARY.numbers(framed[first : first + steps]).tolist()
            expected["forward"].append(tuple(numbers[1:]))
            expected["backward"].append(tuple(numbers[:-1]))
    found = {"forward": [], "backward": []}
    for batch in batches(SENTENCES, steps=steps):
        assert batch["mask"].shape[1] < steps
        for way, rows in found.items():
            rows += [tuple(following) for _, following in predictions(batch, way)]
    for way, rows in found.items():
        assert sorted(rows) == sorted(expected[way])


def test_little_is_padding():
    masks = [batch["mask"] for batch in batches(SENTENCES)]
    assert np.concatenate([mask.ravel() for mask in masks]).mean() > 0.85


def test_batches_come_in_another_order_each_time_that_sentences_are_sorted():
    text = [[f"w{k % 9}"] * (k % 31 + 1) for k in range(4 * POOL)] * 3
    lengths = [batch["mask"].shape[1] for batch in batches(text, steps=50)]
    orders = [tuple(lengths[first : first + POOL]) for first in (0, POOL, 2 * POOL)]
    assert len(set(orders)) == 3 and len({tuple(sorted(order)) for order in orders}) == 1


def test_jax_compiles_for_few_lengths_and_the_losses_stay(tiny_options, monkeypatch):
    text = [[f"w{k % 9}"] * (k % 31 + 1) for k in range(4 * POOL)]
    exact = list(batches(text, steps=30))
    with monkeypatch.context() as patch:
        patch.setattr(keras.backend, "backend", lambda: "jax")
        padded = list(batches(text, steps=30))
    lengths, exact_lengths = ({batch["mask"].shape[1] for batch in given} for given in (padded, exact))
    assert lengths == {8, 12, 16, 24, 29} and len(exact_lengths) > 12
    model = new_model(tiny_options, VOCABULARY, SETTINGS)
    losses = window_losses(model)
    for one, other in zip(exact[:5], padded[:5], strict=True):
        length = one["mask"].shape[1]
        found = losses(other)
        np.testing.assert_allclose(found[..., :length], losses(one), atol=1e-5)
        assert not found[..., length:].any() and not other["mask"][:, length:].any()


def test_losses_are_those_of_each_sentence_alone(tiny_options):
    losses = window_losses(new_model(tiny_options, VOCABULARY, SETTINGS))
    batch = next(batches(SENTENCES))
    together = losses(batch)
    for k, mask in enumerate(batch["mask"]):
        length = mask.sum()
        one = {name: array[k : k + 1, :length] for name, array in batch.items() if name != "words"}
        alone = losses(one | {"words": batch["words"]})
        np.testing.assert_allclose(together[:, k : k + 1, :length], alone, atol=1e-5)
        assert not together[:, k, length:].any()


def test_training_on_sentences_learns(tiny_options):
    sentences = [[f"w{(k + j) % 6}" for j in range(1 + k % 9)] for k in range(300)]
    vocabulary = Vocabulary.build(sentences, 10)
    options = dataclasses.replace(tiny_options, projection=8, cells=16)
    losses = []
    model = pretrain(options, vocabulary, sentences * 4, 250, SETTINGS, lambda now: losses.append(now.loss))
    # The end of a sentence and the first word cannot be known.
    assert losses[-1] < losses[0] / 1.7
    assert max(perplexity(model, vocabulary, sentences[:40], SETTINGS)) < 4


class Numbered:
    """Sentences that can be resumed."""

    def __init__(self):
        self.next = 0

    def __iter__(self):
        return self

    def __next__(self):
        self.next += 1
        if self.next > len(SENTENCES):
            raise StopIteration
        return SENTENCES[self.next - 1]

    def state(self):
        return {"next": self.next}

    def restore(self, state):
        self.next = state["next"]


@pytest.mark.parametrize("given", [0, 1, 9, 10, 40])
def test_the_reading_goes_on_where_it_was(given):
    whole, part = batches(Numbered(), batch_size=3), batches(Numbered(), batch_size=3)
    for _ in range(given):
        next(whole, None)
        next(part, None)
    later = batches(Numbered(), batch_size=3)
    later.restore(part.state())
    for expected, found in zip(whole, later, strict=True):
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array)


def test_no_text_is_refused(tiny_options):
    with pytest.raises(InputError, match="does not fill one batch"):
        pretrain(tiny_options, VOCABULARY, [], 3, SETTINGS, lambda now: None)
