"""The softmax over the vocabulary and its gradient."""

from keras import ops


def softmax_loss(hidden, kernel, bias, targets):
    """Negative log-likelihood of words under a softmax over the whole vocabulary.

    The gradient is written out, since it needs nothing but the probabilities: the array `[words, vocabulary]` is
    passed over a few times fewer than automatic differentiation would, and on a CPU the passes cost more than the
    matrix products.

    Args:
        hidden: `[words, projection]`.
        kernel: `[vocabulary, projection]`.
        bias: `[vocabulary]`.
        targets: int `[words]`.

    Returns:
        `[words]`, in nats.
    """

    @ops.custom_gradient
    def loss(hidden, kernel, bias):
        logits = ops.matmul(hidden, ops.transpose(kernel)) + bias
        probabilities = ops.softmax(logits)
        # log Z from the most probable word, whose probability cannot underflow.
        log_z = ops.max(logits, axis=-1) - ops.log(ops.max(probabilities, axis=-1))
        target_logits = ops.squeeze(ops.take_along_axis(logits, targets[:, None], axis=-1), -1)

        def gradient(*arguments, upstream=None):
            """d loss / d logits = probabilities - onehot(target); the second term is added only where it is not
            zero."""
            (upstream,) = arguments if upstream is None else (upstream,)
            scaled = upstream[:, None] * hidden
            to_hidden = upstream[:, None] * (ops.matmul(probabilities, kernel) - ops.take(kernel, targets, axis=0))
            to_kernel = ops.matmul(ops.transpose(probabilities), scaled) - by_target(scaled)
            to_bias = ops.matmul(upstream, probabilities) - by_target(upstream)
            return to_hidden, to_kernel, to_bias

        return log_z - target_logits, gradient

    def by_target(values):
        return ops.segment_sum(values, targets, num_segments=kernel.shape[0])

    return loss(hidden, ops.convert_to_tensor(kernel), ops.convert_to_tensor(bias))
