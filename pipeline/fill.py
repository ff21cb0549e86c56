"""The stage `fill`: words for the blank in a text."""

import re

from embeddings.errors import InputError
from embeddings.fill import Substitute, substitutes
from embeddings.tokenizer import TokenizerName, is_text, tokenizer_of, words_of_part
from embeddings.word_predictor import WordPredictor

_BLANK = re.compile(r"_{3,}")


def fill_stage(source: str, text: str, prior: float = 0.0, tokenizer: TokenizerName | None = None) -> list[Substitute]:
    """Rank the words of a vocabulary for the blank in a sentence.

    Args:
        source: a biLM of two directions with its softmax.
        text: a sentence in which `___` stands for a word.
        prior: as for `substitutes`.
        tokenizer: how the text becomes words; by default as the vocabulary tells.

    Raises:
        InputError: the text has no blank, or several, which each other's words would have to be known for.
        SourceError: the source is no language model of two directions.
    """
    before, after = sides_of_blank(text)
    predictor = WordPredictor.load(source)
    tokenizer = tokenizer or tokenizer_of(predictor.vocabulary)
    return substitutes(
        predictor, words_of_part(before.lstrip(), tokenizer), words_of_part(after.rstrip(), tokenizer), prior
    )


def sides_of_blank(text: str) -> list[str]:
    """What stands on the left and on the right of the blank.

    Raises:
        InputError: there is no blank, or more than one.
    """
    if not is_text(text):
        raise InputError("the text holds bytes that are not UTF-8; expected a text")
    sides = _BLANK.split(text)
    if len(sides) != 2:
        found = "no blank" if len(sides) == 1 else f"{len(sides) - 1} blanks"
        raise InputError(f"'{text}': {found}; expected one ___, so that both sides of it are known")
    return sides
