"""What a language model is trained to: the probability of the next word, by a softmax over the whole vocabulary."""

from abc import abstractmethod
from collections.abc import Mapping

import keras
import numpy as np
from keras import ops

from embeddings.errors import SourceError


class Objective(keras.layers.Layer):
    """A distribution over the words of a vocabulary, and how it is learned.

    It computes in float32 whatever the network below it does: log-likelihoods of rare words need it.

    Args:
        vocabulary: number of words, the frequent ones first.
        projection: width p of a hidden state.

    Call arguments:
        hidden: `[n, projection]`.
        targets: int `[n]`, the words to predict.
        training: whether the loss may be an estimate that has the right gradient; if not, it is that of the full
            distribution.

    Returns:
        Negative log-likelihoods in nats, `[n]`.
    """

    def __init__(self, vocabulary: int, projection: int, **kwargs):
        super().__init__(**{"name": "objective", "dtype": "float32"} | kwargs)
        self.vocabulary, self.projection = vocabulary, projection

    @abstractmethod
    def log_probabilities(self, hidden):
        """The full distribution: `[n, projection]` to `[n, vocabulary]`."""

    @abstractmethod
    def variables_by_name(self) -> dict:
        """The variables under the names that their arrays have in a biLM's file."""

    def arrays(self) -> dict[str, np.ndarray]:
        """The weights, by name."""
        return {name: ops.convert_to_numpy(variable) for name, variable in self.variables_by_name().items()}

    def load(self, arrays: Mapping[str, np.ndarray], where: str = "softmax") -> None:
        """Take over weights that `arrays` gave.

        Raises:
            SourceError: one is missing or has another shape.
        """
        variables = self.variables_by_name()
        for name, variable in variables.items():
            found = np.shape(arrays[name]) if name in arrays else None
            if found != tuple(variable.shape):
                shape = "nothing" if found is None else f"the shape {list(found)}"
                raise SourceError(f"{where}: key '{name}' has {shape}; expected {list(variable.shape)}")
        for name, variable in variables.items():
            variable.assign(arrays[name])

    def _matrix(self, name: str, rows: int, columns: int):
        initializer = keras.initializers.RandomNormal(stddev=columns**-0.5)
        return self.add_weight(name=name, shape=(rows, columns), initializer=initializer)

    def _vector(self, name: str, size: int):
        return self.add_weight(name=name, shape=(size,), initializer="zeros")


class Softmax(Objective):
    """The softmax over the whole vocabulary."""

    def __init__(self, vocabulary: int, projection: int, **kwargs):
        super().__init__(vocabulary, projection, **kwargs)
        self.kernel = self._matrix("kernel", vocabulary, projection)
        self.bias = self._vector("bias", vocabulary)
        self.built = True

    def call(self, hidden, targets, training=False):
        if training:
            return softmax_loss(hidden, self.kernel, self.bias, targets)
        return softmax_loss_by_block(hidden, self.kernel, self.bias, targets)

    def log_probabilities(self, hidden):
        return ops.log_softmax(ops.matmul(hidden, ops.transpose(self.kernel)) + self.bias)

    def variables_by_name(self):
        return {"softmax/W": self.kernel, "softmax/b": self.bias}


def log_z(logits, probabilities):
    """The logarithm of the normaliser of each row, `[n]`, from the most probable word, whose probability cannot
    underflow."""
    return ops.max(logits, axis=-1) - ops.log(ops.max(probabilities, axis=-1))


def value_of(variable):
    """A variable as a tensor: TensorFlow's custom gradients take no variables, which conversion lets through."""
    return ops.reshape(variable, variable.shape)


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
        logits = ops.add(ops.matmul(hidden, ops.transpose(kernel)), bias)
        probabilities = ops.softmax(logits)
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

        return log_z(logits, probabilities) - target_logits, gradient

    def by_target(values):
        return ops.segment_sum(values, targets, num_segments=kernel.shape[0])

    return loss(hidden, value_of(kernel), value_of(bias))


def softmax_loss_by_block(hidden, kernel, bias, targets, block: int = 4096):
    """`softmax_loss` in the memory of `[words, block]` numbers, for evaluation: the logarithm of the normaliser is
    summed over blocks of the vocabulary."""
    vocabulary, projection = kernel.shape
    kernel, bias = value_of(kernel), value_of(bias)
    target_logits = ops.sum(hidden * ops.take(kernel, targets, axis=0), axis=-1) + ops.take(bias, targets)

    def of_block(first, size):
        rows = ops.slice(kernel, (first, 0), (size, projection))
        return ops.logsumexp(ops.matmul(hidden, ops.transpose(rows)) + ops.slice(bias, (first,), (size,)), axis=-1)

    blocks = (vocabulary - 1) // block
    rest = of_block(blocks * block, vocabulary - blocks * block)
    if not blocks:
        return rest - target_logits
    total = ops.fori_loop(0, blocks, lambda k, total: ops.logaddexp(total, of_block(k * block, block)), rest)
    return total - target_logits
