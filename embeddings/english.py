"""spaCy's rules for English text, in a bounded time for each character and in bounded memory."""

import re
from functools import cache
from itertools import chain, pairwise
from typing import Any

LONGEST = 1_000
"""Characters without white space between them that are looked at together, at most."""
KEPT = 50_000
"""Words that spaCy has in memory, about, at most. It forgets none, and takes half a kilobyte for each."""
ENDING = 16
"""Characters of what spaCy takes from the end of a string, at most, unless it is dots; the longest has 5."""

_TOO_LONG = re.compile(rf"\S{{{LONGEST}}}(?=\S)")


def document(text: str) -> Any:
    """The `spacy.tokens.Doc` of a text: its words, and as such white space that is not one space, with their places.

    A string without white space of more than `LONGEST` characters is parted after each so many.
    """
    tokenizer = _tokenizer()
    if len(tokenizer.vocab) > KEPT:
        # Other threads may still use the old one.
        _tokenizer.cache_clear()
        tokenizer = _tokenizer()
    cuts = [0, *(found.end() for found in _TOO_LONG.finditer(text)), len(text)]
    parts = [tokenizer(text[first:last]) for first, last in pairwise(cuts)]
    if len(parts) == 1:
        return parts[0]
    tokens = list(chain.from_iterable(parts))
    words, spaces = [token.text for token in tokens], [bool(token.whitespace_) for token in tokens]
    return type(parts[0])(tokenizer.vocab, words, spaces)


def texts_of_sentences(text: str) -> list[str]:
    """The texts of the sentences, which end where spaCy's rules see a full stop, a question mark or the like."""
    return [sentence.text for sentence in _sentencizer()(document(text)).sents]


@cache
def _tokenizer() -> Any:
    """That of spaCy's blank English pipeline, but for what it looks at in vain: it takes signs from both ends of a
    string one by one, and would each time search all that is left for a place where a first or last sign may be."""
    from spacy.lang.en import English
    from spacy.tokenizer import Tokenizer
    from spacy.util import compile_infix_regex, compile_prefix_regex, compile_suffix_regex
    from spacy.vocab import create_vocab

    rules: Any = English.Defaults
    suffix = compile_suffix_regex(rules.suffixes).search
    return Tokenizer(
        create_vocab(English.lang, rules),
        rules.tokenizer_exceptions,
        prefix_search=compile_prefix_regex(rules.prefixes).match,
        suffix_search=lambda text: suffix(text, max(0, len(text.rstrip(".")) - ENDING)),
        infix_finditer=compile_infix_regex(rules.infixes).finditer,
        token_match=rules.token_match,
        url_match=rules.url_match,
    )


@cache
def _sentencizer() -> Any:
    from spacy.pipeline import Sentencizer

    return Sentencizer()
