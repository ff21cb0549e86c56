"""What a predictor answers."""

from dataclasses import dataclass

from embeddings.tokenizer import Token


@dataclass(frozen=True)
class Classification:
    """The label of a text and the probability of every label, the most probable first."""

    label: str
    probabilities: dict[str, float]


@dataclass(frozen=True)
class Span:
    """Words that belong together: `text[start:end]` of the raw text, in characters, is `text` here."""

    label: str
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Tagging:
    """The words of a text with their places in it, a tag for each, and the spans that tags of the form `B-X`, `I-X`
    and `O` mark."""

    tokens: list[Token]
    tags: list[str]
    spans: list[Span]


Prediction = Classification | Tagging


def spans_of(text: str, tokens: list[Token], tags: list[str]) -> list[Span]:
    """The spans that BIO tags mark; an `I-X` that continues no `X` begins one, as the CoNLL definition has it. Other
    tags mark none.

    >>> spans_of("in New York", [Token("in", 0, 2), Token("New", 3, 6), Token("York", 7, 11)], ["O", "B-LOC", "I-LOC"])
    [Span(label='LOC', text='New York', start=3, end=11)]
    """
    spans: list[tuple[str, int, int]] = []
    previous = "O"
    for token, tag in zip(tokens, tags, strict=True):
        part, dash, label = tag.partition("-")
        if dash and part in ("B", "I"):
            if part == "I" and previous[2:] == label and previous != "O":
                spans[-1] = (label, spans[-1][1], token.end)
            else:
                spans.append((label, token.start, token.end))
            previous = tag
        else:
            previous = "O"
    return [Span(label, text[start:end], start, end) for label, start, end in spans]
