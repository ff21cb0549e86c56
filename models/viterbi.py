"""The best paths of a linear chain (Viterbi 1967; several of them as in Forney 1973, "The Viterbi algorithm")."""

import numpy as np


def best_paths(
    emissions: np.ndarray, lengths: np.ndarray, transitions: np.ndarray, begin: np.ndarray, end: np.ndarray, n: int = 1
) -> list[list[tuple[np.ndarray, float]]]:
    """The `n` best paths of each row, exactly.

    Args:
        emissions: `[batch, time, tags]`.
        lengths: int `[batch]`, words of each row, at least 1.
        transitions: `[tags, tags]`, from tag to tag.
        begin, end: `[tags]`.
        n: paths of each row; fewer where there are fewer.

    Returns:
        For each row the paths, int `[length]`, with their scores, the best first.
    """
    batch, time, tags = emissions.shape
    # best[row, rank, tag]: score of the rank's best way to the tag; ways that do not exist have -inf.
    best = np.full((batch, n, tags), -np.inf)
    best[:, 0] = begin + emissions[:, 0]
    came_from = np.zeros((time, batch, n, tags), np.int32)
    reached = [best]
    for t in range(1, time):
        ways = (best[:, :, :, None] + transitions).reshape(batch, n * tags, tags)
        came_from[t] = order = _first(ways, n)
        best = np.take_along_axis(ways, order, axis=1) + emissions[:, t, None]
        reached.append(best)
    found = []
    for row, length in enumerate(lengths):
        last = (reached[length - 1][row] + end).ravel()
        ends = [k for k in _first(last[None, :, None], n)[0, :, 0] if np.isfinite(last[k])]
        # Of scores that are no numbers no path is the best.
        found.append([(_path(came_from[:, row], length, k, tags), float(last[k])) for k in ends or [0]])
    return found


def log_partition(
    emissions: np.ndarray, lengths: np.ndarray, transitions: np.ndarray, begin: np.ndarray, end: np.ndarray
) -> np.ndarray:
    """Log of the sum of exp(score) over all paths of each row, float64 `[batch]`: what the scores of `best_paths` are
    held against, and as exact."""
    sums = begin + emissions[:, 0].astype(np.float64)
    found = np.empty(len(emissions))
    for t in range(1, emissions.shape[1] + 1):
        ended = np.asarray(lengths) == t
        found[ended] = np.logaddexp.reduce(sums[ended] + end, axis=-1)
        if t < emissions.shape[1]:
            sums = np.logaddexp.reduce(sums[:, :, None] + transitions, axis=1) + emissions[:, t]
    return found


def _first(ways: np.ndarray, n: int) -> np.ndarray:
    """Places of the `n` largest along the second axis, the largest first, the first of equals first."""
    if n == 1:
        return ways.argmax(axis=1)[:, None]
    return np.argsort(-ways, axis=1, kind="stable")[:, :n]


def _path(came_from: np.ndarray, length: int, way: int, tags: int) -> np.ndarray:
    path = np.empty(length, np.int64)
    rank, path[-1] = divmod(way, tags)
    for t in range(length - 1, 0, -1):
        rank, path[t - 1] = divmod(came_from[t, rank, path[t]], tags)
    return path
