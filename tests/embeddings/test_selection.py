import numpy as np
import pytest

from embeddings.errors import ConfigError
from embeddings.selection import Selection


@pytest.fixture
def layers(random):
    return random.normal(size=(3, 5, 4)).astype("f4")


@pytest.mark.parametrize(
    ("asked", "names", "expected"),
    [
        ("all", ["layer_0", "layer_1", "layer_2"], lambda x: x),
        ("2", ["layer_2"], lambda x: x[2:]),
        ("2,0", ["layer_2", "layer_0"], lambda x: np.stack([x[2], x[0]])),
        ("average", ["vectors"], lambda x: (x[:1] + x[1:2] + x[2:]) / 3),
        ("mix:0.5,-1,2e-1", ["vectors"], lambda x: 0.5 * x[:1] - x[1:2] + 0.2 * x[2:]),
    ],
)
def test_layers_are_chosen_and_made_one(layers, asked, names, expected):
    chosen = Selection(asked)
    assert chosen.names(3) == names
    np.testing.assert_allclose(chosen.function()(layers), expected(layers), atol=1e-6)
    pooled = Selection(asked, "mean").function()(layers)
    np.testing.assert_allclose(pooled, expected(layers).mean(axis=1, keepdims=True), atol=1e-6)
    half = Selection(asked, "max", "float16").function()(layers)
    assert half.dtype == np.float16 and half.shape == (len(names), 1, 4)
    np.testing.assert_allclose(half[:, 0], expected(layers).max(axis=1), atol=2e-3)


def test_a_sentence_without_words_is_pooled_to_zeros():
    for pool in ("mean", "max"):
        found = Selection("all", pool).function()(np.empty((3, 0, 4), "f4"))
        np.testing.assert_array_equal(found, np.zeros((3, 1, 4)))
    assert Selection("1").function()(np.empty((3, 0, 4), "f4")).shape == (1, 0, 4)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("top", "layers 'top': expected all, average, numbers such as 0,2, or mix:0.2,0.5,0.3"),
        ("0,3", "layers '0,3': no layer 3; expected 0 to 2"),
        ("0,2,0", "layers '0,2,0': layer 0 twice; expected each once"),
        ("mix:1,2", "layers 'mix:1,2': 2 weights; there are 3 layers"),
        ("mix:nan,1,1", "layers 'mix:nan,1,1': expected numbers, such as mix:0.2,0.5,0.3"),
        ("mix:1e39,1,1", "layers 'mix:1e39,1,1': expected numbers, such as mix:0.2,0.5,0.3"),
        ("mix:a", "layers 'mix:a': expected numbers, such as mix:0.2,0.5,0.3"),
    ],
)
def test_layers_that_cannot_be_are_told(asked, message):
    with pytest.raises(ConfigError) as error:
        Selection(asked).names(3)
    assert str(error.value) == message
