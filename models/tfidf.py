"""What a biLM has to beat: TF-IDF with logistic regression."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from embeddings.errors import ModelError
from models.calibration import probabilities
from models.description import TFIDF_TERMS, TFIDF_WEIGHTS
from models.examples import Examples
from models.labels import answers, class_weights, likely_labels, numbered_targets
from models.options import HeadOptions, Task, without_elmo

_NEVER = -1e4
"""The logit of a label that the training data lack, whose probability is 0; with the other sign of one that all texts
have."""


@dataclass(frozen=True)
class Tfidf:
    """A classifier or tagger without a network, with the face of a head.

    A text is represented by its words and pairs of words, those of a second text under other names; a word to be
    tagged by itself, its character n-grams and its two neighbours on each side. Term t in a text or word weighs
    (1 + ln tf) idf, the vector of all terms has the length 1, and a logistic regression gives the logits.

    Args:
        task, options: what is answered, and how: `tfidf_options`.
        labels: the label set.
        terms: that are known.
        idf: of each term, float32 `[terms]`.
        kernel: float32 `[terms, labels]`.
        bias: float32 `[labels]`.
    """

    task: Task
    options: HeadOptions
    labels: list[str]
    terms: list[str]
    idf: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray

    @classmethod
    def fit(
        cls,
        task: Task,
        options: HeadOptions,
        train: Examples,
        labels: Sequence[str],
        seed: int = 1,
        weights: Any = "none",
    ) -> "Tfidf":
        """Learn from labelled texts.

        Args:
            task: classification or tagging.
            options: as `prepare` settles them.
            train: texts, or pairs of them.
            labels: the label set.
            seed: of the regression.
            weights: what a label counts, as `class_weights` of the training settings.

        Raises:
            InputError: an example has a label that is not in the label set.
            ConfigError: `weights` names an unknown label.
        """
        from sklearn.feature_extraction.text import TfidfVectorizer

        targets = numbered_targets(options, labels, train)
        counted = class_weights(weights, options, labels, targets)
        vectorizer = TfidfVectorizer(analyzer=list, min_df=2, sublinear_tf=True)
        try:
            x = vectorizer.fit_transform(_terms_of(task, train))
        except ValueError:
            # No term stands in two texts.
            vectorizer.set_params(min_df=1)
            x = vectorizer.fit_transform(_terms_of(task, train))
        y = np.concatenate(targets) if task == "tagging" else np.array(targets)
        kernel, bias = _regressions(x, y, len(labels), options.multi_label, seed, counted)
        terms = vectorizer.get_feature_names_out().tolist()
        return cls(task, tfidf_options(options), list(labels), terms, vectorizer.idf_.astype(np.float32), kernel, bias)

    @cached_property
    def _row(self) -> dict[str, int]:
        return {term: k for k, term in enumerate(self.terms)}

    def logits(self, examples: Examples) -> np.ndarray:
        """`[texts, labels]`, or for tags `[words of all texts, labels]`."""
        from scipy.sparse import csr_array

        indices: list[int] = []
        values: list[float] = []
        ends = [0]
        for terms in _terms_of(self.task, examples):
            counts = Counter(self._row[term] for term in terms if term in self._row)
            columns = list(counts)
            weights = (1.0 + np.log(np.fromiter(counts.values(), np.float32, len(counts)))) * self.idf[columns]
            indices += columns
            values += (weights / max(float(np.linalg.norm(weights)), 1e-12)).tolist()
            ends.append(len(indices))
        x = csr_array((np.array(values, np.float32), indices, ends), (len(ends) - 1, len(self.terms)))
        return x @ self.kernel + self.bias

    def predict(self, examples: Examples) -> list:
        """A label for each text, its labels where it may have many, or the tags of its words."""
        logits = self.logits(examples)
        if self.task == "classification":
            given = probabilities(logits, self.options.multi_label)
            return likely_labels(given, self.labels, self.options.multi_label)
        ends = np.cumsum([len(sentence) for sentence in examples.sentences])
        return [
            answers(self.options, self.labels, rows.argmax(axis=1)) for rows in np.split(logits, ends)[: len(examples)]
        ]

    def loss(self, examples: Examples) -> float:
        """Mean cross-entropy of labelled texts, in nats a text."""
        from scipy.special import log_softmax

        logits, targets = self.logits(examples), numbered_targets(self.options, self.labels, examples)
        if self.options.multi_label:
            return float(np.logaddexp(0, np.where(np.array(targets) > 0, -logits, logits)).sum() / len(examples))
        chosen = np.concatenate(targets) if self.task == "tagging" else np.array(targets)
        return float(-log_softmax(logits, axis=1)[np.arange(len(chosen)), chosen].sum() / len(examples))

    def predict_on_batch(self, x: dict[str, Any]) -> np.ndarray:
        """Logits `[batch, labels]`, or of tags `[batch, time, labels]`.

        Args:
            x: `sentences`, of pairs the first ones and then the second ones; and `mask`, bool `[batch, time]`.
        """
        sentences, half = x["sentences"], len(x["sentences"]) // 2
        if self.options.pairs:
            return self.logits(Examples(sentences[:half], [], [], sentences[half:]))
        found = self.logits(Examples(sentences, [], []))
        if self.task == "classification":
            return found
        emissions = np.zeros((*x["mask"].shape, len(self.labels)), np.float32)
        emissions[x["mask"]] = found
        return emissions

    def decode(self, logits: np.ndarray, lengths: np.ndarray) -> Any:
        """As the head's of the task."""
        if self.task == "classification":
            return probabilities(logits, self.options.multi_label)
        return [row[:length].argmax(axis=-1) for row, length in zip(logits, lengths, strict=True)]

    def best_paths(self, emissions: np.ndarray, lengths: np.ndarray, n: int) -> list[list[tuple[np.ndarray, float]]]:
        """As the tagger's."""
        from models.crf import independent_chain

        return independent_chain(len(self.labels)).best_paths(emissions, lengths, n)

    def marginals(self, emissions: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """As the tagger's."""
        return probabilities(emissions)

    def write(self, folder: Path) -> None:
        """Write it into a model folder, beside the description that holds its options and labels."""
        (folder / TFIDF_TERMS).write_text(json.dumps(self.terms, ensure_ascii=False) + "\n", "utf-8")
        np.savez_compressed(folder / TFIDF_WEIGHTS, idf=self.idf, kernel=self.kernel, bias=self.bias)

    @classmethod
    def read(cls, folder: Path, task: Task, options: HeadOptions, labels: list[str]) -> "Tfidf":
        """Read it from a model folder.

        Raises:
            ModelError: a file is missing or broken.
        """
        path = folder / TFIDF_TERMS
        try:
            terms = json.loads(path.read_text("utf-8"))
            path = folder / TFIDF_WEIGHTS
            with np.load(path, allow_pickle=False) as arrays:
                idf, kernel, bias = (arrays[name] for name in ("idf", "kernel", "bias"))
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from None
        except Exception as error:
            # NumPy and zipfile raise of all kinds on a damaged archive.
            raise ModelError(f"{path}: not TF-IDF of a model ({error})") from None
        expected = [(len(terms),), (len(terms), len(labels)), (len(labels),)]
        if [idf.shape, kernel.shape, bias.shape] != expected:
            raise ModelError(
                f"{path}: idf, kernel and bias are {idf.shape}, {kernel.shape}, {bias.shape}; for {len(terms)} terms "
                f"and {len(labels)} labels expected {expected[0]}, {expected[1]}, {expected[2]}"
            )
        return cls(task, options, labels, terms, idf, kernel, bias)


def tfidf_options(options: HeadOptions) -> HeadOptions:
    """Of a head's options those that say what it answers; words and their characters are all that there is below."""
    answered = {name: getattr(options, name) for name in ("multi_label", "pairs", "scheme", "answers")}
    return without_elmo(HeadOptions(encoder="none", decoder="softmax", **answered))


def _regressions(
    x: Any, y: np.ndarray, count: int, multi_label: bool, seed: int, counted: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """The kernel and the bias of one regression of all labels, or with many labels to a text of one for each."""
    from sklearn.linear_model import LogisticRegression

    kernel, bias = np.zeros((x.shape[1], count), np.float32), np.full(count, _NEVER, np.float32)

    def fitted(target: np.ndarray, weights: np.ndarray | None) -> Any:
        return LogisticRegression(C=10.0, max_iter=300, random_state=seed).fit(x, target, weights)

    if multi_label:
        for k in range(count):
            if y[:, k].min() == y[:, k].max():
                bias[k] = -_NEVER if y[0, k] else _NEVER
                continue
            model = fitted(y[:, k], None if counted is None else np.where(y[:, k] > 0, counted[k], 1.0))
            kernel[:, k], bias[k] = model.coef_[0], model.intercept_[0]
        return kernel, bias
    known = np.unique(y)
    if len(known) == 1:
        bias[known] = 0.0
        return kernel, bias
    model = fitted(y, None if counted is None else counted[y])
    if len(known) == 2:
        # The regression gives the second's logit, the first's being 0.
        bias[known] = [0.0, model.intercept_[0]]
        kernel[:, known[1]] = model.coef_[0]
    else:
        kernel[:, known], bias[known] = model.coef_.T, model.intercept_
    return kernel, bias


def _terms_of(task: Task, examples: Examples) -> list[list[str]]:
    """The terms of each text, or of each word that is to be tagged."""
    if task == "tagging":
        return [_context(words, place) for words in examples.sentences for place in range(len(words))]
    terms = [_words_and_pairs(sentence) for sentence in examples.sentences]
    if examples.pairs is None:
        return terms
    # No word of a text ends in a space.
    seconds = ([f"2  {term}" for term in _words_and_pairs(sentence)] for sentence in examples.pairs)
    return [first + second for first, second in zip(terms, seconds, strict=True)]


def _words_and_pairs(sentence: Sequence[str]) -> list[str]:
    words = [word.lower() for word in sentence]
    return words + [f"{first} {second}" for first, second in pairwise(words)]


def _context(sentence: Sequence[str], place: int) -> list[str]:
    framed = f"<{sentence[place]}>"
    terms = [f"word={sentence[place]}"]
    terms += [framed[k : k + n] for n in (2, 3, 4) for k in range(len(framed) - n + 1)]
    for offset in (-2, -1, 1, 2):
        if 0 <= place + offset < len(sentence):
            terms.append(f"{offset}={sentence[place + offset]}")
    return terms
