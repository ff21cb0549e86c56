"""Loops over numbers that NumPy would need many passes for; each runs on one core, without Python's lock."""

import numpy as np
from numba import njit, types
from numba.extending import overload

FLOAT = np.float32


def _compiled(**options):
    """What Numba compiles once for a machine; where there is no place to keep it, once for a process."""

    def decorate(function):
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:
            return njit(**options)(function)

    return decorate


_inline = _compiled(inline="always")
_fast = _compiled(nogil=True, error_model="numpy", fastmath={"contract", "nnan", "nsz", "reassoc", "arcp"})


@_inline
def _tanh(x):
    """Lambert's continued fraction (1761) to its seventh term for a quarter of x, doubled twice by
    tanh 2y = 2 tanh y / (1 + tanh² y). Off by less than 3e-7."""
    y = min(max(x, FLOAT(-9)), FLOAT(9)) * FLOAT(0.25)
    z = y * y
    above = y * (FLOAT(135135) + z * (FLOAT(17325) + z * (FLOAT(378) + z)))
    below = FLOAT(135135) + z * (FLOAT(62370) + z * (FLOAT(3150) + z * FLOAT(28)))
    above, below = FLOAT(2) * above * below, above * above + below * below
    return FLOAT(2) * above * below / (above * above + below * below)


@_inline
def _cell(i, j, f, o, memory, cell_clip):
    """Memory and output of a cell, from its gates before their sigmoid and tanh.

    sigmoid(x) is (tanh(x / 2) + 1) / 2, where the weights hold the half of x already. The output is twice what it
    should be; the projection holds that half.
    """
    memory = ((_tanh(i) + FLOAT(1)) * _tanh(j) + (_tanh(f) + FLOAT(1)) * memory) * FLOAT(0.5)
    memory = min(max(memory, -cell_clip), cell_clip)
    return memory, (_tanh(o) + FLOAT(1)) * _tanh(memory)


@_fast
def lstm_step(share, place, recurrent, row_of, memory, output, cell_clip):
    """A step of `ProjectedLSTMCell` for some rows, between its two products.

    Args:
        share: what inputs give to the gates i, j, f, o, `[inputs, 4 * cells]`.
        place: int `[rows]`, the input of each row.
        recurrent: what the hidden state gives to the gates, `[hidden states, 4 * cells]`.
        row_of: int `[rows]`, the hidden state of each row.
        memory: `[rows, cells]`, changed in place.
        output: where twice the cell's output is put, `[rows, cells]`.
        cell_clip: bound on the absolute values of the memory.
    """
    rows, n = memory.shape
    for r in range(rows):
        x, h, c, out = share[place[r]], recurrent[row_of[r]], memory[r], output[r]
        for k in range(n):
            i, j, f, o = x[k] + h[k], x[n + k] + h[n + k], x[2 * n + k] + h[2 * n + k], x[3 * n + k] + h[3 * n + k]
            c[k], out[k] = _cell(i, j, f, o, c[k], cell_clip)


@_fast
def _gates_of(hidden, new, recurrent, packed, known, gates, row_of):
    """What the hidden states of the rows that go on give to their gates, and for every row where that stands.

    Args:
        new: of each row, the row of `gates` that it begins anew from, or -1.
        known: rows of `gates` that are there; what is computed comes after them.
        row_of: int `[rows]`, the result.
    """
    rows, going_on = len(new), 0
    for r in range(rows):
        if new[r] >= 0:
            row_of[r] = new[r]
        else:
            row_of[r] = known + going_on
            packed[going_on] = hidden[r]
            going_on += 1
    if going_on == rows:
        np.dot(hidden[:rows], recurrent, gates[known : known + rows])
    elif going_on:
        np.dot(packed[:going_on], recurrent, gates[known : known + going_on])


@_fast
def _project(output, projection, clip, hidden):
    """The hidden states that twice the cells' outputs give."""
    if projection.shape[1]:
        np.dot(output, projection, hidden)
        for r in range(len(hidden)):
            for k in range(hidden.shape[1]):
                hidden[r, k] = min(max(hidden[r, k], -clip), clip)
    else:
        for r in range(len(hidden)):
            for k in range(hidden.shape[1]):
                hidden[r, k] = output[r, k] * FLOAT(0.5)


@_fast
def lstm_rows(share, place, begins, new, before, weights, state, gates, clips, found):
    """All steps of `ProjectedLSTMCell` for rows side by side. Between two steps Python would take as long as a few rows
    do, and hold up the other threads.

    Args:
        share: what inputs give to the gates i, j, f, o, `[inputs, 4 * cells]`.
        place: int `[words]`, the input of each word, step after step.
        begins: int `[steps + 1]`, where each step begins in them; no step has more rows than the one before.
        new: int `[words]`, the row of `before` from which a word's row begins anew, or -1.
        before: memories `[begins, cells]`.
        weights: recurrent ones `[projection, 4 * cells]`, and the projection `[cells, projection]` or none: no columns.
        state: hidden states `[rows, projection]` and memories `[rows, cells]`, changed in place.
        gates: `[begins + rows, 4 * cells]`; what the hidden states before give to the gates stands first.
        clips: bounds on the absolute values of memory and hidden state.
        found: the hidden states, `[words, projection]`.
    """
    hidden, memory = state
    packed, output = np.empty_like(hidden), np.empty_like(memory)
    row_of = np.empty(len(hidden), np.int64)
    for step in range(len(begins) - 1):
        first, last = begins[step], begins[step + 1]
        rows = last - first
        _gates_of(hidden, new[first:last], weights[0], packed, len(before), gates, row_of)
        for r in range(rows):
            if new[first + r] >= 0:
                memory[r] = before[new[first + r]]
        lstm_step(share, place[first:last], gates, row_of[:rows], memory[:rows], output[:rows], clips[0])
        _project(output[:rows], weights[1], clips[1], hidden[:rows])
        found[first:last] = hidden[:rows]


def _wide(number):
    raise NotImplementedError


@overload(_wide, inline="always")
def _(number):
    if number == types.uint16:
        # The upper half of a float32 is a bfloat16.
        return lambda number: np.uint32(np.uint32(number) << np.uint32(16)).view(np.float32)
    return lambda number: FLOAT(number)  # noqa: PLW0108


@_fast
def _times(matrix, scale, vector, found):
    """found = (matrix vector) * scale. Four rows at once, far from each other, as memory answers several sooner."""
    quarter = len(matrix) // 4
    for r in range(quarter):
        w, x, y, z = matrix[r], matrix[quarter + r], matrix[2 * quarter + r], matrix[3 * quarter + r]
        a, b, c, d = FLOAT(0), FLOAT(0), FLOAT(0), FLOAT(0)
        for k in range(len(vector)):
            a += vector[k] * _wide(w[k])
            b += vector[k] * _wide(x[k])
            c += vector[k] * _wide(y[k])
            d += vector[k] * _wide(z[k])
        found[r], found[quarter + r] = a * scale[r], b * scale[quarter + r]
        found[2 * quarter + r], found[3 * quarter + r] = c * scale[2 * quarter + r], d * scale[3 * quarter + r]
    for r in range(4 * quarter, len(matrix)):
        a = FLOAT(0)
        for k in range(len(vector)):
            a += vector[k] * _wide(matrix[r, k])
        found[r] = a * scale[r]


@_fast
def lstm_alone(share, place, recurrent, projection, memory, hidden, clips, found):
    """Steps of `ProjectedLSTMCell` for a single row, which take the time of reading the weights.

    Args:
        share, place: as for `lstm_step`, `place` of each step.
        recurrent: weights `[4 * cells, projection]` and what each of their rows is to be multiplied with; float32,
            bfloat16 in uint16, or int8.
        projection: likewise `[projection, cells]`; or of no rows, where there is none.
        memory, hidden: the state, `[cells]` and `[projection]`, changed in place.
        clips: bounds on the absolute values of memory and hidden state.
        found: the hidden states, `[steps, projection]`.
    """
    n = len(memory)
    gates, output = np.empty(4 * n, FLOAT), np.empty(n, FLOAT)
    for step in range(len(place)):
        _times(recurrent[0], recurrent[1], hidden, gates)
        x = share[place[step]]
        for k in range(n):
            i, j = x[k] + gates[k], x[n + k] + gates[n + k]
            f, o = x[2 * n + k] + gates[2 * n + k], x[3 * n + k] + gates[3 * n + k]
            memory[k], output[k] = _cell(i, j, f, o, memory[k], clips[0])
        if len(projection[0]):
            _times(projection[0], projection[1], output, hidden)
            for k in range(len(hidden)):
                hidden[k] = min(max(hidden[k], -clips[1]), clips[1])
        else:
            for k in range(n):
                hidden[k] = output[k] * FLOAT(0.5)
        found[step] = hidden


@_fast
def pooled_windows(ids, lengths, table, found):
    """The maximum over the windows of a word of a convolution over its characters, without its bias.

    A window's value is a sum of rows, one for each of its characters. All windows behind the word are equal, so that
    one of them is enough.

    Args:
        ids: int `[words, characters]`.
        lengths: int `[words]`, characters that are not padding.
        table: float `[width, characters, filters]`: what a character gives at each place of a window.
        found: `[words, filters]`, the result.
    """
    width, _, filters = table.shape
    window = np.empty(filters, FLOAT)
    for w in range(len(ids)):
        best = found[w]
        best[:] = FLOAT(-np.inf)
        for first in range(min(lengths[w], ids.shape[1] - width) + 1):
            window[:] = table[0, ids[w, first]]
            for k in range(1, width):
                row = table[k, ids[w, first + k]]
                for f in range(filters):
                    window[f] += row[f]
            for f in range(filters):
                best[f] = max(best[f], window[f])


@_fast
def highway_mix(x, carry, transform):
    """y = g * relu(t) + (1 - g) * x with g = sigmoid(c), in place of x.

    Args:
        x: `[words, features]`.
        carry, transform: c / 2 and t, likewise.
    """
    for w in range(len(x)):
        for k in range(x.shape[1]):
            g = (_tanh(carry[w, k]) + FLOAT(1)) * FLOAT(0.5)
            x[w, k] = g * max(transform[w, k], FLOAT(0)) + (FLOAT(1) - g) * x[w, k]
