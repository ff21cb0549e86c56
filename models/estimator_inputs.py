"""What scikit-learn estimators are given: texts, and parameters that stand for options."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, TypeVar, get_args

import numpy as np
from pydantic import TypeAdapter, ValidationError

from embeddings.errors import ConfigError, InputError
from embeddings.tokenizer import TokenizerName, is_text, words

T = TypeVar("T")


def words_of_texts(X: Any, tokenizer: TokenizerName | None, empty: bool = False) -> list[list[str]]:
    """The words of texts.

    Args:
        X: a list, an array or a column of texts; each a string, or a list of words.
        tokenizer: of strings, or None to take lists of words alone.
        empty: whether a text without words is allowed.

    Raises:
        TypeError: X is no collection, or has something in it that is no text.
        ValueError: X is one text or a table, has no texts, or one without words.
    """
    if tokenizer not in (None, *get_args(TokenizerName)):
        raise ValueError(f"tokenizer is {tokenizer!r}; expected one of {', '.join(get_args(TokenizerName))}")
    if isinstance(X, str):
        raise ValueError(f"X is one text ({X[:40]!r}); expected a list of texts")
    shape = getattr(X, "shape", None)
    # Iterating over a table gives the names of its columns, which are texts, too.
    if shape is not None and len(shape) != 1:
        raise ValueError(f"X has the shape {shape}; expected a list of texts, such as one column of a table")
    if not isinstance(X, Iterable):
        raise TypeError(f"X is of the type {type(X).__name__}; expected a list of texts")
    sentences = [_words(text, k, tokenizer) for k, text in enumerate(X)]
    if not sentences:
        raise ValueError("X has no texts; expected at least one")
    for k, sentence in enumerate(sentences):
        if not empty and not any(word.strip() for word in sentence):
            raise ValueError(f"X[{k}] has no words; expected at least one")
    return sentences


def _words(text: Any, k: int, tokenizer: TokenizerName | None) -> list[str]:
    expected = "a str or a list of words" if tokenizer else "a list of words"
    if isinstance(text, str):
        if tokenizer is None:
            raise TypeError(f"X[{k}] is of the type str; expected {expected}")
        _check_text(text, k)
        # NumPy's strings are no str to spaCy.
        found = words(str(text), tokenizer)
    elif isinstance(text, Sequence | np.ndarray):
        found = list(text)
    else:
        raise TypeError(f"X[{k}] is of the type {type(text).__name__}; expected {expected}")
    for word in found:
        if not isinstance(word, str):
            raise TypeError(f"X[{k}] has a word of the type {type(word).__name__}, {word!r}; expected str")
        _check_text(word, k)
    return [str(word) for word in found]


def _check_text(text: str, k: int) -> None:
    if not is_text(text):
        raise ValueError(f"X[{k}] holds half a character (a lone surrogate); expected Unicode text")


def options_of(kind: type[T], parameters: dict[str, Any], name: str) -> T:
    """Options that the parameters of an estimator stand for.

    Args:
        kind: `HeadOptions` or `TrainingSettings`.
        parameters: of the estimator; those with a field of their name are taken.
        name: of the parameter that holds further options, a dict or None.

    Raises:
        ValueError: an option is none that there is, or has a wrong value.
    """
    own = {field.name: parameters[field.name] for field in fields(kind) if field.name in parameters}  # type: ignore[arg-type]
    more = parameters[name] or {}
    if not isinstance(more, dict):
        raise ValueError(f"{name} is {more!r}; expected a dict of further options, or None")
    for key in own.keys() & more.keys():
        raise ValueError(f"{name} has the key '{key}', which is a parameter of its own")
    # Searches draw numbers of NumPy's types, which pydantic does not take.
    values = {key: value.item() if isinstance(value, np.generic) else value for key, value in (own | more).items()}
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        found = f"{place} is {first['input']!r}; " if place else ""
        where = "" if not place or first["loc"][0] in own else f"{name}: "
        raise ValueError(where + found + first["msg"].removeprefix("Value error, ")) from None


@contextmanager
def as_value_errors() -> Iterator[None]:
    """What is wrong with the data or the options is a ValueError, as scikit-learn's tools expect."""
    try:
        yield
    except (ConfigError, InputError) as error:
        raise ValueError(str(error)) from None
