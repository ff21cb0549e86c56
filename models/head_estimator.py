"""What the estimators with a head of their own share: from parameters and texts to a trained head."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from models.description import Description
from models.estimator_inputs import as_value_errors, options_of
from models.examples import Examples
from models.options import HeadOptions, Task, TrainingSettings

if TYPE_CHECKING:
    from models.pickled import PickledSource


class HeadEstimator(BaseEstimator):
    """Trains a head as `telmo train` does, above a frozen source or on words and characters alone.

    A fitted one pickles. It holds its head as arrays, and its source by the name that it was given, so that the source
    has to be there, with the same files, where the pickle is read; `save` writes all there is into a model folder.

    Attributes:
        head_: the trained head, a `models.pickled.PickledHead`.
        epochs_: what each pass over the training texts gave, a list of `models.training.Epoch`.
    """

    _task: ClassVar[Task]

    def _fit_head(
        self, sentences: list[list[str]], targets: Sequence, labels: Sequence[str], strata: Any = None, **settings: Any
    ) -> None:
        """Learn.

        Args:
            sentences, targets: as `Examples` take them.
            labels: all that the targets have.
            strata: a class of each text, to share out in equal parts, or None.
            settings: of the training, beside those that the parameters say.

        Raises:
            ValueError: a parameter or the data cannot be used.
            SourceError: the source cannot be read.
        """
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        parameters = self.get_params(deep=False) | settings
        options = options_of(HeadOptions, parameters, "head_options")
        if options.pairs:
            raise ValueError("head_options: 'pairs' is for texts that come in twos; an estimator reads one at a time")
        if self.validation_fraction is None:
            # Nothing is left that the head has not learned from.
            parameters["training_settings"] = {**(self.training_settings or {}), "calibrate": False}
        training = options_of(TrainingSettings, parameters, "training_settings")
        # Keras takes seconds to load.
        from models.pickled import PickledHead, PickledSource
        from models.preparation import prepare
        from models.training import train_head

        if self.source == "tfidf":
            raise ValueError("source is 'tfidf'; expected a biLM or None, and scikit-learn's TfidfVectorizer for that")
        # A config says 'none' for None.
        below = None if self.source in (None, "none") else PickledSource(self.source)
        if below and below.embeds_texts and self._task != "classification":
            raise ValueError(f"source {self.source} gives one vector a text; {self._task} needs one a word")
        train, held_out = (
            Examples([sentences[k] for k in part], [targets[k] for k in part], [f"X[{k}]" for k in part])
            for part in self._parts(len(sentences), strata, seed)
        )
        epochs: list = []
        with as_value_errors(), _own_chance(), TemporaryDirectory() as folder:
            found = prepare(self._task, options, train, below is not None, self.vectors, labels)
            below = below if found.options.uses_bilm else None
            head = train_head(
                self._task,
                found.options,
                training,
                found.labels,
                (train, _layers(below, train, Path(folder, "train"))),
                (held_out, _layers(below, held_out, Path(folder, "held_out"))),
                seed,
                epochs.append,
                found.features,
                found.vectors,
            )
        tokenizer = parameters.get("tokenizer", "spacy")
        name = type(self).__name__
        description = Description(name, self._task, found.labels, tokenizer, found.options, {}, train.example)
        self.epochs_ = epochs
        self.head_ = PickledHead.of(description, head, found.features, below)

    def _parts(self, texts: int, strata: Any, seed: int) -> tuple[Sequence[int], Sequence[int]]:
        """The texts that are learned from, and those that tell the best epoch."""
        fraction = self.validation_fraction
        if fraction is None:
            return range(texts), range(texts)
        if not (isinstance(fraction, float) and 0 < fraction < 1):
            raise ValueError(f"validation_fraction is {fraction!r}; expected None or a share between 0 and 1")
        if texts < 2:
            raise ValueError("X has 1 text (n_samples=1); expected two at least, or validation_fraction=None")
        try:
            return train_test_split(range(texts), test_size=fraction, random_state=seed, stratify=strata)
        except ValueError:
            # A class has one text, or there are more classes than texts in a part.
            return train_test_split(range(texts), test_size=fraction, random_state=seed)

    @property
    def _predictor(self) -> Any:
        check_is_fitted(self, "head_")
        return self.head_.predictor

    def save(self, folder: str | Path, name: str) -> None:
        """Write a model folder for `Predictor`, `telmo predict` and `telmo serve`.

        Args:
            folder: to write; an earlier model there is replaced.
            name: of the model.

        Raises:
            OutputError: the folder cannot be written.
            SourceError: the source is no longer there, or has other files than at the fit.
        """
        check_is_fitted(self, "head_")
        self.head_.save(Path(folder), name)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags


def _layers(below: "PickledSource | None", examples: Examples, folder: Path):
    """The source's layers of texts, in a store."""
    from embeddings.store import Store

    return Store.write(folder, below.embed(examples.sentences)) if below else None


@contextmanager
def _own_chance() -> Iterator[None]:
    """Training seeds the random numbers of the whole process; the caller's, from which a cross-validation may draw its
    folds between two fits, go on as if there had been none."""
    drawn, state = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(drawn)
        np.random.set_state(state)
