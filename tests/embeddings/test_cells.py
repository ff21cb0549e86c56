import keras
import numpy as np
import pytest
from keras import ops
from reference import numpy_cells

from embeddings.cells import ElmanCell, GRUCell, LSTMCell, OriginalLSTMCell, ProjectedLSTMCell
from embeddings.recurrent import Recurrent

INPUT, UNITS, TIME = 3, 5, 7
CELLS = {
    "Elman": (ElmanCell, numpy_cells.elman),
    "LSTM without forget gate": (OriginalLSTMCell, lambda *arrays: numpy_cells.lstm(*arrays, forget=False)),
    "LSTM": (LSTMCell, lambda *arrays: numpy_cells.lstm(*arrays, forget=True)),
    "GRU": (GRUCell, numpy_cells.gru),
}


def layer_of(cell, **options):
    keras.utils.set_random_seed(3)
    layer = Recurrent(cell, **options)
    layer.build((None, None, INPUT))
    layer.bias.assign(keras.random.normal(layer.bias.shape))
    return layer


def arrays(layer):
    return [ops.convert_to_numpy(x) for x in (layer.kernel, layer.cell.recurrent_kernel, layer.bias)]


@pytest.mark.parametrize(("cell", "equations"), CELLS.values(), ids=CELLS)
@pytest.mark.parametrize("go_backwards", [False, True])
def test_a_cell_is_its_equations(cell, equations, go_backwards, random):
    layer = layer_of(cell(UNITS), go_backwards=go_backwards)
    inputs = random.normal(size=(2, TIME, INPUT)).astype("f4")
    outputs, state = layer(inputs)
    for row, sequence in zip(ops.convert_to_numpy(outputs), inputs, strict=True):
        order = slice(None, None, -1 if go_backwards else 1)
        np.testing.assert_allclose(row[order], equations(sequence[order], *arrays(layer)), atol=1e-6)
    np.testing.assert_allclose(state[0], outputs[:, 0 if go_backwards else -1], atol=1e-6)


def test_the_cells_that_Keras_has_are_the_same(random):
    inputs = random.normal(size=(2, TIME, INPUT)).astype("f4")
    for cell, theirs in (
        (ElmanCell(UNITS), keras.layers.SimpleRNN(UNITS, return_sequences=True)),
        (LSTMCell(UNITS), keras.layers.LSTM(UNITS, return_sequences=True)),
        (GRUCell(UNITS), keras.layers.GRU(UNITS, return_sequences=True, reset_after=False)),
    ):
        layer = layer_of(cell)
        theirs.build(inputs.shape)
        # Keras has i, f, j, o.
        blocks = [0, 2, 1, 3] if isinstance(cell, LSTMCell) else range(cell.blocks)
        theirs.set_weights(
            [np.concatenate([np.split(x, cell.blocks, axis=-1)[k] for k in blocks], axis=-1) for x in arrays(layer)]
        )
        np.testing.assert_allclose(layer(inputs)[0], theirs(inputs), atol=1e-6, err_msg=cell.name)


def test_without_projection_and_clip_the_projected_LSTM_is_the_LSTM(random):
    inputs = random.normal(size=(2, TIME, INPUT)).astype("f4")
    plain, projected = layer_of(LSTMCell(UNITS)), layer_of(ProjectedLSTMCell(UNITS, UNITS, None, None))
    projected.set_weights(plain.get_weights())
    # It adds 1 to the forget gate by itself.
    projected.bias.assign(plain.bias - ops.repeat(ops.convert_to_tensor([0.0, 0.0, 1.0, 0.0]), UNITS))
    np.testing.assert_allclose(projected(inputs)[0], plain(inputs)[0], atol=1e-6)


def test_a_fresh_LSTM_remembers():
    layer = Recurrent(LSTMCell(UNITS, forget_bias=2.0))
    layer.build((None, None, INPUT))
    np.testing.assert_array_equal(layer.bias, [0] * 2 * UNITS + [2] * UNITS + [0] * UNITS)


@pytest.mark.parametrize(("cell", "equations"), CELLS.values(), ids=CELLS)
def test_masked_steps_leave_the_state(cell, equations, random):
    layer = layer_of(cell(UNITS))
    inputs = random.normal(size=(1, TIME, INPUT)).astype("f4")
    _, short = layer(inputs[:, :4])
    _, masked = layer(inputs, mask=np.arange(TIME)[None] < 4)
    for one, other in zip(short, masked, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_one_initializer_gives_each_layer_its_own_weights():
    initializer = keras.initializers.RandomUniform(-0.1, 0.1)
    one, other = (Recurrent(GRUCell(3, recurrent_initializer=initializer), False, initializer) for _ in range(2))
    for layer in (one, other):
        layer.build((None, None, 3))
    kernels = [x for layer in (one, other) for x in (layer.kernel, layer.cell.recurrent_kernel)]
    assert len({float(kernel[0, 0]) for kernel in kernels}) == 4


def test_orthogonal_means_each_block_on_its_own():
    layer = Recurrent(GRUCell(UNITS, recurrent_initializer="orthogonal"), kernel_initializer="orthogonal")
    layer.build((None, None, UNITS))
    for matrix in (layer.kernel, layer.cell.recurrent_kernel):
        for block in np.split(ops.convert_to_numpy(matrix), 3, axis=1):
            np.testing.assert_allclose(block @ block.T, np.eye(UNITS), atol=1e-5)


@pytest.mark.parametrize("cell", [ElmanCell(4), LSTMCell(4, forget_bias=2.0), ProjectedLSTMCell(4, 6, 3.0, None)])
def test_a_config_rebuilds_the_layer(cell):
    layer = Recurrent(cell, go_backwards=True, kernel_initializer="orthogonal")
    with keras.saving.custom_object_scope({type(cell).__name__: type(cell)}):
        again = Recurrent.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
