"""The equations of a biLM in NumPy, one word at a time, from the arrays of a published HDF5 file."""

import h5py
import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def clip(x, bound):
    return x if not bound else np.clip(x, -bound, bound)


def character_ids(word, max_characters):
    frame = {"<S>": [256], "</S>": [257]}
    inner = frame.get(word) or list(word.encode())[: max_characters - 2]
    ids = [258, *inner, 259]
    return [k + 1 for k in ids + [260] * (max_characters - len(ids))]


def token_vector(word, file, options):
    cnn = options["char_cnn"]
    table = np.concatenate([np.zeros((1, cnn["embedding"]["dim"])), file["char_embed"][()]])
    characters = table[character_ids(word, cnn["max_characters_per_token"])]
    features = []
    for k, (width, _) in enumerate(cnn["filters"]):
        kernel, bias = file[f"CNN/W_cnn_{k}"][0], file[f"CNN/b_cnn_{k}"][()]
        windows = [characters[s : s + width] for s in range(len(characters) - width + 1)]
        features.append(np.max([np.einsum("wd,wdn->n", window, kernel) + bias for window in windows], axis=0))
    x = np.concatenate(features)
    x = np.maximum(x, 0) if cnn["activation"] == "relu" else np.tanh(x)
    for k in range(cnn["n_highway"]):
        layer = file[f"CNN_high_{k}"]
        gate = sigmoid(x @ layer["W_carry"][()] + layer["b_carry"][()])
        x = gate * np.maximum(x @ layer["W_transform"][()] + layer["b_transform"][()], 0) + (1 - gate) * x
    if "CNN_proj" in file:
        x = x @ file["CNN_proj/W_proj"][()] + file["CNN_proj/b_proj"][()]
    return x


def lstm(inputs, cell, options, state=None):
    sizes = options["lstm"]
    h, c = state or (np.zeros(sizes["projection_dim"]), np.zeros(sizes["dim"]))
    outputs = []
    for x in inputs:
        i, j, f, o = np.split(np.concatenate([x, h]) @ cell["W_0"][()] + cell["B"][()], 4)
        c = clip(sigmoid(f + 1) * c + sigmoid(i) * np.tanh(j), sizes["cell_clip"])
        h = sigmoid(o) * np.tanh(c)
        if "W_P_0" in cell:
            h = clip(h @ cell["W_P_0"][()], sizes["proj_clip"])
        outputs.append(h)
    return np.array(outputs)


def layers(words, weights, options, vocabulary=()):
    """The layers `[layers + 1, words, 2 * projection]` of a sentence, its frame included in the reading and left out
    of the result."""
    return framed_layers(words, weights, options, vocabulary)[:, 1:-1]


def framed_layers(words, weights, options, vocabulary=()):
    """Likewise, the frame included in the result."""
    with h5py.File(weights) as file:
        framed = ["<S>", *words, "</S>"]
        if "char_cnn" in options:
            tokens = np.array([token_vector(word, file, options) for word in framed])
        else:
            known = [word if word in vocabulary else "<UNK>" for word in framed]
            tokens = np.array([file["embedding"][vocabulary.index(word)] for word in known])
        directions = 2 if options["bidirectional"] else 1
        result = [np.concatenate([tokens] * directions, axis=1)]
        outputs = [tokens, tokens]
        for k in range(options["lstm"]["n_layers"]):
            skip = k > 0 and options["lstm"]["use_skip_connections"]
            for direction in range(directions):
                order = slice(None, None, -1 if direction else 1)
                cell = file[f"RNN_{direction}/RNN/MultiRNNCell/Cell{k}/LSTMCell"]
                below = outputs[direction]
                outputs[direction] = lstm(below[order], cell, options)[order] + (below if skip else 0)
            result.append(np.concatenate(outputs[:directions], axis=1))
    return np.array(result)
