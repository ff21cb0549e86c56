"""The search for the most probable translations."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from models.seq2seq_vocabulary import BEGIN, END, PADDING


def length_normalizer(length, alpha: float):
    """lp(Y) of a translation of so many tokens (Wu et al. 2016, "Google's neural machine translation system", equation
    14):

    lp(Y) = ((5 + |Y|) / 6)^alpha
    """
    return ((5.0 + length) / 6.0) ** alpha


def beam_search(
    step: Callable[[Any, Any], tuple[Any, Any]],
    states: Any,
    batch: Any,
    beam: int,
    n_best: int,
    limit: int,
    alpha: float,
) -> tuple[Any, Any]:
    """The translations Y of each source with the highest log P(Y) / lp(Y); |Y| counts the end.

    At each step the `beam` most probable unended hypotheses go on. One that ends while it is among the `beam` best is
    kept, and the search for a source ends when no hypothesis that goes on can still be better than the `n_best`th one
    kept. So the answer does not depend on the other sources, a beam of 1 is greedy search, and a beam as wide as there
    are prefixes is exact.

    Args:
        step: from the tokens before, int `[batch, beam]`, and the states to log probabilities
            `[batch, beam, tokens]` and the new states.
        states: nested, of each hypothesis the same at first, `[batch * beam, ...]`.
        batch: number of sources.
        beam: hypotheses that are held at once.
        n_best: of the answer, at most `beam`.
        limit: tokens of a translation at most, its end included.
        alpha: of lp.

    Returns:
        Tokens, int `[batch, n_best, limit]`, the best first, with padding after the end; and log P(Y) / lp(Y)
        `[batch, n_best]`, minus infinity where there are fewer translations.
    """
    ended = float("-inf")
    steps = ops.arange(limit)
    none = ops.full((batch, beam), ended)
    empty = ops.full((batch, beam, limit), PADDING, dtype="int32")
    alive = ops.where(ops.arange(beam) == 0, 0.0, none)
    lowest = length_normalizer(limit, alpha)

    def going_on(t, tokens, alive, rows, states, scores, kept):
        # The log probability can only fall from here, and lp only rise to that of the limit.
        return ops.logical_and(t < limit, ops.any(alive[:, 0] / lowest > scores[:, n_best - 1]))

    def go_on(t, tokens, alive, rows, states, scores, kept):
        log_probabilities, states = step(tokens, states)
        count = log_probabilities.shape[-1]
        last = ops.logical_and(t == limit - 1, ops.arange(count) != END)
        total = alive[..., None] + ops.where(last, ended, log_probabilities)
        # At most `beam` of these end, so that there are enough that do not.
        candidates, place = ops.top_k(ops.reshape(total, (-1, beam * count)), min(2 * beam, beam * count))
        parent, token = place // count, place % count
        ends = token == END
        longer = ops.where(steps == t, token[..., None], _chosen(rows, parent))
        ending = ops.where(ends, candidates, ended)[:, :beam] / length_normalizer(ops.cast(t + 1, "float32"), alpha)
        scores, best = ops.top_k(ops.concatenate([scores, ending], axis=1), beam)
        kept = _chosen(ops.concatenate([kept, longer[:, :beam]], axis=1), best)
        alive, best = ops.top_k(ops.where(ends, ended, candidates), beam)
        parent = ops.reshape(_chosen(parent, best) + beam * ops.arange(batch)[:, None], (-1,))
        states = keras.tree.map_structure(lambda state: ops.take(state, parent, axis=0), states)
        return t + 1, _chosen(token, best), alive, _chosen(longer, best), states, scores, kept

    tokens = ops.full((batch, beam), BEGIN, dtype="int32")
    *_, scores, kept = ops.while_loop(going_on, go_on, (0, tokens, alive, empty, states, none, empty))
    return kept[:, :n_best], scores[:, :n_best]


def _chosen(rows, numbers):
    """The rows of these numbers, `[batch, chosen, ...]` of `[batch, rows, ...]`."""
    # Not `take_along_axis`, which takes number by number.
    flat = numbers + rows.shape[1] * ops.arange(ops.shape(rows)[0])[:, None]
    return ops.take(ops.reshape(rows, (-1, *rows.shape[2:])), flat, axis=0)
