"""How an error fades or grows on its way back through time.

The derivative of a state by an earlier one is the product of the Jacobians of the steps between them. Where its norm
shrinks with the distance the error vanishes, where it grows the error explodes (Hochreiter 1991; Bengio et al. 1994,
"Learning long-term dependencies with gradient descent is difficult"; Pascanu et al. 2013, "On the difficulty of
training recurrent neural networks", section 2).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import get_args

import keras
import numpy as np
from keras import ops

from embeddings.bilm import BiLM, cell_of
from embeddings.cells import Cell
from embeddings.characters import SENTENCE_BEGIN, SENTENCE_END
from embeddings.compiled import compiled
from embeddings.errors import InputError
from embeddings.language_model import DIRECTIONS
from embeddings.options import BiLMOptions
from embeddings.options import Cell as CellName
from embeddings.recurrent import Recurrent

PARTS = ("hidden", "memory")
"""The states of a cell in their order; not every cell has a memory."""


@dataclass(frozen=True)
class Measure:
    """What is measured.

    Args:
        lags: the longest distance t - k, in words.
        places: positions t, evenly spread over the text.
        probes: most rows of a Jacobian that are computed. Of states no wider than that all are, and the norm is exact;
            else so many random directions are followed back.
        seed: of the random directions and of fresh weights.
        words: of the text that are read.
    """

    lags: int = 50
    places: int = 12
    probes: int = 32
    seed: int = 1
    words: int = 400


@dataclass(frozen=True)
class Flow:
    """The norms of ds_t / ds_k of one part s of a layer's state: `|J|_F / sqrt(width)`, the root mean square of the
    Jacobian's singular values. It is 1 at distance 0, and stays 1 where the error is carried back unchanged.

    Args:
        direction: `forward` or `backward`; the error of the backward layer runs to the right.
        layer: from 1 on.
        part: `hidden` or `memory`.
        norms: `[places, lags + 1]`, the distance t - k from 0 on.
        exact: whether all rows of the Jacobian were computed; else the squares of the norms are unbiased estimates.
    """

    direction: str
    layer: int
    part: str
    norms: np.ndarray
    exact: bool

    @property
    def median(self) -> np.ndarray:
        """Over the places, `[lags + 1]`."""
        return np.median(self.norms, axis=0)

    @property
    def factor(self) -> float:
        """What a step multiplies the norm by: the geometric mean over the second half of the distances."""
        median, half = self.median, len(self.median) // 2
        with np.errstate(divide="ignore", invalid="ignore"):
            return float((median[-1] / median[half]) ** (1 / max(1, len(median) - 1 - half))) if median[half] else 0.0


def flows_of_bilm(bilm: BiLM, sentences: Iterable[Sequence[str]], measure: Measure = Measure()) -> list[Flow]:
    """The flow through every layer and direction of a biLM as it reads a text.

    The sentences follow one another as in training, the state carried over their borders; so that the error, too, may
    come from another sentence.

    Raises:
        InputError: the text is not longer than the distances.
    """
    flows = []
    for direction, (name, stack) in enumerate(zip(DIRECTIONS, bilm.stacks, strict=False)):
        vectors = token_vectors(bilm, sentences, measure, backward=direction == 1)
        for k, layer in enumerate(stack.layers):
            found, outputs = flows_of_layer(layer, vectors, measure)
            flows += [replace(flow, direction=name, layer=k + 1) for flow in found]
            vectors = outputs + vectors if k and stack.skip_connections else outputs
    return flows


def flows_of_cells(
    options: BiLMOptions, vectors: np.ndarray, measure: Measure = Measure(), gain: float = 1.0
) -> dict[str, list[Flow]]:
    """The flow through one fresh layer of each cell, all of the same width.

    Args:
        options: a biLM's, for the sizes; the projected LSTM has at least twice as many cells as units.
        vectors: what the layers read, `[words, projection]`.
        measure: what is measured.
        gain: the recurrent weights are multiplied by it.
    """
    flows = {}
    for cell in get_args(CellName):
        units = options.projection
        cells = max(options.cells, 2 * units) if cell == "projected_lstm" else units
        keras.utils.set_random_seed(measure.seed)
        layer = Recurrent(cell_of(replace(options, cell=cell, cells=cells)))
        layer.build((None, None, units))
        layer.cell.recurrent_kernel.assign(gain * layer.cell.recurrent_kernel)
        flows[cell], _ = flows_of_layer(layer, vectors, measure)
    return flows


def token_vectors(
    bilm: BiLM, sentences: Iterable[Sequence[str]], measure: Measure, backward: bool = False
) -> np.ndarray:
    """The token vectors `[words, projection]` of the begin of a text, in the order in which a direction reads them.

    Raises:
        InputError: the text is not longer than the distances.
    """
    frame = [SENTENCE_BEGIN, SENTENCE_END]
    framed = ([frame[0], *sentence, frame[1]][:: -1 if backward else 1] for sentence in sentences if sentence)
    words = list(islice((word for sentence in framed for word in sentence), measure.words))
    if len(words) <= measure.lags:
        raise InputError(
            f"the text has {len(words)} words with the frames of its sentences; expected more than {measure.lags}, "
            "the longest distance"
        )
    row = {word: k for k, word in enumerate(dict.fromkeys(words))}
    ids = bilm.spelling.trim(bilm.spelling.ids(list(row))).astype(np.int32)
    return ops.convert_to_numpy(bilm.token_encoder(ids))[[row[word] for word in words]]


def flows_of_layer(layer: Recurrent, inputs: np.ndarray, measure: Measure) -> tuple[list[Flow], np.ndarray]:
    """The flow through each part of a layer's state, and the layer's outputs `[words, units]`.

    Args:
        layer: a layer that is built.
        inputs: what it reads, `[words, input]`, more than the longest distance, in the order in which it reads them.
        measure: what is measured.
    """
    gates, states = trajectory(layer, inputs)
    pull_back = pull_back_of(layer.cell)
    flows = []
    for part, name in enumerate(PARTS[: len(states)]):
        exact = states[part].shape[1] <= measure.probes
        norms = jacobian_norms(pull_back, gates, states, part, measure)
        flows.append(Flow("forward", 1, name, norms, exact))
    return flows, states[0][1:]


def trajectory(layer: Recurrent, inputs: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """The inputs' share of the gates `[words, gates]`, and the states before each word and after the last, each
    `[words + 1, width]`."""
    gates = ops.convert_to_numpy(ops.matmul(inputs, layer.kernel) + layer.bias)
    step = compiled(lambda gates, states: layer.cell(gates, states)[1])
    states = [[np.zeros((1, width), gates.dtype) for width in layer.cell.state_size]]
    for row in gates:
        states.append([ops.convert_to_numpy(state) for state in step(row[None], states[-1])])
    return gates, [np.concatenate(part) for part in zip(*states, strict=True)]


def jacobian_norms(
    pull_back: Callable, gates: np.ndarray, states: list[np.ndarray], part: int, measure: Measure
) -> np.ndarray:
    """`|ds_t / ds_k|_F / sqrt(width)` of a part s of the state, `[places, lags + 1]`.

    The rows of the Jacobian are vectors v pulled back from t to k. With the unit vectors for v the sum of their
    squares is |J|_F^2; with vectors of random signs the mean of |v J|^2 is an unbiased estimate of it (Hutchinson
    1990, "A stochastic estimator of the trace of the influence matrix"). The other part of the state at k stands still;
    between k and t all of it moves.

    Args:
        pull_back: from gates `[rows, gates]`, the states before a step and the cotangents of those after it to the
            cotangents of those before it.
        gates, states: as `trajectory` gives them.
        part: position among the states.
        measure: what is measured.
    """
    width = states[part].shape[1]
    places = np.unique(np.linspace(measure.lags, len(gates), measure.places).astype(int))
    if width <= measure.probes:
        probes, share = np.eye(width), 1.0
    else:
        probes = np.random.default_rng(measure.seed).choice([-1.0, 1.0], (measure.probes, width))
        share = 1 / measure.probes
    rows = len(probes)
    cotangents = [np.zeros((len(places) * rows, state.shape[1]), state.dtype) for state in states]
    cotangents[part][:] = np.tile(probes, (len(places), 1))
    log_norms, log_scale = np.zeros((len(places), measure.lags + 1)), np.zeros(len(places))
    for lag in range(1, measure.lags + 1):
        before = [np.repeat(state[places - lag], rows, axis=0) for state in states]
        cotangents = pull_back(np.repeat(gates[places - lag], rows, axis=0), before, cotangents)
        # Kept near 1, so that neither a vanishing nor an exploding error leaves the range of the numbers.
        blocks = [ops.convert_to_numpy(x).reshape(len(places), rows, -1) for x in cotangents]
        scale = np.max([np.abs(block).max(axis=(1, 2)) for block in blocks], axis=0)
        scale[scale == 0] = 1
        blocks = [block / scale[:, None, None] for block in blocks]
        log_scale += np.log(scale)
        with np.errstate(divide="ignore"):
            squares = np.square(blocks[part], dtype=np.float64).sum(axis=(1, 2))
            log_norms[:, lag] = log_scale + np.log(squares * share / width) / 2
        cotangents = [block.reshape(len(places) * rows, -1) for block in blocks]
    return np.exp(log_norms)


def pull_back_of(cell: Cell) -> Callable:
    """Vector-Jacobian products of one step, as `jacobian_norms` takes them."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        def pull_back(gates, states, cotangents):
            with tf.GradientTape() as tape:
                tape.watch(states)
                _, after = cell(gates, states)
            return tape.gradient(after, states, cotangents, unconnected_gradients="zero")

        return compiled(pull_back)
    if backend == "jax":
        import jax

        return jax.jit(
            lambda gates, states, cotangents: jax.vjp(lambda before: cell(gates, before)[1], states)[1](cotangents)[0]
        )
    raise InputError(f"backend '{backend}': no derivatives of single steps; expected tensorflow or jax")
