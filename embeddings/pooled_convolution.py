"""A convolution over the characters of words and its maximum over their places, with its gradient written out.

The maximum is over the windows before the bias is added, which is the same. As a matrix product of all windows with the
kernel the gradient to the characters is one more product; as the gradient of a convolution into few channels it cost
more than the rest of the layer.
"""

from keras import ops


def pooled_convolution(vectors, kernel, bias, lengths=None):
    """max over t of (vectors[t : t + width] kernel) + bias (Kim et al. 2016, equations 5 and 6, before tanh).

    Where several windows have the maximum, each gets an equal share of its gradient.

    Args:
        vectors: `[words, characters, dim]`, at least as many characters as the kernel is wide.
        kernel: `[width, dim, filters]`.
        bias: `[filters]`.
        lengths: int `[words]`, the characters of each word, whose windows alone are seen; by default all characters. A
            word that is shorter than the kernel is wide gets -1e30, and its gradient is of no use.

    Returns:
        `[words, filters]`.
    """
    width, dim, filters = kernel.shape

    @ops.custom_gradient
    def run(vectors, kernel):
        windows = ops.shape(vectors)[1] - width + 1
        patches = ops.concatenate([vectors[:, k : k + windows] for k in range(width)], axis=-1)
        patches = ops.reshape(patches, (-1, width * dim))
        convolved = ops.reshape(ops.matmul(patches, kernel), (-1, windows, filters))
        if lengths is not None:
            inside = ops.arange(windows) <= (lengths - width)[:, None]
            convolved = ops.where(inside[..., None], convolved, -1e30)
        best = ops.max(convolved, axis=1)

        def gradient(*arguments, upstream=None):
            (upstream,) = arguments if upstream is None else (upstream,)
            is_best = ops.cast(ops.equal(convolved, best[:, None]), upstream.dtype)
            share = upstream / ops.sum(is_best, axis=1)
            to_convolved = ops.reshape(is_best * share[:, None], (-1, filters))
            to_patches = ops.matmul(to_convolved, ops.transpose(kernel))
            to_patches = ops.reshape(to_patches, (-1, windows, width, dim))
            to_vectors = sum(ops.pad(to_patches[:, :, k], [(0, 0), (k, width - 1 - k), (0, 0)]) for k in range(width))
            return to_vectors, ops.matmul(ops.transpose(patches), to_convolved)

        return best, gradient

    return run(vectors, ops.reshape(kernel, (width * dim, filters))) + bias
