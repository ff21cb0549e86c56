import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

from embeddings.bilm import BiLM
from embeddings.cells import ElmanCell, GRUCell, LSTMCell, OriginalLSTMCell, ProjectedLSTMCell
from embeddings.errors import InputError
from embeddings.gradient_flow import (
    Flow,
    Measure,
    flows_of_bilm,
    flows_of_cells,
    flows_of_layer,
    jacobian_norms,
    pull_back_of,
    token_vectors,
    trajectory,
)
from embeddings.options import BiLMOptions
from embeddings.recurrent import Recurrent

UNITS, INPUT, TIME = 4, 3, 12
CELLS = {
    "rnn": ElmanCell,
    "gru": GRUCell,
    "lstm": LSTMCell,
    "original": OriginalLSTMCell,
    "projected": lambda units, **kwargs: ProjectedLSTMCell(units, 6, 3.0, 3.0, **kwargs),
}
EXACT = Measure(lags=6, places=3, probes=99)


def layer_of(cell, dtype="float64", scale=2.0):
    """Double precision, so that small differences of it are worth something."""
    keras.utils.set_random_seed(4)
    layer = Recurrent(cell(UNITS, dtype=dtype), dtype=dtype)
    layer.loop.dtype_policy = dtype
    layer.build((None, None, INPUT))
    for variable in layer.trainable_variables:
        variable.assign(scale * variable)
    return layer


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_the_norms_are_those_of_finite_differences(cell, random):
    """Each number of a state is moved by hand, and the rest of the text read again."""
    layer = layer_of(cell)
    inputs = random.normal(size=(TIME, INPUT))
    gates, states = trajectory(layer, inputs)
    flows, outputs = flows_of_layer(layer, inputs, EXACT)
    np.testing.assert_allclose(outputs, states[0][1:])
    places = np.linspace(6, TIME, 3).astype(int)

    def read_on(before, k, t):
        for row in gates[k:t]:
            before = layer.cell(row[None], before)[1]
        return [ops.convert_to_numpy(x)[0] for x in before]

    # JAX computes in single precision unless it is told otherwise.
    step, accuracy = (1e-6, 1e-5) if states[0].dtype == np.float64 else (1e-2, 1e-2)
    for part, flow in enumerate(flows):
        assert flow.exact and flow.part == ("hidden", "memory")[part] and flow.norms.shape == (3, 7)
        width = states[part].shape[1]
        for place, t in enumerate(places):
            for lag in (0, 1, 2, 6):
                k = t - lag
                jacobian = np.empty((width, width))
                for column in range(width):
                    moved = [[state[k : k + 1].copy() for state in states] for _ in range(2)]
                    moved[0][part][0, column] += step
                    moved[1][part][0, column] -= step
                    high, low = (read_on(before, k, t)[part] for before in moved)
                    jacobian[:, column] = (high - low) / (2 * step)
                expected = np.linalg.norm(jacobian) / np.sqrt(width)
                assert flow.norms[place, lag] == pytest.approx(expected, rel=accuracy)


def without_recurrence(cell, random):
    """A layer whose gates see the input only, the text and its gates."""
    layer = layer_of(cell)
    layer.cell.recurrent_kernel.assign(ops.zeros_like(layer.cell.recurrent_kernel))
    inputs = random.normal(size=(TIME, INPUT))
    return layer, inputs, np.split(trajectory(layer, inputs)[0], layer.cell.blocks, axis=1)


def root_mean_square(gate, t, lag):
    """Of the product of a gate's values over the last steps."""
    return np.sqrt(np.mean(np.prod(gate[t - lag : t], axis=0) ** 2))


def test_without_recurrent_weights_the_norms_are_products_of_gates(random):
    """What is left is the direct path: the error of the original LSTM's memory is constant to the last digit, and the
    forget gates of the LSTM and the update gates of the GRU multiply it."""
    for cell, part, gate in (
        (OriginalLSTMCell, 1, lambda blocks: np.ones_like(blocks[0])),
        (LSTMCell, 1, lambda blocks: sigmoid(blocks[2])),
        (GRUCell, 0, lambda blocks: sigmoid(blocks[0])),
        (ElmanCell, 0, lambda blocks: np.zeros_like(blocks[0])),
    ):
        layer, inputs, blocks = without_recurrence(cell, random)
        flow = flows_of_layer(layer, inputs, EXACT)[0][part]
        for place, t in enumerate((6, 9, 12)):
            expected = [1.0] + [root_mean_square(gate(blocks), t, lag) for lag in range(1, 7)]
            np.testing.assert_allclose(flow.norms[place], expected, rtol=1e-12, err_msg=cell.__name__)


@pytest.mark.parametrize("gain", [0.5, 1.0, 1.5])
def test_a_linear_network_multiplies_the_norm_by_its_gain(gain):
    """Where the text is nothing but zeros the hidden state is, too, and tanh has the slope 1: J is U^lag."""
    layer = layer_of(lambda units, **kwargs: ElmanCell(units, "orthogonal", **kwargs), scale=gain)
    layer.bias.assign(ops.zeros_like(layer.bias))
    (flow,), _ = flows_of_layer(layer, np.zeros((TIME, INPUT)), EXACT)
    np.testing.assert_allclose(flow.median, gain ** np.arange(7), rtol=1e-12)
    assert flow.factor == pytest.approx(gain)


def test_norms_beyond_the_range_of_the_numbers_are_kept_in_it():
    """32 bits end at 10^-45 and 10^38."""
    measure = Measure(lags=200, places=2, probes=99)
    for gain in (0.25, 4.0):
        layer = layer_of(lambda units, **kwargs: ElmanCell(units, "orthogonal", **kwargs), "float32", gain)
        layer.bias.assign(ops.zeros_like(layer.bias))
        (flow,), _ = flows_of_layer(layer, np.zeros((201, INPUT), "f4"), measure)
        np.testing.assert_allclose(np.log(flow.median), np.arange(201) * np.log(gain), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_random_directions_estimate_the_norm_without_bias(cell, random):
    layer, inputs = layer_of(cell), random.normal(size=(TIME, INPUT))
    exact, _ = flows_of_layer(layer, inputs, EXACT)
    gates, states = trajectory(layer, inputs)
    pull_back = pull_back_of(layer.cell)
    for part, flow in enumerate(exact):
        squares = [
            jacobian_norms(pull_back, gates, states, part, dataclasses.replace(EXACT, probes=3, seed=seed)) ** 2
            for seed in range(60)
        ]
        error = np.std(squares, axis=0) / np.sqrt(len(squares))
        assert (np.abs(np.mean(squares, axis=0) - flow.norms**2) <= 4 * error + 1e-12).all()
    assert not flows_of_layer(layer, inputs, dataclasses.replace(EXACT, probes=3))[0][0].exact


@pytest.fixture(scope="module")
def fresh():
    """The memory of the cells that have one, the hidden state of the others, by the factor on the recurrent weights."""
    vectors = 0.4 * np.random.default_rng(2).normal(size=(120, 32)).astype("f4")
    options = BiLMOptions(projection=32, cells=64)
    return {
        gain: {name: flows[-1] for name, flows in flows_of_cells(options, vectors, Measure(), gain).items()}
        for gain in (0.5, 1.0, 3.0)
    }


def test_small_weights_show_the_order_of_the_cells(fresh):
    """The simple network forgets first, then the GRU, then the LSTMs. Without a forget gate the error neither fades nor
    explodes; what it grows by comes over the gates, beside the direct path."""
    last = {name: flow.median[-1] for name, flow in fresh[0.5].items()}
    assert last["rnn"] < 1e-3 * last["gru"] < last["gru"] < 1e-3 * last["lstm"]
    assert last["projected_lstm"] == pytest.approx(last["lstm"], rel=5)
    assert last["lstm"] < 1e-3 * last["lstm_without_forget_gate"]
    median = fresh[0.5]["lstm_without_forget_gate"].median
    np.testing.assert_allclose(median[:20], 1, atol=0.3)
    assert 1 <= median[-1] < 3


def test_a_fresh_forget_gate_takes_its_share_at_each_step(fresh):
    """The bias of 1 lets sigmoid(1) = 0.73 pass, or a bit more through the recurrent weights."""
    for name in ("lstm", "projected_lstm"):
        assert fresh[0.5][name].median[1] == pytest.approx(sigmoid(1), abs=0.02)
        assert sigmoid(1) < fresh[0.5][name].factor < 0.85
    # As many noughts in the update gate: sigmoid(0).
    assert fresh[0.5]["gru"].factor == pytest.approx(0.55, abs=0.06)


def test_large_weights_make_the_simple_network_explode_and_no_other(fresh):
    last = {name: flow.median[-1] for name, flow in fresh[3.0].items()}
    assert last.pop("rnn") > 1e3
    assert fresh[3.0]["rnn"].factor > 1.1
    assert all(1e-3 < norm < 30 for norm in last.values())


def test_the_higher_the_forget_bias_the_longer_the_error_lives():
    vectors = 0.4 * np.random.default_rng(2).normal(size=(80, 16)).astype("f4")
    last = []
    for bias in (0.0, 1.0, 3.0, None):
        keras.utils.set_random_seed(1)
        layer = Recurrent(OriginalLSTMCell(16) if bias is None else LSTMCell(16, forget_bias=bias))
        layer.build((None, None, 16))
        last.append(flows_of_layer(layer, vectors, Measure())[0][1].median[-1])
    assert last[0] < 0.1 * last[1] < last[1] < 0.1 * last[2], last
    # Without a forget gate it neither fades nor explodes.
    assert 0.3 < last[3] < 3, last


SENTENCES = [["the", "cat", "sat"], [], ["on", "a", "mat", "."]] * 5


@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_biLM_has_a_flow_for_each_layer_direction_and_part(tiny_options, bidirectional):
    bilm = BiLM(dataclasses.replace(tiny_options, bidirectional=bidirectional))
    flows = flows_of_bilm(bilm, SENTENCES, Measure(lags=8, places=4))
    expected = [
        (direction, layer, part)
        for direction in ("forward", "backward")[: 1 + bidirectional]
        for layer in (1, 2)
        for part in ("hidden", "memory")
    ]
    assert [(flow.direction, flow.layer, flow.part) for flow in flows] == expected
    assert all(flow.norms.shape == (4, 9) and (flow.norms[:, 0] == 1).all() for flow in flows)


def test_layers_read_what_the_biLM_gives_them(tiny_options, random):
    """The hidden states along the text are those of the biLM's own forward pass."""
    bilm = BiLM(tiny_options)
    stream = ["<S>", "the", "cat", "sat", "</S>", "<S>", "on", "a", "mat", ".", "</S>"]
    measure = Measure(lags=4, places=2, words=len(stream))
    for direction, text in enumerate(
        (stream, ["</S>", "sat", "cat", "the", "<S>", "</S>", ".", "mat", "a", "on", "<S>"])
    ):
        vectors = token_vectors(bilm, SENTENCES, measure, backward=direction == 1)
        ids = bilm.spelling.ids(text)
        np.testing.assert_allclose(vectors, bilm.token_encoder(ids), atol=1e-6)
        layer = bilm.stacks[direction].layers[0]
        outputs = flows_of_layer(layer, vectors, measure)[1]
        order = slice(None, None, -1 if direction else 1)
        np.testing.assert_allclose(outputs, layer(vectors[None, order])[0][0][order], atol=1e-5)


def test_a_text_that_is_too_short_is_refused(tiny_options):
    with pytest.raises(InputError, match="the text has 5 words with the frames of its sentences; expected more than 8"):
        flows_of_bilm(BiLM(tiny_options), SENTENCES[:2], Measure(lags=8))


def test_the_factor_is_that_of_the_second_half():
    norms = np.array([[1, 0.1, 0.1, 0.05, 0.025], [1, 0.1, 0.1, 0.05, 0.025]])
    flow = Flow("forward", 1, "hidden", norms, True)
    assert flow.factor == pytest.approx(0.5)
    assert dataclasses.replace(flow, norms=0 * norms).factor == 0
