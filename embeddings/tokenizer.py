"""Raw text to words with their places in it."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Literal, NamedTuple

TokenizerName = Literal["spacy", "whitespace"]


class Token(NamedTuple):
    """A word and its place: `text[start:end]` of the raw text, in characters."""

    text: str
    start: int
    end: int


def tokenize(text: str, tokenizer: TokenizerName = "spacy") -> list[Token]:
    """Split a raw text into words.

    Args:
        text: raw text.
        tokenizer: `"spacy"`, the rules of spaCy's blank English pipeline, or `"whitespace"`, for text that is
            tokenised already.

    >>> tokenize("It isn't.")
    [Token(text='It', start=0, end=2), Token(text='is', start=3, end=5), Token(text="n't", start=5, end=8),
    Token(text='.', start=8, end=9)]
    """
    return list(_spacy_tokens(text) if tokenizer == "spacy" else _whitespace_tokens(text))


def is_text(text: str) -> bool:
    """Whether a string is Unicode text; half a surrogate pair, as from a damaged file name or `"\\ud800"` in JSON, is
    not."""
    return text.isascii() or not re.search("[\ud800-\udfff]", text)


def words(text: str, tokenizer: TokenizerName = "spacy") -> list[str]:
    """The words of `tokenize`, without their places."""
    return text.split() if tokenizer == "whitespace" else [token.text for token in tokenize(text, tokenizer)]


def tokens_of_words(words: Sequence[str]) -> list[Token]:
    """The places of words in the text that they make when joined by spaces."""
    tokens, start = [], 0
    for word in words:
        tokens.append(Token(word, start, start + len(word)))
        start += len(word) + 1
    return tokens


def _whitespace_tokens(text: str) -> Iterator[Token]:
    for match in re.finditer(r"\S+", text):
        yield Token(match[0], *match.span())


def _spacy_tokens(text: str) -> Iterator[Token]:
    for token in _spacy_tokenizer()(text):
        if not token.is_space:
            yield Token(token.text, token.idx, token.idx + len(token.text))


@cache
def _spacy_tokenizer():
    import spacy

    return spacy.blank("en").tokenizer
