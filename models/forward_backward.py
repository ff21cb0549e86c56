"""The forward-backward algorithm on the paths of a linear chain (Rabiner 1989, "A tutorial on hidden Markov models",
section III.A; Lafferty et al. 2001, section 3), in logarithms.

What grows with the length of a text is taken off at each step and kept apart (as Rabiner's scaling, section V.A), so
that probabilities are as exact at the end of a long text as at its beginning.
"""

from typing import Any, NamedTuple

from keras import ops


class Sums(NamedTuple):
    """Logarithms of sums of exp(score) over paths.

    Args:
        before: `[batch, time, tags]`, over the beginnings of paths, up to each word and tag, both included; but for a
            number that is the same for all tags of a word.
        after: likewise, over their ends, from each word and tag on, both included.
        partition: `[batch]`, over whole paths.
    """

    before: Any
    after: Any
    partition: Any


def forward_backward(emissions, mask, transitions, begin, end) -> Sums:
    """Sum over all paths. Both directions run in one loop.

    Args:
        emissions: `[batch, time, tags]`.
        mask: bool `[batch, time]`; each row True, then False, with at least one True.
        transitions: `[tags, tags]`, from tag to tag.
        begin, end: `[tags]`.
    """
    tags = emissions.shape[-1]
    turned = _turned(mask)
    both = ops.concatenate([emissions, ops.take_along_axis(emissions, turned, axis=1)], axis=0)
    both = ops.transpose(both, (1, 0, 2))
    steps = ops.stack([transitions, ops.transpose(transitions)])[:, None]

    def scaled(sums, total):
        most = ops.max(sums, axis=-1, keepdims=True)
        # In one array, since Keras's scan wants an output of the state's shape.
        return ops.concatenate([sums - most, total + most], axis=-1)

    def step(state, emission):
        sums = ops.reshape(state[:, :tags], (2, -1, tags, 1)) + steps
        state = scaled(ops.reshape(ops.logsumexp(sums, axis=2), (-1, tags)) + emission, state[:, tags:])
        return state, state

    ones = ops.ones_like(emissions[:, 0])
    first = scaled(both[0] + ops.concatenate([ones * begin, ones * end], axis=0), 0.0)
    # One step too many, since TensorFlow stacks no outputs of a loop of none.
    _, rest = ops.scan(step, first, ops.concatenate([both[1:], both[:1]], axis=0))
    sums = ops.transpose(ops.concatenate([first[None], rest[:-1]], axis=0), (1, 0, 2))
    before, after = ops.split(sums, 2, axis=0)
    after = ops.take_along_axis(after, turned, axis=1)
    partition = ops.logsumexp(after[:, 0, :tags] + begin, axis=-1) + after[:, 0, tags]
    return Sums(before[..., :tags], after[..., :tags], partition)


def _turned(mask):
    """The place of each word when the words of each row are turned round, int32 `[batch, time, 1]`; padding stays."""
    places = ops.cumsum(ops.ones_like(mask, dtype="int32"), axis=1) - 1
    lengths = ops.sum(ops.cast(mask, "int32"), axis=1, keepdims=True)
    return ops.where(mask, lengths - 1 - places, places)[..., None]


def tag_marginals(sums: Sums, emissions, mask):
    """p(y_t = k), `[batch, time, tags]`; 0 where the mask is False."""
    return ops.where(mask[..., None], ops.softmax(sums.before + sums.after - emissions), 0.0)


def transition_counts(sums: Sums, mask, transitions):
    """How often a path is expected to go from tag to tag, sum_t p(y_t = j, y_t+1 = k): `[batch, tags, tags]`."""
    logarithms = sums.before[:, :-1, :, None] + transitions + sums.after[:, 1:, None, :]
    logarithms -= ops.logsumexp(logarithms, axis=(2, 3), keepdims=True)
    return ops.sum(ops.where(mask[:, 1:, None, None], ops.exp(logarithms), 0.0), axis=1)
