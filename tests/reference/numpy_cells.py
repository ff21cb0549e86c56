"""The equations of the recurrent cells in NumPy, one step of one sequence at a time, from the arrays of a layer."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def elman(inputs, w, u, b):
    h, outputs = np.zeros(u.shape[0]), []
    for x in inputs:
        h = np.tanh(x @ w + h @ u + b)
        outputs.append(h)
    return np.array(outputs)


def lstm(inputs, w, u, b, forget):
    """With a forget gate the blocks are i, j, f, o, without one i, j, o."""
    units = u.shape[0]
    h = c = np.zeros(units)
    outputs = []
    for x in inputs:
        blocks = (x @ w + h @ u + b).reshape(-1, units)
        i, j, o = blocks[0], blocks[1], blocks[-1]
        c = (sigmoid(blocks[2]) if forget else 1) * c + sigmoid(i) * np.tanh(j)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.array(outputs)


def gru(inputs, w, u, b):
    units = u.shape[0]
    h, outputs = np.zeros(units), []
    for x in inputs:
        wz, wr, wn = np.split(x @ w + b, 3)
        uz, ur, un = np.split(u, 3, axis=1)
        z, r = sigmoid(wz + h @ uz), sigmoid(wr + h @ ur)
        h = z * h + (1 - z) * np.tanh(wn + (r * h) @ un)
        outputs.append(h)
    return np.array(outputs)
