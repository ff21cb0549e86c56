"""The biLM with its objective, as it is trained."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
from keras import ops

from embeddings.bilm import BiLM
from embeddings.errors import SourceError, TrainingError
from embeddings.published import VOCABULARY, write_published
from embeddings.softmax import Objective
from embeddings.source import find_source
from embeddings.vocabulary import Vocabulary
from embeddings.weights import arrays_of, fill

DIRECTIONS = ("forward", "backward")


class LanguageModel(keras.Model):
    """Predicts each word from those before it, and from those after it (Peters et al. 2018, section 3.1).

    The objective, such as a softmax, is shared by both directions. The LSTM state is carried from one window to the
    next, without its gradient: truncated backpropagation through time (Williams and Peng 1990). Where a batch has
    whole sentences, the gradient flows through all of each.

    Args:
        bilm: the network below the objective.
        objective: what makes probabilities of the top layer; of the width of the biLM's projection.
        batch_size: rows of every batch; each row is a stream of text of its own.
        dropout: share of the token vectors' and of the top layer's units that training leaves out.

    Call arguments:
        inputs: a dict of
            `words`: int `[unique words, width]`, the distinct words of the window, spelled for the biLM, or a list of
                such arrays that hold them one after the other (`TokenEncoder`);
            `forward`, `backward`: int `[batch, time]`, rows of `words` in the order of the text; the forward
                windows of a batch row follow one another to the right, the backward windows to the left;
            `forward_next`, `backward_next`: int `[batch, time]`, the word to the right, or to the left, by its number
                in the vocabulary;
            `mask`: bool `[batch, time]`, only where each row is a sentence of its own that begins with a state of
                zeros: where there is a word to predict. No state is carried then.

    Returns:
        Negative log-likelihoods in nats, `[directions, batch, time]`, forward first, 0 where masked; outside of
        training always those of the full distribution.
    """

    def __init__(self, bilm: BiLM, objective: Objective, batch_size: int, dropout: float = 0.1, **kwargs):
        super().__init__(**kwargs)
        self.bilm = bilm
        self.batch_size = batch_size
        options = bilm.options
        self.objective = objective
        self.carried = [
            [
                [
                    self.add_weight(
                        name=f"{direction}_{k}_{part}", shape=(batch_size, width), initializer="zeros", trainable=False
                    )
                    for part, width in zip(("hidden", "memory"), options.state_sizes, strict=False)
                ]
                for k in range(options.layers)
            ]
            for direction in DIRECTIONS[: options.directions]
        ]
        self.dropout = dropout
        # Without dropout, too, so that a checkpoint fits a training that goes on with another share.
        self.seed_generator = keras.random.SeedGenerator()
        self.built = True

    def write(self, folder: Path, vocabulary: Vocabulary) -> None:
        """Write the published form, with the objective's weights and the vocabulary, into an existing folder.

        Raises:
            TrainingError: a weight is infinite or no number.
        """
        arrays = arrays_of(self.bilm) | self.objective.arrays()
        for key, array in arrays.items():
            if not np.isfinite(array).all():
                raise TrainingError(f"the weights '{key}' are infinite or no numbers; lower training.learning_rate")
        write_published(folder, self.bilm.options, arrays, vocabulary.words, self.bilm.spelling)
        vocabulary.write_counts(folder / VOCABULARY)

    def load(self, folder: Path) -> None:
        """Take over the weights that `write` wrote.

        Raises:
            SourceError: they cannot be read, or are those of another network.
        """
        stored = find_source(folder)
        # As the file has them: what a biLM has no use for is not kept there.
        if stored.options.to_json() != self.bilm.options.to_json():
            raise SourceError(f"{folder}: a biLM with other options than those of this training")
        arrays = stored.arrays()
        self.objective.load(arrays, str(folder))
        fill(self.bilm, arrays)

    def reset_state(self) -> None:
        """Let every row begin a new text."""
        for variable in self._carried_variables():
            variable.assign(ops.zeros(variable.shape))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Read another text from its begin; afterwards the state is what it was."""
        kept = [ops.convert_to_numpy(variable) for variable in self._carried_variables()]
        self.reset_state()
        try:
            yield
        finally:
            for variable, value in zip(self._carried_variables(), kept, strict=True):
                variable.assign(value)

    def _dropped(self, x, training: bool):
        return keras.random.dropout(x, self.dropout, seed=self.seed_generator) if training and self.dropout else x

    def _carried_variables(self):
        return [variable for direction in self.carried for layer in direction for variable in layer]

    def call(self, inputs, training=False):
        words, mask = self.bilm.token_encoder(inputs["words"], training=training), inputs.get("mask")
        tops, targets, states = [], [], []
        for direction, stack, state in zip(DIRECTIONS, self.bilm.stacks, self.carried, strict=False):
            vectors = self._dropped(ops.take(words, inputs[direction], axis=0), training)
            begin = None if mask is not None else [[ops.stop_gradient(x) for x in layer] for layer in state]
            outputs, last_state = stack(vectors, mask=mask, state=begin)
            states += [x for layer in last_state for x in layer]
            hidden = self._dropped(outputs[-1], training)
            tops.append(ops.reshape(hidden, (-1, self.bilm.options.projection)))
            targets.append(ops.reshape(inputs[f"{direction}_next"], (-1,)))
        # Both directions at once, so that a sample of the vocabulary serves both.
        losses = self.objective(ops.concatenate(tops), ops.concatenate(targets), training=training)
        losses = ops.reshape(losses, (len(tops), *ops.shape(inputs["forward"])))
        if mask is not None:
            return ops.where(mask, losses, 0.0)
        for variable, value in zip(self._carried_variables(), states, strict=True):
            variable.assign(value)
        return losses

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The mean of both directions, in nats a word."""
        if "mask" in x:
            return ops.sum(y_pred) / ops.sum(ops.cast(x["mask"], y_pred.dtype)) / y_pred.shape[0]
        return ops.mean(y_pred)
