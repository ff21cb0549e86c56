from itertools import islice

import keras
import numpy as np
import pytest

from embeddings.new_model import new_model
from embeddings.options import BiLMOptions
from embeddings.settings import PretrainingSettings
from embeddings.training_step import in_groups, of_few_shapes
from embeddings.vocabulary import Vocabulary
from embeddings.windows import Windows

LONGEST = "w" * 12
SENTENCES = [["w1", "w2", "w3"], [LONGEST[:5], "w1"], ["w2", LONGEST], ["w4"]] * 9
VOCABULARY = Vocabulary.build(SENTENCES, 20)


CHARACTERS = BiLMOptions(
    projection=4, cells=6, layers=1, filters=((1, 3), (3, 4)), character_dim=4, highways=0, max_characters=14
)
WORDS = BiLMOptions(projection=4, cells=6, layers=1, inputs="words", words=3, word_dim=4)


@pytest.mark.parametrize("options", [CHARACTERS, WORDS], ids=["characters", "words"])
def test_more_padding_does_not_change_the_losses(options):
    model = new_model(options, VOCABULARY, PretrainingSettings(batch_size=2, steps=3))
    shapes, padded = set(), set()
    for window in Windows(SENTENCES, VOCABULARY, 2, 3, model.bilm.spelling):
        more = of_few_shapes(window, model.bilm.spelling.width)
        shapes.add(window["words"].shape)
        padded.add(more["words"].shape)
        model.reset_state()
        expected = np.array(model(window))
        model.reset_state()
        np.testing.assert_allclose(model(more), expected, atol=1e-6)
    assert len(padded) < len(shapes)
    assert padded <= {(rows, width) for rows in (1, 2, 3, 4, 6, 8, 12) for width in (1, 6, 8, 12, 14)}


def test_words_in_groups_of_like_length_have_the_same_losses_and_less_padding():
    model = new_model(CHARACTERS, VOCABULARY, PretrainingSettings(batch_size=2, steps=3))
    for window in islice(Windows(SENTENCES, VOCABULARY, 2, 3, model.bilm.spelling), 2):
        grouped = in_groups(window, model.bilm.spelling)
        assert sum(group.size for group in grouped["words"]) <= window["words"].size
        assert sum(map(len, grouped["words"])) == len(window["words"])
        for training in (True, False):
            losses = []
            for form in (window, grouped):
                model.reset_state()
                keras.utils.set_random_seed(1)
                model.seed_generator.state.assign([1, 2])
                losses.append(np.array(model(form, training=training)))
            np.testing.assert_allclose(*losses, atol=1e-6)


def test_words_by_their_number_need_no_groups():
    model = new_model(WORDS, VOCABULARY, PretrainingSettings(batch_size=2, steps=3))
    window = next(Windows(SENTENCES, VOCABULARY, 2, 3, model.bilm.spelling))
    assert in_groups(window, model.bilm.spelling) is window
