"""One batch of training, and the losses of one, compiled once for windows of all shapes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from embeddings.compiled import compiled, has_accelerator
from embeddings.data_parallel import devices_in_use, shared_out
from embeddings.language_model import DIRECTIONS, LanguageModel
from embeddings.spelling import Spelling

Window = dict[str, np.ndarray]


def training_step(model: LanguageModel, optimizer: Any) -> Callable[[Window], float]:
    """What trains a language model on a window and tells its mean loss, in nats a word.

    Not Keras's `train_on_batch`: on TensorFlow it looks up every new shape among all those seen before, and no two
    windows have the same number of distinct words; on JAX it takes as long to hand over the variables as a GPU to
    train.

    Args:
        model: what is trained.
        optimizer: of Keras; built here.
    """
    variables = model.trainable_variables
    if keras.backend.backend() != "tensorflow":
        return _training_step_of_jax(model, optimizer)
    import tensorflow as tf

    optimizer.build(variables)

    def step(window):
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x=window, y_pred=model(window, training=True))
        optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)
        return loss

    step, spelling = compiled(step), model.bilm.spelling
    return lambda window: float(step(in_groups(window, spelling)))


def _training_step_of_jax(model: LanguageModel, optimizer: Any) -> Callable[[Window], float]:
    import jax

    optimizer.build(model.trainable_variables)
    variables = model.trainable_variables, model.non_trainable_variables, optimizer.variables

    def loss_of(trainable, rest, window):
        losses, rest = model.stateless_call(trainable, rest, window, training=True)
        return model.compute_loss(x=window, y_pred=losses), rest

    # What goes in is not needed after it: its memory is that of what comes out.
    @partial(jax.jit, donate_argnums=(0, 1, 2))
    def step(trainable, rest, state, window):
        (loss, rest), gradient = jax.value_and_grad(loss_of, has_aux=True)(trainable, rest, window)
        trainable, state = optimizer.stateless_apply(state, gradient, trainable)
        return loss, (trainable, rest, state)

    def train(window):
        values = ([variable.value for variable in part] for part in variables)
        loss, after = step(*values, shared_out(of_few_shapes(window, model.bilm.spelling.width)))
        for part, found in zip(variables, after, strict=True):
            for variable, value in zip(part, found, strict=True):
                variable.assign(value)
        return float(loss)

    return train


def window_losses(model: LanguageModel) -> Callable[[Window], np.ndarray]:
    """What gives the negative log-likelihoods of a window's words, in nats, `[directions, batch, time]`.

    The model keeps its graph, which takes longer to build than a short text to measure.
    """
    if keras.backend.backend() != "tensorflow":
        return lambda window: model.predict_on_batch(shared_out(of_few_shapes(window, model.bilm.spelling.width)))
    if not hasattr(model, "traced"):
        model.traced = compiled(model)
    return lambda window: ops.convert_to_numpy(model.traced(in_groups(window, model.bilm.spelling)))


def in_groups(window: Window, spelling: Spelling, count: int = 4) -> dict[str, Any]:
    """The window with its words in groups of like length, so that short ones are not padded to the longest; not where
    a word is one number.

    Args:
        window: what `LanguageModel` takes.
        spelling: of its words.
        count: of the groups, which have as many words each.
    """
    words = window["words"]
    if spelling.width == 1:
        return window
    order = np.argsort(spelling.lengths(words), kind="stable")
    place = np.empty_like(order, np.int32)
    place[order] = np.arange(len(order))
    groups = [spelling.trim(group) for group in np.array_split(words[order], count)]
    return window | {"words": groups} | {way: place[window[way]] for way in DIRECTIONS}


def of_few_shapes(window: Window, width: int) -> Window:
    """The window with rows of `words` that nothing asks for and with more padding of the words, so that windows have
    few shapes: JAX compiles anew for every one.

    Args:
        window: what `LanguageModel` takes.
        width: the most numbers that a word can have.

    Returns:
        The number of words is a power of two or half as many again, and a multiple of the number of devices; that of
        their numbers likewise, up to `width`, or on an accelerator `width`, since to compile costs more than to pad.
    """
    words = window["words"]
    rows, devices = _rounded(words.shape[0]), devices_in_use()
    columns = width if has_accelerator() else min(_rounded(words.shape[1]), width)
    more = -(-rows // devices) * devices - words.shape[0], columns - words.shape[1]
    # Words that are not of full width end in padding, each of them: `Spelling.trim`.
    return window | {"words": np.pad(words, [(0, size) for size in more], mode="edge")}


def _rounded(size: int) -> int:
    power = 1 << (size - 1).bit_length()
    return 3 * power // 4 if size <= 3 * power // 4 else power
