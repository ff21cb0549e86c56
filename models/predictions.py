"""What a predictor answers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from embeddings.errors import InputError
from embeddings.tokenizer import Token
from models.label_scheme import spans_of_tags


@dataclass(frozen=True)
class Classification:
    """The label of a text and the probability of every label, the most probable first; the logit of every label, if
    they were asked for; and of a model that gives a text any number of labels those that are more probable than not."""

    label: str
    probabilities: dict[str, float]
    logits: dict[str, float] | None = None
    labels: list[str] | None = None


@dataclass(frozen=True)
class Span:
    """Words that belong together: `text[start:end]` of the raw text, in characters, is `text` here."""

    label: str
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Path:
    """A tag for each word, and the probability of all of them together."""

    tags: list[str]
    probability: float


@dataclass(frozen=True)
class Tagging:
    """The words of a text with their places in it, a tag for each, and the spans that tags of a scheme such as BIO or
    BIOUL mark. If they were asked for: for each word the logit of every label, the best paths, and for each word the
    probability of every label over all paths (labels are those that the model learned, in its own scheme)."""

    tokens: list[Token]
    tags: list[str]
    spans: list[Span]
    logits: list[dict[str, float]] | None = None
    paths: list[Path] | None = None
    marginals: list[dict[str, float]] | None = None


@dataclass(frozen=True)
class Hypothesis:
    """A translation, and its log probability in nats divided by the length normalisation of Wu et al. 2016."""

    text: str
    score: float


@dataclass(frozen=True)
class Attention:
    """Where the decoder looked: for each target token, its end included, the weight of each source word."""

    source: list[str]
    target: list[str]
    weights: list[list[float]]


@dataclass(frozen=True)
class Translation:
    """The best translation, and the best ones with their scores, this one first; and the attention, if it was asked
    for."""

    text: str
    hypotheses: list[Hypothesis]
    attention: Attention | None = None


Prediction = Classification | Tagging | Translation


def by_label(labels: Sequence[str], numbers: Iterable[float]) -> dict[str, float]:
    """The number of each label."""
    return dict(zip(labels, map(float, numbers), strict=True))


def classification(
    labels: Sequence[str], probabilities: Iterable[float], multi_label: bool, logits: dict[str, float] | None = None
) -> Classification:
    """The answer that the probabilities `[labels]` of a text make."""
    ranked = sorted(by_label(labels, probabilities).items(), key=lambda pair: -pair[1])
    likely = [label for label, p in ranked if p > 0.5] if multi_label else None
    return Classification(ranked[0][0], dict(ranked), logits, likely)


def to_json(prediction: Prediction) -> dict[str, Any]:
    """The fields of a prediction, without those that were not asked for."""
    return {name: value for name, value in asdict(prediction).items() if value is not None}


def shortened(prediction: Any, top_k: int | None = None, spans: bool = True) -> Any:
    """A prediction without what was not asked for.

    Args:
        prediction: to shorten.
        top_k: most labels or translations, or None for all.
        spans: whether a tagging keeps its spans.

    Raises:
        InputError: top_k is less than 1.
    """
    if top_k is not None and top_k < 1:
        raise InputError(f"top_k is {top_k}; expected at least 1")
    if isinstance(prediction, Tagging):
        return prediction if spans else replace(prediction, spans=[])
    if isinstance(prediction, Translation):
        return replace(prediction, hypotheses=prediction.hypotheses[:top_k])
    return replace(prediction, probabilities=dict(list(prediction.probabilities.items())[:top_k]))


def from_json(fields: Mapping[str, Any]) -> Prediction:
    """The prediction that `to_json` made these fields of; fields of a later version are left out.

    Raises:
        KeyError, TypeError: they are not those of a prediction.
    """
    for kind in (Classification, Tagging, Translation):
        known = {name: fields[name] for name in kind.__dataclass_fields__ if name in fields}
        if next(iter(kind.__dataclass_fields__)) in known:
            return kind(**{name: _read(name, value) for name, value in known.items()})
    raise KeyError("label, tokens or text")


def _read(name: str, value: Any) -> Any:
    """A field of a prediction."""
    if value is None:
        return None
    if name == "tokens":
        return [Token(*token) for token in value]
    parts = {"spans": Span, "paths": Path, "hypotheses": Hypothesis}
    if name in parts:
        return [parts[name](**part) for part in value]
    return Attention(**value) if name == "attention" else value


def spans_of(text: str, tokens: list[Token], tags: list[str]) -> list[Span]:
    """The spans that tags mark, by the CoNLL definition: an `I-X` that continues no `X` begins one. Tags of no scheme
    mark none.

    >>> spans_of("in New York", [Token("in", 0, 2), Token("New", 3, 6), Token("York", 7, 11)], ["O", "B-LOC", "I-LOC"])
    [Span(label='LOC', text='New York', start=3, end=11)]
    """
    spans = []
    for label, first, end in spans_of_tags(tags):
        start, stop = tokens[first].start, tokens[end - 1].end
        spans.append(Span(label, text[start:stop], start, stop))
    return spans
