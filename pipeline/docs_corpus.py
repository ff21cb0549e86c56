"""The embedded default: English sentences from the docstrings of the libraries that Telmo is installed with.

Two labelled tasks come with it, both written by people: which library documents this (`library`), and which words are
code (`code`). The corpus is built once from what is installed and kept in `cache_folder()`; its name holds the
versions of the libraries, so that another version makes another corpus.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from embeddings.atomic import atomic_folder
from embeddings.errors import InputError
from embeddings.tokenizer import tokenize
from pipeline.docstrings import docstrings, paragraphs, without_markup

LIBRARIES = {
    "tensorflow": "tensorflow",
    "keras": "keras",
    "mlflow": "mlflow",
    "scikit-learn": "sklearn",
    "pandas": "pandas",
    "numpy": "numpy",
    "scipy": "scipy",
    "matplotlib": "matplotlib",
    "sqlalchemy": "sqlalchemy",
    "spacy": "spacy",
    "pydantic": "pydantic",
    "fastapi": "fastapi",
}
"""Distribution and package of each library that is read."""

CLASSES = ("tensorflow", "keras", "mlflow", "scikit-learn", "pandas", "numpy", "scipy", "matplotlib", "sqlalchemy")
"""The libraries that document enough for the `library` task."""

SPLITS = ("train", "validation", "test")
PREFIX = "docs:"
ABOUT = "corpus.json"
BUILD = 3
"""Raised when the same libraries would give another corpus."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of a docstring: the object that it documents, its words, and for each word `B-CODE`, `I-CODE` or
    `O`."""

    library: str
    object: str
    text: str
    words: list[str]
    tags: list[str]


def cache_folder() -> Path:
    """Where Telmo keeps what it can make again: `$TELMO_CACHE`, or `telmo` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TELMO_CACHE") or Path(base) / "telmo")


def library_versions() -> dict[str, str]:
    """The version of each library that is installed."""
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def docs_file(handle: str, on_progress: Callable[[int, int], None] | None = None) -> Path:
    """The file behind a handle: `docs:text/SPLIT`, `docs:library/SPLIT` or `docs:code/SPLIT`, SPLIT one of train,
    validation, test.

    The corpus is built if it is not there yet, which takes about a minute.

    Args:
        handle: what a config names as a data file.
        on_progress: called with the number of source files read and in all.

    Raises:
        InputError: there is no such part of the corpus.
    """
    task, _, split = handle.removeprefix(PREFIX).partition("/")
    suffix = {"text": "txt", "library": "jsonl", "code": "jsonl"}.get(task)
    if suffix is None or split not in SPLITS:
        raise InputError(
            f"{handle}: no such part of the docs corpus; expected docs:text|library|code/train|validation|test"
        )
    return docs_corpus(on_progress) / f"{task}.{split}.{suffix}"


def docs_corpus(on_progress: Callable[[int, int], None] | None = None) -> Path:
    """The folder of the corpus: `text`, `library` and `code` of each split, and `corpus.json` with versions and
    counts."""
    versions = library_versions()
    identity = hashlib.sha256(json.dumps([BUILD, versions]).encode()).hexdigest()[:16]
    folder = cache_folder() / f"docs-{identity}"
    if not folder.is_dir():
        with atomic_folder(folder, (ABOUT,)) as temporary:
            _write(temporary, _without_duplicates(_read_libraries(versions, on_progress)), versions)
    return folder


def split_of(documented: str) -> str:
    """The split of a documented object: a tenth of all objects each for validation and test, by a hash of the name."""
    tenth = int.from_bytes(hashlib.sha256(documented.encode()).digest()[:4]) % 10
    return {0: "test", 1: "validation"}.get(tenth, "train")


def _write(folder: Path, sentences: Iterable[Sentence], versions: dict[str, str]) -> None:
    counts: Counter[str] = Counter()
    by_library: dict[str, dict[str, list[str]]] = {split: {library: [] for library in CLASSES} for split in SPLITS}
    with ExitStack() as stack:
        text, code = (
            {
                split: stack.enter_context((folder / f"{task}.{split}.{suffix}").open("w", encoding="utf-8"))
                for split in SPLITS
            }
            for task, suffix in (("text", "txt"), ("code", "jsonl"))
        )
        for sentence in sentences:
            split = split_of(sentence.object)
            counts.update(
                {"sentences": 1, "words": len(sentence.words), "sentences with code": "B-CODE" in sentence.tags}
            )
            text[split].write(" ".join(sentence.words) + "\n")
            code[split].write(_row(words=sentence.words, tags=sentence.tags, object=sentence.object))
            if sentence.library in CLASSES:
                row = _row(text=sentence.text, label=sentence.library, object=sentence.object)
                by_library[split][sentence.library].append(row)
    for split, rows in by_library.items():
        # As many of each library as the smallest has, taken in turn.
        balanced = zip(*(library for library in rows.values() if library), strict=False)
        (folder / f"library.{split}.jsonl").write_text("".join(row for turn in balanced for row in turn), "utf-8")
    (folder / ABOUT).write_text(json.dumps({"libraries": versions, "counts": counts}, indent=2) + "\n", "utf-8")


def _row(**values) -> str:
    return json.dumps(values, ensure_ascii=False) + "\n"


def _without_duplicates(sentences: Iterable[Sentence]) -> Iterator[Sentence]:
    """Each sentence once, compared without case and punctuation, so that none stands in two splits."""
    seen: set[bytes] = set()
    for sentence in sentences:
        key = hashlib.blake2b(re.sub(r"\W+", " ", sentence.text.casefold()).encode(), digest_size=16).digest()
        if key not in seen:
            seen.add(key)
            yield sentence


def _read_libraries(versions: dict[str, str], on_progress) -> Iterator[Sentence]:
    """The sentences of all libraries, in the same order on every machine, read by as many processes as there are
    cores."""
    files = [found for library in versions for found in _source_files(library)]
    # Mixed, so that any part of the text has a bit of each library.
    files.sort(key=lambda file: hashlib.sha256(file[1].encode()).digest())
    # TensorFlow may be loaded already, and its threads do not survive a fork.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for k, sentences in enumerate(pool.map(_sentences_of_file, files, chunksize=16), start=1):
            yield from sentences
            if on_progress:
                on_progress(k, len(files))


def _source_files(library: str) -> Iterator[tuple[str, str, str]]:
    """Library, module and path of each source file; tests are left out."""
    spec = importlib.util.find_spec(LIBRARIES[library])
    if spec is None or spec.origin is None:
        return
    root = Path(spec.origin).parent
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        if not any(part in ("tests", "test", "testing", "_vendor") for part in parts):
            yield library, ".".join(part for part in parts if part != "__init__"), str(path)


def _sentences_of_file(file: tuple[str, str, str]) -> list[Sentence]:
    library, module, path = file
    return [
        sentence
        for name, docstring in docstrings(Path(path), module)
        for paragraph in paragraphs(docstring)
        for sentence in _sentences(library, name, paragraph)
    ]


_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_ABBREVIATION = re.compile(r"\b(e\.g|i\.e|etc|vs|cf|Eq|Fig|Ref|al|resp)\.$")


def _sentences(library: str, documented: str, paragraph: str) -> Iterator[Sentence]:
    prose = without_markup(" ".join(paragraph.split()))
    start = 0
    ends = [match.start() for match in _SENTENCE_END.finditer(prose.text)]
    for end in [*ends, len(prose.text)]:
        if end < len(prose.text) and _ABBREVIATION.search(prose.text[start:end]):
            continue
        text = prose.text[start:end]
        lead = len(text) - len(text.lstrip())
        if _is_sentence(text.strip()):
            tokens = tokenize(text.strip())
            shifted = [(first - start - lead, last - start - lead) for first, last in prose.code]
            yield Sentence(library, documented, text.strip(), [token.text for token in tokens], _tags(tokens, shifted))
        start = end


def _tags(tokens, code: list[tuple[int, int]]) -> list[str]:
    tags, previous = [], None
    for token in tokens:
        span = next((span for span in code if token.start < span[1] and span[0] < token.end), None)
        tags.append("O" if span is None else "I-CODE" if span == previous else "B-CODE")
        previous = span
    return tags


def _is_sentence(text: str) -> bool:
    """Prose of 4 to 80 words that ends like a sentence and is mostly letters."""
    words = text.count(" ") + 1
    letters = sum(character.isalpha() or character == " " for character in text)
    return 4 <= words <= 80 and text[-1] in ".!?" and "`" not in text and letters > 0.7 * len(text)
