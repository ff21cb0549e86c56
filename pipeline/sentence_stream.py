"""A corpus as a stream of sentences that can be left and gone on with at any of them."""

import json
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import chain, pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from embeddings.errors import InputError
from embeddings.tokenizer import TokenizerName, is_text, sentences, words
from pipeline.compressed import raw_lines
from pipeline.corpora import shards_of
from pipeline.data_config import Texts
from pipeline.data_records import read_records, short
from pipeline.parquet import parquet_texts
from pipeline.readers import DETECT, decoded, format_of, lines, read_sentences

STANDARD_INPUT = "-"


class Place(NamedTuple):
    """Where the next sentence stands: file, line or row in it, and sentence in that; from 0."""

    file: int = 0
    unit: int = 0
    part: int = 0


BEGIN = Place()


class Sentence(NamedTuple):
    """A sentence of a corpus.

    Args:
        words: of the sentence.
        after: where the next one stands.
        cut: whether it had more words.
        unreadable: whether its line could not be read, so that it has no words.
    """

    words: list[str]
    after: Place
    cut: bool = False
    unreadable: bool = False


class Sentences(BaseModel):
    """A corpus and how it is read.

    Args:
        names: of files: a path, a folder, a glob pattern or a part of the docs corpus (`pipeline.corpora.shards_of`);
            or `-` for standard input, which is text.
        column: of CSV, TSV, JSON lines and Parquet, of texts; in JSON lines also of lists of words.
        tokenizer: how a text becomes words. Words of CoNLL-U and lists are taken as they are.
        split: whether a line or row is a text of several sentences; else it is one, even if it has no words.
        encoding: of the files; `detect` has it told from their bytes.
        unreadable: whether what is not of the encoding, no JSON object with such a column, or half a character ends the
            reading, or its line, row or sentence of CoNLL-U counts as one sentence without words. UTF-16 and Parquet
            end it always.
        cut: words after which a sentence ends; None for sentences of any length.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    names: tuple[str, ...]
    column: str = "text"
    tokenizer: TokenizerName = "spacy"
    split: bool = False
    encoding: str = "utf-8"
    unreadable: Literal["stop", "skip"] = "stop"
    cut: Annotated[int, Field(ge=1)] | None = None

    @cached_property
    def files(self) -> list[Path] | None:
        """The files; None for standard input.

        Raises:
            InputError: there is no such file, or its format cannot be told, or the encoding of standard input.
        """
        if self.names == (STANDARD_INPUT,):
            if self.encoding == DETECT:
                found = "-: the encoding of standard input cannot be detected, as it is read only once"
                raise InputError(f"{found}; expected it to be named with 'encoding'")
            return None
        if STANDARD_INPUT in self.names:
            raise InputError("-: standard input stands among files; expected it alone")
        files = shards_of(self.names)
        for file in files:
            format_of(file)
        return files

    def read(self, place: Place = BEGIN, tell: Callable[[str], None] = lambda line: None) -> Iterator[Sentence]:
        """The sentences from a place on.

        Args:
            place: of the first one.
            tell: is told of each line that cannot be read and is passed over.

        Raises:
            InputError: a file cannot be read; the message names the line.
        """
        for number in range(place.file, 1 if self.files is None else len(self.files)):
            begin = place if number == place.file else Place(number)
            for unit, (text, unreadable) in enumerate(self.units(number, begin.unit, tell), start=begin.unit):
                part = begin.part if unit == begin.unit else 0
                yield from self.sentences_of(text, Place(number, unit, part), unreadable)

    def sizes(self) -> list[int] | None:
        """How many units each file has, which costs one reading; None for standard input."""
        if self.files is None:
            return None
        return [_units_in(file) for file in self.files]

    def sentences_of(self, unit: str | list[str], place: Place, unreadable: bool = False) -> Iterator[Sentence]:
        """The sentences of a unit.

        Args:
            unit: a text, or words.
            place: of the first sentence that is wanted.
            unreadable: whether it could not be read.
        """
        # Also where a text may be of no sentence at all, so that it is counted.
        found = [[]] if unreadable else [unit] if isinstance(unit, list) else self._split(unit)
        for part in range(place.part, len(found)):
            after = (
                Place(place.file, place.unit, part + 1) if part + 1 < len(found) else Place(place.file, place.unit + 1)
            )
            kept = found[part][: self.cut]
            yield Sentence(kept, after, len(kept) < len(found[part]), unreadable)

    def _split(self, text: str) -> list[list[str]]:
        return sentences(text, self.tokenizer) if self.split else [words(text, self.tokenizer)]

    def units(
        self, number: int, first: int = 0, tell: Callable[[str], None] = lambda line: None
    ) -> Iterator[tuple[str | list[str], bool]]:
        """The lines, rows or sentences of a file, not split into words, and whether they could not be read.

        Args:
            number: of the file.
            first: number of the first unit.
            tell: is told of each line that cannot be read and is passed over.

        Raises:
            InputError: the file cannot be read; the message names the line.
        """
        unreadable = _Unreadable(self.unreadable)
        for unit, text in self._read(number, first, unreadable):
            told = unreadable.told
            if unit >= first:
                for message in told:
                    tell(message)
                yield "" if told else text, bool(told)
            told.clear()

    def _read(self, number: int, first: int, unreadable: "_Unreadable") -> Iterator[tuple[int, str | list[str]]]:
        """The units of a file with their numbers; those before `first` are passed over where that saves time."""
        if self.files is None:
            return enumerate(decoded(sys.stdin.buffer, "standard input", self.encoding, unreadable))
        path = self.files[number]
        form = format_of(path)
        if form == "parquet":
            return enumerate(parquet_texts(path, self.column, first), start=first)
        if form == "text":
            return enumerate(lines(path, self.encoding, unreadable))
        if form == "jsonl":
            return enumerate(self._json(path, unreadable))
        if form in ("csv", "tsv"):
            return enumerate(self._rows(path, unreadable))
        return enumerate(read_sentences(path, self.tokenizer, self.encoding, unreadable=unreadable))

    def _rows(self, path: Path, unreadable: "_Unreadable") -> Iterator[str | list[str]]:
        for values, place in read_records(str(path), Texts(encoding=self.encoding), [self.column], unreadable):
            # Then it is in no row.
            if not unreadable.told and self.column not in values:
                raise InputError(self._no_column(values, place))
            yield self._text(values, place, unreadable)

    def _no_column(self, record: dict[str, Any], place: str) -> str:
        return f"{place}: no column '{self.column}'; found {', '.join(map(repr, record)) or 'none'}"

    def _json(self, path: Path, unreadable: "_Unreadable") -> Iterator[str | list[str]]:
        for number, line in enumerate(lines(path, self.encoding, unreadable), start=1):
            place = f"{path} line {number}"
            text: str | list[str] = ""
            if line.strip() and not unreadable.told:
                try:
                    text = self._text(json.loads(line), place, unreadable)
                except (ValueError, RecursionError) as error:
                    unreadable(f"{place}: not JSON ({error})")
            yield text

    def _text(self, record: object, place: str, unreadable: "_Unreadable") -> str | list[str]:
        if unreadable.told:
            return ""
        if not isinstance(record, dict):
            unreadable(f"{place}: found {type(record).__name__}; expected a JSON object")
            return ""
        if self.column not in record:
            unreadable(self._no_column(record, place))
            return ""
        text = record[self.column]
        if isinstance(text, list) and all(isinstance(word, str) and word for word in text):
            good = all(map(is_text, text))
        elif isinstance(text, str):
            good = is_text(text)
        else:
            unreadable(f"{place}: '{self.column}' is {short(text)}; expected a text or a list of words")
            return ""
        if not good:
            found = f"{place}: '{self.column}' holds half a character (a lone surrogate)"
            unreadable(f"{found}; expected Unicode text")
        return text


class _Unreadable:
    """Is told of lines that cannot be read.

    Args:
        how: as in `Sentences`.

    Attributes:
        told: what it was told of the unit that is being read.
    """

    def __init__(self, how: str):
        self._stop = how == "stop"
        self.told: list[str] = []

    def __call__(self, message: str) -> None:
        """Raises:
        InputError: such a line ends the reading.
        """
        if self._stop:
            raise InputError(f"{message}; or pass over such lines with '--unreadable skip'") from None
        self.told.append(message)


def _units_in(path: Path) -> int:
    form = format_of(path)
    if form == "parquet":
        from pyarrow import parquet

        return parquet.read_metadata(path).num_rows
    if form in ("conllu", "conll"):
        # A sentence ends at an empty line.
        words = (bool(line.strip()) for line in chain(raw_lines(path), [b""]))
        return sum(before and not after for before, after in pairwise(words))
    return sum(1 for _ in raw_lines(path)) - (form in ("csv", "tsv"))
