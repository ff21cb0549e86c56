"""Raw text to words with their places in it, and words to text."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from embeddings.english import document, texts_of_sentences

TokenizerName = Literal["spacy", "whitespace", "characters"]

SPACE = "␣"
"""The word that stands for white space where each character is a word: a vocabulary file has a word a line, in which
a true space could not be seen."""


class Token(NamedTuple):
    """A word and its place: `text[start:end]` of the raw text, in characters."""

    text: str
    start: int
    end: int


def tokenize(text: str, tokenizer: TokenizerName = "spacy") -> list[Token]:
    """Split a raw text into words.

    Args:
        text: raw text.
        tokenizer: `"spacy"`, the rules of spaCy's blank English pipeline, by which a word has at most 1,000 characters
            (`english.LONGEST`); `"whitespace"`, for text that is tokenised already; or `"characters"`, each character a
            word and a run of white space between two of them `SPACE`.

    >>> tokenize("It isn't.")
    [Token(text='It', start=0, end=2), Token(text='is', start=3, end=5), Token(text="n't", start=5, end=8),
    Token(text='.', start=8, end=9)]
    """
    split = {"spacy": _spacy_tokens, "whitespace": _whitespace_tokens, "characters": _character_tokens}[tokenizer]
    return list(split(text))


def is_text(text: str) -> bool:
    """Whether a string is Unicode text; half a surrogate pair, as from a damaged file name or `"\\ud800"` in JSON, is
    not."""
    return text.isascii() or not re.search("[\ud800-\udfff]", text)


def words(text: str, tokenizer: TokenizerName = "spacy") -> list[str]:
    """The words of `tokenize`, without their places."""
    if tokenizer == "whitespace":
        return text.split()
    if tokenizer == "characters":
        return list(SPACE.join(text.split()))
    return [token.text for token in tokenize(text, tokenizer)]


def sentences(text: str, tokenizer: TokenizerName = "spacy") -> list[list[str]]:
    """The words of each sentence of a text, which ends where spaCy's rules see a full stop, a question mark or the
    like; of a text without words none.

    >>> sentences("It rained. Did it?")
    [['It', 'rained', '.'], ['Did', 'it', '?']]
    """
    split = (words(sentence, tokenizer) for sentence in texts_of_sentences(text))
    return [sentence for sentence in split if sentence]


def words_of_part(text: str, tokenizer: TokenizerName) -> list[str]:
    """The words of a part of a text that goes on at both ends: there, too, white space is a word where each character
    is one."""
    return list(re.sub(r"\s+", SPACE, text)) if tokenizer == "characters" else words(text, tokenizer)


def text_of(words: Sequence[str], tokenizer: TokenizerName) -> str:
    """The text that words make: of characters the text itself, its runs of white space now one space each; of other
    words these with a space between them."""
    return "".join(words).replace(SPACE, " ") if tokenizer == "characters" else " ".join(words)


def tokenizer_of(vocabulary: Iterable[str]) -> TokenizerName:
    """The tokenizer of the text that a language model was trained on, as its vocabulary tells: `"characters"` where
    every word but the three marks that begin it is one character."""
    marks = 3
    lengths = [len(word) for word in vocabulary][marks:]
    return "characters" if lengths and max(lengths) == 1 else "spacy"


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


def _character_tokens(text: str) -> Iterator[Token]:
    end = len(text.rstrip())
    for match in re.finditer(r"\S|(?<=\S)\s+", text[:end]):
        yield Token(SPACE if match[0].isspace() else match[0], *match.span())


def _spacy_tokens(text: str) -> Iterator[Token]:
    for token in document(text):
        if not token.is_space:
            yield Token(token.text, token.idx, token.idx + len(token.text))
