"""Text to train a language model on: one file or many, read in constant memory, shuffled, and resumed where it was."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from glob import glob
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from embeddings.errors import InputError, OutputError
from embeddings.tokenizer import TokenizerName, words
from pipeline.compressed import COMPRESSIONS, uncompressed_name
from pipeline.docs_corpus import PREFIX
from pipeline.parquet import parquet_texts
from pipeline.readers import data_file, format_of, lines, read_sentences

SUFFIXES = (".txt", ".conllu", ".conll")
"""What a folder's files end in to be read, beside `.parquet`; `.xz`, `.gz` and `.bz2` may follow."""

BLOCK = 1000
"""Sentences read at a time where none are shuffled."""


def shards_of(names: str | Sequence[str]) -> list[Path]:
    """The files of a corpus.

    Args:
        names: one or several of: a file, a folder, of which every file with a known suffix is read, a glob pattern, or
            a part of the docs corpus (`docs:text/train`). Files of a folder and of a pattern go by the alphabet.

    Raises:
        InputError: there is no such file, or it is empty, or a folder or pattern has none.
    """
    shards: list[Path] = []
    for name in [names] if isinstance(names, str) else names:
        path = Path(name)
        found = [path]
        if name.startswith(PREFIX):
            found = [data_file(name)]
        elif path.is_dir():
            found = sorted(file for file in path.iterdir() if file.is_file() and _is_text(file))
            if not found:
                endings = f".parquet, {', '.join(SUFFIXES)}, and these with {', '.join(COMPRESSIONS)}"
                raise InputError(
                    f"{name}: no text in this folder; expected files that end in {endings}, or a pattern such as "
                    f"'{name}/*.csv' for others"
                )
        elif not path.exists() and any(sign in name for sign in "*?["):
            found = sorted(Path(file) for file in glob(name, recursive=True) if Path(file).is_file())
            if not found:
                raise InputError(f"{name}: no file matches this pattern")
        shards += [data_file(str(file)) for file in found]
    if not shards:
        raise InputError("the corpus names no files; expected at least one")
    return shards


def check_apart(names: Sequence[str], files: Sequence[Path], output: Path, written: Sequence[Path]) -> None:
    """That an output is no part of a corpus, now or when it is there.

    Args:
        names: of the corpus, as for `shards_of`.
        files: of the corpus.
        output: a file or a folder.
        written: the files that it brings.

    Raises:
        OutputError: it is one.
    """
    for file in files:
        if output.exists() and (output.samefile(file) or output.resolve() in file.resolve().parents):
            raise OutputError(f"{output}: is the input, or holds it; expected another place to write")
    for file in written:
        if would_hold(names, file):
            raise OutputError(f"{file}: would be read as input the next time; expected another place to write")


def would_hold(names: Sequence[str], path: Path) -> bool:
    """Whether a file that is written here would be among the files of a corpus from then on.

    Args:
        names: of the corpus, as for `shards_of`.
        path: of the file.
    """
    for name in names:
        above, pattern = os.path.split(name)
        if Path(name).is_dir():
            folders = [Path(name)] if _is_text(path) else []
        elif not Path(name).exists() and fnmatchcase(path.name, pattern):
            folders = [Path(folder) for folder in glob(above, recursive=True)] if above else [Path()]
        else:
            folders = []
        if any(folder.resolve() == path.parent.resolve() for folder in folders):
            return True
    return False


def _is_text(path: Path) -> bool:
    return path.suffix == ".parquet" or uncompressed_name(path).suffix in SUFFIXES


class Corpus(Iterator[list[str]]):
    """The sentences of a corpus as lists of words; those without words are left out.

    Shuffled, the shards come in another order in each epoch, and `shuffle` sentences at a time are read and handed out
    in a random order. Both depend on nothing but the seed, the epoch and the place, so that the state of the reading is
    four numbers, whatever the size of the buffer.

    Args:
        names: as for `shards_of`.
        tokenizer: how a raw text becomes words. Words of CoNLL-U are taken as they are.
        encoding: of text files.
        column: of Parquet files.
        shuffle: sentences that are shuffled at a time, and held in memory; 0 to read in order.
        seed: of the shuffling.
        epochs: how often the corpus is read; None for no end.

    Raises:
        InputError: a file is missing, cannot be read or is damaged, with the line; or has no sentence at all.

    Example:
        >>> corpus = Corpus("books/*.txt.xz", shuffle=10_000)
        >>> sentence = next(corpus)
        >>> later = Corpus("books/*.txt.xz", shuffle=10_000)
        >>> later.restore(corpus.state())
        >>> next(later) == next(corpus)
        True
    """

    def __init__(
        self,
        names: str | Sequence[str],
        tokenizer: TokenizerName = "spacy",
        encoding: str = "utf-8",
        column: str = "text",
        shuffle: int = 0,
        seed: int = 1,
        epochs: int | None = 1,
    ):
        self.shards = shards_of(names)
        self.tokenizer, self.encoding, self.column = tokenizer, encoding, column
        self.shuffle, self.seed, self.epochs = shuffle, seed, epochs
        for shard in self.shards:
            _check_format(shard)
        # Of all that decides about the sentences and their order. Folders may move; files may not change.
        files = [(shard.name, shard.stat().st_size) for shard in self.shards]
        how = tokenizer, encoding, column, shuffle, seed
        self._identity = hashlib.sha256(repr((files, how)).encode()).hexdigest()[:16]
        self._go_to(epoch=0, shard=0, unit=0, given=0)

    def __iter__(self) -> "Corpus":
        return self

    def __next__(self) -> list[str]:
        while True:
            while self._given == len(self._block):
                self._read_block()
            unit = self._block[self._given]
            self._given += 1
            sentence = words(unit, self.tokenizer) if isinstance(unit, str) else unit
            if sentence:
                self._no_sentences = False
                return sentence

    def state(self) -> dict[str, Any]:
        """Where the reading stands: where the sentences that are shuffled together begin (epoch, shard and line,
        sentence or row in it), and how many of them have been given; and of which corpus."""
        epoch, shard, unit = self._begin
        return {"epoch": epoch, "shard": shard, "unit": unit, "given": self._given, "corpus": self._identity}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on as the one did whose `state` this was. Costs no more than reading one shard.

        Raises:
            InputError: the state is one of another corpus, or of another way to read it.
        """
        if state["corpus"] != self._identity:
            raise InputError(
                f"{self.shards[0]}: the training text, its order or the way it is read is not that of the checkpoint; "
                "expected the same files with the same sizes, seed, shuffle and tokenizer"
            )
        self._go_to(state["epoch"], state["shard"], state["unit"], state["given"])

    def _go_to(self, epoch: int, shard: int, unit: int, given: int) -> None:
        self._epoch, self._shard, self._unit = epoch, shard, unit
        self._begin = epoch, shard, unit
        self._units: Iterator[str | list[str]] | None = None
        self._block: list[str | list[str]] = []
        self._given, self._no_sentences = 0, False
        if given:
            self._read_block()
            self._given, self._no_sentences = given, False

    def _read_block(self) -> None:
        """Read the sentences that are shuffled together; they may stand in several shards, but not epochs.

        Raises:
            StopIteration: there are no epochs left.
        """
        if self._shard == self._unit == 0:
            # A corpus that is read for ever must give something.
            if self._no_sentences:
                others = f", nor in the {len(self.shards) - 1} other files" if len(self.shards) > 1 else ""
                raise InputError(f"{self.shards[0]}: no sentence in it{others}; expected at least one")
            if self.epochs is not None and self._epoch >= self.epochs:
                raise StopIteration
            self._no_sentences = True
        self._begin = self._epoch, self._shard, self._unit
        self._block, self._given = [], 0
        order, size = self._order(), self.shuffle or BLOCK
        while len(self._block) < size and self._shard < len(order):
            if self._units is None:
                self._units = units(order[self._shard], self.encoding, self.column, self._unit)
            missing = size - len(self._block)
            read = list(islice(self._units, missing))
            self._block += read
            self._unit += len(read)
            if len(read) < missing:
                self._units, self._shard, self._unit = None, self._shard + 1, 0
        if self.shuffle:
            Random(f"{self.seed} block {self._begin}").shuffle(self._block)
        if self._shard == len(order):
            # Given in full before the next block is asked for.
            self._epoch, self._shard = self._epoch + 1, 0

    def _order(self) -> list[Path]:
        shards = list(self.shards)
        if self.shuffle:
            Random(f"{self.seed} epoch {self._epoch}").shuffle(shards)
        return shards


def units(shard: Path, encoding: str = "utf-8", column: str = "text", first: int = 0) -> Iterator[str | list[str]]:
    """The lines of a text file, the rows of a Parquet file, or the sentences of a CoNLL-U file as lists of words, from
    number `first` on."""
    if shard.suffix == ".parquet":
        return parquet_texts(shard, column, first)
    if format_of(shard) == "text":
        return islice(lines(shard, encoding), first, None)
    return islice(read_sentences(shard, encoding=encoding), first, None)


def _check_format(shard: Path) -> None:
    if shard.suffix != ".parquet" and format_of(shard) not in ("text", "conllu", "conll"):
        raise InputError(f"{shard}: sentences are read from text, conllu, conll and parquet, not from this file")
