"""The text that telmo-small-en is trained on, a sentence a line with a space between words.

python configs/telmo-small-en/text.py ../shared/data OUTPUT

OUTPUT gets `sources/`, a file for each of the books, of what is modern and of the docs corpus, less the sentences of
five words and more that stand as such in a development or test set of the tasks in `benchmarks/transfer.py` (a text of
several sentences there is compared as a whole); `validation/`, the
last lines of each; and `train/`, in which all sources are mixed, those of the web more than once, and an eighth of the
sentences stands in lower case, too, as many data sets are written.
"""

import argparse
import lzma
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path
from random import Random

from embeddings.tokenizer import sentences, words
from pipeline.docs_corpus import docs_file

HELD_OUT = {"books": 1500, "masc": 1500, "dialogues": 1500, "social": 3000}
"""Lines at the end of a source (of its last file) that are for validation."""
VALIDATION = {"books": 3000, "docs": 1500}
"""Sentences of these that are taken for validation; 2,000 of each other source."""
REPEATS = {"masc": 3, "social": 3}
LOWER_EVERY = 8
"""Of so many sentences one is repeated in lower case."""
LONGEST = 200
"""Words of a sentence; a longer one is a list or a table of contents."""
SHORT = 5
"""Words below which a sentence is no test sentence's double; people say the same."""
SHARDS = 16
TASKS = ("ewt", "wnut17", "conll2000", "conll2002", "mr", "subj", "trec")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder that holds books/ and modern/")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    output = arguments.output
    for part in ("sources", "validation", "train"):
        (output / part).mkdir(parents=True, exist_ok=True)
        if any((output / part).iterdir()):
            parser.error(f"{output / part}: holds files; expected none, for all that is there is trained on")
    tested = set(tested_sentences(arguments.data))
    print(f"{len(tested):,} sentences of development and test sets are left out")
    files = sorted(arguments.data.glob("books/*.txt.xz")) + sorted(arguments.data.glob("modern/*.txt.xz"))
    last = {source_of(path): path for path in files}
    with ProcessPoolExecutor() as pool:
        parts = [(path, HELD_OUT[source_of(path)] if last[source_of(path)] == path else 0) for path in files]
        done = [pool.submit(write_source, path, held_out, tested, output) for path, held_out in parts]
        for split, place in (("train", "sources"), ("validation", "validation")):
            lines = docs_file(f"docs:text/{split}").read_text("utf-8").splitlines()
            most = None if split == "train" else VALIDATION["docs"]
            write_sentences(output / place / "docs.txt", map(str.split, lines), tested, most)
        for future in done:
            future.result()
    mix(output / "sources", output / "train")


def source_of(path: Path) -> str:
    return re.split(r"[-.]", path.name)[0]


def write_source(path: Path, held_out: int, tested: set[str], output: Path) -> None:
    """Cut a file into sentences, the last lines of it for validation."""
    with lzma.open(path, "rt", encoding="utf-8") as file:
        lines = [line for line in map(str.strip, file) if line]
    split, name = len(lines) - held_out, path.name.removesuffix(".xz")
    # What was tokenised by its makers stays so.
    cut = _whole if source_of(path) == "masc" else sentences
    write_sentences(output / "sources" / name, _cut(lines[:split], cut), tested)
    if held_out:
        most = VALIDATION.get(source_of(path), 2000)
        write_sentences(output / "validation" / name, _cut(lines[split:], cut), tested, most)


def _cut(lines: Iterable[str], cut) -> Iterator[list[str]]:
    for line in lines:
        yield from cut(line)


def _whole(line: str) -> list[list[str]]:
    return [words(line, "whitespace")]


def write_sentences(path: Path, found: Iterable[list[str]], tested: set[str], most: int | None = None) -> None:
    kept = (
        sentence
        for sentence in found
        if len(sentence) <= LONGEST and (len(sentence) < SHORT or normal(sentence) not in tested)
    )
    with path.open("w", encoding="utf-8") as file:
        file.writelines(" ".join(sentence) + "\n" for sentence in islice(kept, most))


def mix(sources: Path, train: Path) -> None:
    """Write the sentences of all sources in a random order, as many shards as `SHARDS`."""
    mixed: list[str] = []
    for path in sorted(sources.iterdir()):
        lines = path.read_text("utf-8").splitlines(keepends=True)
        count = sum(line.count(" ") + 1 for line in lines)
        repeats = REPEATS.get(source_of(path), 1)
        print(f"{path.name}: {len(lines):,} sentences, {count:,} words, taken {repeats} times", flush=True)
        mixed += repeats * lines
        mixed += [line.lower() for line in lines[::LOWER_EVERY]]
    Random(1).shuffle(mixed)
    print(f"in all {len(mixed):,} sentences, {sum(line.count(' ') + 1 for line in mixed):,} words")
    for k in range(SHARDS):
        (train / f"{k:02}.txt").write_text("".join(mixed[k::SHARDS]), "utf-8")


def normal(sentence: list[str]) -> str:
    """What two sentences have in common that differ in case, spaces or punctuation only."""
    return re.sub(r"\W+", "", "".join(sentence)).casefold()


def tested_sentences(data: Path) -> Iterator[str]:
    """Of every file of the tasks that is no training set: its lines, with and without a label before them, and the
    sentences whose words stand in its first or second column."""
    for path in sorted(path for task in TASKS for path in (data / task).iterdir()):
        if "train" in path.name or path.name.startswith("README"):
            continue
        content = path.read_bytes()
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
        for block in re.split(r"\n\s*\n", text):
            rows = [re.split(r"[\t ]", line) for line in block.splitlines() if not line.startswith("# ")]
            for column in (0, 1):
                yield normal([row[column] for row in rows if len(row) > column])
        for line in text.splitlines():
            yield normal(line.split())
            yield normal(line.split()[1:])


if __name__ == "__main__":
    main()
