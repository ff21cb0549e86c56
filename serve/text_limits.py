"""How much a request may ask, looked at before any work is done for it."""

import re
from collections.abc import Sequence
from typing import Any

from embeddings.errors import InputError
from embeddings.tokenizer import TokenizerName
from serve.errors import TooLarge
from serve.options import ServeOptions

CHARACTERS = 20
"""Of a word, at most: a text, or a request, that has more of them than that is refused unread."""

_PARTS = re.compile(r"\w+|[^\w\s]")


def words_of(text: Any, tokenizer: TokenizerName = "spacy") -> int:
    """About the words that a tokenizer makes of a raw text, of a list of words, or of both texts of a pair; at least
    1. It takes a fiftieth of the tokenizer's time."""
    if not isinstance(text, str):
        return max(1, sum(words_of(part, tokenizer) for part in text) if _is_raw(text) else len(text))
    if tokenizer == "characters":
        return max(1, len(text))
    if tokenizer == "whitespace":
        return max(1, len(text.split()))
    return max(1, len(_PARTS.findall(text)))


def _is_raw(text: Sequence[Any]) -> bool:
    """Whether this is a pair of texts, or might be, and not a text of many words."""
    return len(text) == 2 or any(not isinstance(part, str) for part in text)


def check_size(texts: Sequence[Any], options: ServeOptions, tokenizer: TokenizerName = "spacy") -> list[int]:
    """The words of each text, about; what is too much is counted no further.

    Args:
        texts: that may be anything.
        options: that say how much is too much.
        tokenizer: of the model.

    Raises:
        TooLarge: there are more texts, words or characters than the options allow.
        InputError: there is no text.
    """
    if isinstance(texts, str) or not len(texts):
        raise InputError("no texts; expected a list of at least one")
    if len(texts) > options.max_texts:
        raise TooLarge(f"{len(texts)} texts in this request; expected at most {options.max_texts}")
    most = options.max_text_words
    # Characters go first: to count them takes next to no time.
    characters = [_characters(text) for text in texts]
    for k, found in enumerate(characters):
        if found > CHARACTERS * most:
            raise TooLarge(f"texts[{k}] has {found} characters; expected at most {CHARACTERS * most}")
    if sum(characters) > CHARACTERS * options.max_words:
        expected = CHARACTERS * options.max_words
        raise TooLarge(f"{sum(characters)} characters in this request; expected at most {expected}")
    words: list[int] = []
    total = 0
    for k, text in enumerate(texts):
        words.append(words_of(text, tokenizer))
        total += words[-1]
        if words[-1] > most:
            raise TooLarge(f"texts[{k}] has about {words[-1]} words; expected at most {most}")
        if total > options.max_words:
            more = " or more" if k + 1 < len(texts) else ""
            raise TooLarge(f"about {total} words{more} in this request; expected at most {options.max_words}")
    return words


def _characters(text: Any) -> int:
    return len(text) if isinstance(text, str) else sum(map(_characters, text))
