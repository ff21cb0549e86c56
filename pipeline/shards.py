"""A corpus as shards, which can be embedded one without the other."""

import codecs
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from embeddings.atomic import check_folder
from embeddings.errors import InputError
from embeddings.stores import check_earlier
from pipeline.compressed import raw_lines
from pipeline.parquet import parquet_texts
from pipeline.readers import DETECT, format_of
from pipeline.sentence_stream import Place, Sentence, Sentences

Units = Iterator[tuple[str | list[str], bool]]

BYTES_PER_WORD = 6
"""Of English text that is not split into words yet, with the space."""


class Shard(NamedTuple):
    """Units (lines, rows or sentences, as `Sentences` has them) of a file that stand one after the other.

    Args:
        file: its number among those of the corpus.
        first, last: the first unit and the one behind the last.
        sentence: number of the first sentence in the corpus, if that is known.
    """

    file: int
    first: int
    last: int
    sentence: int | None


def shards_of_corpus(sentences: Sentences, words: int) -> list[Shard]:
    """Part a corpus. Costs one reading, in which nothing is split into words.

    Args:
        sentences: the corpus.
        words: of a shard, about, as told by the bytes of the text.

    Raises:
        InputError: a file cannot be read.
    """
    shards: list[Shard] = []
    sentence = 0
    for file in range(len(sentences.files or [])):
        first, unit, held = 0, 0, 0
        for unit, size in enumerate(_sizes(sentences, file), start=1):
            held += size
            if held >= words * BYTES_PER_WORD:
                shards.append(Shard(file, first, unit, sentence + first))
                first, held = unit, 0
        if unit > first:
            shards.append(Shard(file, first, unit, sentence + first))
        sentence += unit
    # A unit is a sentence, or a text of no one knows how many.
    return [shard._replace(sentence=None) for shard in shards] if sentences.split else shards


def numbered(shards: list[Shard], counts: list[int]) -> list[Shard]:
    """Shards that know their first sentence.

    Args:
        shards: all of a corpus.
        counts: sentences in each.
    """
    found, sentence = [], 0
    for shard, count in zip(shards, counts, strict=True):
        found.append(shard._replace(sentence=sentence))
        sentence += count
    return found


def _sizes(sentences: Sentences, file: int) -> Iterator[int]:
    """The bytes of each unit of a file, about."""
    path = (sentences.files or [])[file]
    form = format_of(path)
    if form == "parquet":
        yield from _parquet_sizes(sentences, file)
    elif form in ("text", "jsonl") and _ends_lines_as_ascii(sentences.encoding):
        yield from map(len, raw_lines(path))
    else:
        for unit, _ in sentences.units(file):
            yield len(unit) if isinstance(unit, str) else BYTES_PER_WORD * len(unit)


def _ends_lines_as_ascii(encoding: str) -> bool:
    try:
        return encoding != DETECT and codecs.encode("\n", encoding) == b"\n"
    except (LookupError, UnicodeError):
        return False


def _parquet_sizes(sentences: Sentences, file: int) -> Iterator[int]:
    """Of the rows of a row group the mean, which its footer tells."""
    from pyarrow import parquet

    path = (sentences.files or [])[file]
    # What is wrong with the file or the column is told here.
    next(parquet_texts(path, sentences.column), None)
    footer = parquet.read_metadata(path)
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        columns = (group.column(k) for k in range(group.num_columns))
        size = sum(column.total_uncompressed_size for column in columns if column.path_in_schema == sentences.column)
        for _ in range(group.num_rows):
            yield size // group.num_rows


def name_of_shard(number: int) -> str:
    """The file of a shard in a store."""
    return f"part-{number:05d}.parquet"


def is_shard(name: str) -> bool:
    """Whether `name_of_shard` gives such a name."""
    return bool(re.fullmatch(r"part-\d{5,}\.parquet", name))


def has_shards(folder: Path) -> bool:
    """Whether there is a folder with a shard in it."""
    return folder.is_dir() and any(is_shard(file.name) for file in folder.iterdir())


def check_shards(output: Path) -> None:
    """That an output has a place, and that what stands there is an earlier store in shards.

    Raises:
        OutputError: it has none, or something else stands there.
    """
    found = [item for item in output.iterdir() if is_shard(item.name)] if output.is_dir() else []
    for path in found:
        check_earlier(path, "parquet")
    check_folder(output, [path.name for path in found] or [name_of_shard(0)])


class ShardReader:
    """Reads shards. Of a file that cannot be entered in the midst each line is read once, as long as its shards come in
    their order.

    Args:
        sentences: the corpus.
    """

    def __init__(self, sentences: Sentences):
        self.sentences = sentences
        self._file = self._next = -1
        self._units: Units | None = None
        self._tell: Callable[[str], None] = _nobody

    def read(self, shard: Shard, tell: Callable[[str], None]) -> Iterator[Sentence]:
        """The sentences of a shard.

        Args:
            shard: to read.
            tell: is told of each line that cannot be read and is passed over.

        Raises:
            InputError: the file cannot be read, or has fewer units than it had.
        """
        units, self._units = self._from(shard), None
        self._tell = tell
        for unit, (text, unreadable) in enumerate(islice(units, shard.last - shard.first), start=shard.first):
            self._next = unit + 1
            yield from self.sentences.sentences_of(text, Place(shard.file, unit), unreadable)
        self._tell = _nobody
        if self._next < shard.last:
            found = f"{(self.sentences.files or [])[shard.file]}: ends after {max(0, self._next)} lines or rows"
            raise InputError(f"{found}; expected {shard.last} at least, as when the work began")
        # Only a reading that came to its end is gone on with.
        self._units = units

    def _told(self, line: str) -> None:
        self._tell(line)

    def _from(self, shard: Shard) -> Units:
        units, missing = self._units, shard.first - self._next
        parquet = format_of((self.sentences.files or [])[shard.file]) == "parquet"
        if units is None or shard.file != self._file or missing < 0 or (missing and parquet):
            units, missing = self.sentences.units(shard.file, shard.first, self._told), 0
        self._file, self._next = shard.file, shard.first
        next(islice(units, missing, missing), None)
        return units


def _nobody(line: str) -> None:
    """Lines that cannot be read, of another's shard."""
