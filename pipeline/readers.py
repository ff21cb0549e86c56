"""Data files as lines and as sentences, read line by line."""

import codecs
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from embeddings.errors import InputError
from embeddings.tokenizer import TokenizerName, words
from pipeline.compressed import raw_lines, uncompressed_name
from pipeline.embedded import PREFIXES, embedded_file

Format = Literal["text", "csv", "tsv", "jsonl", "conllu", "conll", "parquet"]
SUFFIXES: dict[str, Format] = {
    ".txt": "text",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".conllu": "conllu",
    ".conll": "conll",
    ".parquet": "parquet",
}
DETECT = "detect"
"""The encoding's name that has it told from the bytes of the file."""


def data_file(name: str) -> Path:
    """The file that a config or a command names: a path, or data that Telmo makes (`docs:...`, `babel:...`).

    Raises:
        InputError: there is no such file, or it is empty.
    """
    path = embedded_file(name) if name.startswith(PREFIXES) else Path(name)
    if not path.is_file():
        raise InputError(f"{name}: {'is a folder' if path.is_dir() else 'no such file'}; expected a data file")
    if path.stat().st_size == 0:
        raise InputError(f"{name}: the file is empty; expected at least one sentence")
    return path


def format_of(path: Path) -> Format:
    """The format that a file's name tells; an ending such as `.xz` may follow that of the format.

    Raises:
        InputError: the name ends in none of the known suffixes.
    """
    suffix = uncompressed_name(path).suffix
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: cannot tell the format of '{suffix}'; expected one of {', '.join(SUFFIXES)}")
    return SUFFIXES[suffix]


_MARK = b"\xef\xbb\xbf"


Unreadable = Callable[[str], None]
"""Is told of a line that cannot be read, which is then handed on with signs in place of what is none, U+FFFD; or raises
an InputError."""


def lines(path: Path, encoding: str = "utf-8", unreadable: Unreadable | None = None) -> Iterator[str]:
    """The lines of a text file, without their ends. A compressed one is unpacked as it is read.

    Args:
        path: the file.
        encoding: of the file; `detect` has it told from its bytes.
        unreadable: what to do with a line that is not of the encoding, in place of an error. Where a line's end is more
            than a byte, as in UTF-16, nobody knows where the next line begins, and there is an error all the same.

    Raises:
        InputError: a line is not of this encoding, with the line and the byte; or the encoding is unknown; or the file
            cannot be opened or is damaged.
    """
    encoding = detected_encoding(path) if encoding == DETECT else encoding
    yield from decoded(raw_lines(path), str(path), encoding, unreadable)


def decoded(
    raw: Iterable[bytes], name: str, encoding: str = "utf-8", unreadable: Unreadable | None = None
) -> Iterator[str]:
    """As `lines`, of lines with their ends, from a file of this name."""
    try:
        ascii_is_kept = "\n".encode(encoding) == b"\n"
    except (LookupError, UnicodeError):
        expected = f"expected utf-8, latin-1, cp1252 or the like, or '{DETECT}'"
        raise InputError(f"{name}: encoding '{encoding}' cannot be read; {expected}") from None
    if not ascii_is_kept:
        yield from _wide_lines(raw, name, encoding, unreadable)
        return
    for number, line in enumerate(raw, start=1):
        # The mark with which some programs begin a file is no text.
        text = line.removeprefix(_MARK) if number == 1 else line
        try:
            read = text.rstrip(b"\r\n").decode(encoding)
        except UnicodeDecodeError as error:
            found = f"byte 0x{text[error.start]:02x} at position {error.start + 1}"
            expected = f"expected {encoding}, or name another with 'encoding'"
            message = f"{name} line {number}: {found} is not {encoding}; {expected}"
            if unreadable is None:
                raise InputError(message) from None
            unreadable(message)
            read = text.rstrip(b"\r\n").decode(encoding, "replace")
        yield read


def _wide_lines(raw: Iterable[bytes], name: str, encoding: str, unreadable: Unreadable | None) -> Iterator[str]:
    """The lines of a file in which a line's end is more than a byte, as in UTF-16."""
    number, rest = 0, ""
    try:
        for text in codecs.iterdecode(raw, encoding):
            *whole, rest = (rest + text).split("\n")
            for line in whole:
                number += 1
                yield line.rstrip("\r")
    except UnicodeError as error:
        found = f"{name} after line {number}: not {encoding} ({error}); name another encoding"
        no_skip = f" ('--unreadable skip' passes over no line of {encoding})" if unreadable else ""
        raise InputError(found + no_skip) from None
    if rest:
        yield rest.rstrip("\r")


def detected_encoding(path: Path) -> str:
    """The encoding of a text file: UTF-16 or UTF-8 if it is that, or else what `charset-normalizer` holds for the most
    probable by the lines that are not ASCII.

    Raises:
        InputError: it is none that is known, or the file cannot be read.
    """
    odd, utf8 = [], True
    for number, line in enumerate(raw_lines(path)):
        if number == 0 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if not line.isascii():
            utf8 = utf8 and _is_utf8(line)
            odd.append(line)
    if utf8:
        return "utf-8"
    from charset_normalizer import from_bytes

    best = from_bytes(b"".join(odd)).best()
    if best is None:
        raise InputError(f"{path}: the encoding cannot be detected; expected it to be named with 'encoding'")
    return best.encoding


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def read_sentences(
    path: Path,
    tokenizer: TokenizerName = "spacy",
    encoding: str = "utf-8",
    format: Format | None = None,
    unreadable: Unreadable | None = None,
) -> Iterator[list[str]]:
    """The sentences of a plain text, one a line, or of a CoNLL-U file, as lists of words.

    A line without words is an empty sentence, so that the number of a sentence stays that of its line. What cannot be
    read goes as in `lines`.

    Raises:
        InputError: the file is of another format or encoding.
    """
    found = format or format_of(path)
    if found == "text":
        for line in lines(path, encoding, unreadable):
            yield words(line, tokenizer)
    elif found in ("conllu", "conll"):
        wanted = ["form" if found == "conllu" else "0"]
        for sentence in read_columns(path, found, wanted, encoding, unreadable=unreadable):
            yield sentence.columns[0]
    else:
        raise InputError(f"{path}: sentences are read from text, conllu and conll, not from {found}")


class Columns(NamedTuple):
    """A sentence of a file with a word a line: the columns that were asked for, and where it stands.

    Args:
        columns: a list as long as the sentence for each column.
        line: of the first word.
        document: how many documents began before it, `-DOCSTART-` or `# newdoc`.
    """

    columns: list[list[str]]
    line: int
    document: int


CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_BLANKS = re.compile("[ \t]+")


def read_columns(
    path: Path,
    format: Format,
    wanted: Sequence[str],
    encoding: str = "utf-8",
    delimiter: str | None = None,
    names: Sequence[str] | None = None,
    unreadable: Unreadable | None = None,
) -> Iterator[Columns]:
    """The sentences of a file with a word a line and an empty line after each sentence: CoNLL-U, or the columns of
    CoNLL 2000, 2002 and 2003.

    Args:
        path: the file.
        format: `conllu` or `conll`.
        wanted: the columns. In `conll` a number, from 0 or, counted from the last, from -1.
        encoding: of the file.
        delimiter: between columns; by default a tab where the line has one, else blanks.
        names: of all columns of `conll`, which may then be asked for by name.
        unreadable: as for `lines`.

    Raises:
        InputError: a line lacks a column; the message names the line.
    """
    chosen = [_column(path, format, name, names) for name in wanted]
    sentence: list[list[str]] = [[] for _ in chosen]
    first, document = 0, 0
    for number, line in enumerate(_with_end(lines(path, encoding, unreadable)), start=1):
        if not line.strip():
            if sentence[0]:
                yield Columns(sentence, first, document)
            sentence = [[] for _ in chosen]
            continue
        if line.startswith("-DOCSTART-") or (format == "conllu" and line.startswith("#")):
            document += line.startswith(("-DOCSTART-", "# newdoc"))
            continue
        # A word may hold a blank of another kind, such as one that does not break.
        fields = line.split(delimiter or "\t") if delimiter or "\t" in line else _BLANKS.split(line.strip(" "))
        # Ranges such as 3-4 and empty nodes such as 5.1 are no words.
        if format == "conllu" and not fields[0].isdigit() and fields[0][:1].isdigit():
            continue
        if len(fields) == 1 and len(chosen) > 1:
            raise InputError(f"{path} line {number}: found 1 column; expected a word and its tag")
        if not sentence[0]:
            first = number
        for name, column, values in zip(wanted, chosen, sentence, strict=True):
            if not -len(fields) <= column < len(fields):
                raise InputError(f"{path} line {number}: found {len(fields)} columns, none for '{name}'")
            if not fields[column]:
                raise InputError(f"{path} line {number}: column '{name}' is empty; expected a word or a tag")
            values.append(fields[column])


def _with_end(given: Iterator[str]) -> Iterator[str]:
    """An empty line after the last, so that the last sentence ends like the others."""
    yield from given
    yield ""


def _column(path: Path, format: Format, name: str, names: Sequence[str] | None) -> int:
    known = CONLLU if format == "conllu" else names or ()
    if name in known:
        return known.index(name)
    if format == "conll" and re.fullmatch("-?[0-9]+", name):
        return int(name)
    expected = ", ".join(known) or "a number, 0 for the first and -1 for the last"
    raise InputError(f"{path}: no column '{name}'; expected {expected}")
