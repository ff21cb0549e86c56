"""What runs have told MLflow and MLflow has not heard: on disk, so that neither a dead server nor a dead process loses
it.

An outbox is a folder with a journal, one SQLite file, the files that it names, and the names of its run, which can be
read while a process has the journal. It belongs to one run and the runs within it, and to one process at a time.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from embeddings.errors import OutputError
from pipeline.docs_corpus import cache_folder
from serve.tracking_server import without_login

_JOURNAL, _NAMES, _ADDRESS = "journal.db", "names", "address"
_TABLES = """
CREATE TABLE IF NOT EXISTS runs (key TEXT PRIMARY KEY, parent TEXT, run_id TEXT, goes_on INT, status TEXT, about TEXT);
CREATE TABLE IF NOT EXISTS entries (number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, kind TEXT, body TEXT);
CREATE TABLE IF NOT EXISTS noted (one INTEGER PRIMARY KEY CHECK (one = 1), time INT);
"""

PATIENCE = 30.0
"""Seconds that a run which goes on waits for the process that has its outbox."""

_NOTED = "INSERT OR REPLACE INTO noted VALUES (1, ?)"

FILES = ("artifact", "model")
"""Kinds of entries that take long to send, and wait for the others."""


@dataclass(frozen=True)
class Entry:
    """One thing that the run of this key tells."""

    number: int
    key: str
    kind: str
    body: dict[str, Any]


@dataclass(frozen=True)
class RunRow:
    """A run.

    Args:
        key: its name here, and the value of a tag there.
        parent: the key of the run that it is within.
        run_id: MLflow's, once it is known.
        goes_on: whether it was there before; its parameters can no more change.
        status: in which it ended.
        about: what it is made of: `name`, `experiment`, `started`, `ended`, `tags`; `wanted`, the id or key of the run
            that it goes on with, and `adopted`, whether somebody else began that one for it.
    """

    key: str
    parent: str | None
    run_id: str | None
    goes_on: bool
    status: str | None
    about: dict[str, Any]


class InUse(Exception):
    """Another process has the outbox."""


class NotKept(OutputError):
    """What a run tells cannot be noted, for the disk is full, say."""


def outboxes(address: str | None = None) -> list[Path]:
    """The folders of the outboxes for an address of MLflow, the oldest first; None for those of all."""
    folder = cache_folder() / "outbox"
    found = []
    for journal in folder.glob(f"{_digest(address) if address else '*'}/*/{_JOURNAL}"):
        # Another process may have emptied it since, or be about to make it: what is written is locked.
        with suppress(FileNotFoundError):
            if journal.stat().st_size:
                found.append((journal.parent.stat().st_mtime, journal.parent))
    return [folder for _, folder in sorted(found)]


def address_of(folder: Path) -> str:
    """The address of MLflow for which an outbox is, without a login."""
    try:
        return (folder.parent / _ADDRESS).read_text()
    except OSError:
        return "another address"


def names_of(folder: Path) -> list[str]:
    """The key of the run of an outbox, and MLflow's ids of it as far as they are known, whoever has the outbox."""
    try:
        return (folder / _NAMES).read_text().split()
    except OSError:
        return []


def _digest(address: str) -> str:
    return hashlib.sha256(address.encode()).hexdigest()[:16]


class Outbox:
    """An outbox, open for this process; any of its threads may use it.

    Args:
        folder: from `outboxes`, or a new one.

    Raises:
        InUse: another process has it.
        NotKept: it cannot be written.
    """

    def __init__(self, folder: Path):
        self.folder, self._lock = folder, threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._journal = sqlite3.connect(folder / _JOURNAL, timeout=0, isolation_level=None, check_same_thread=False)
            # The lock is held until it is closed.
            self._journal.executescript(
                f"PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {_TABLES}"
            )
        except (OSError, sqlite3.Error) as error:
            if "locked" in str(error):
                raise InUse from None
            raise _not_written(folder, error) from None
        self.run_ids = {row.key: row.run_id for row in self.runs() if row.run_id}
        """MLflow's ids of the runs that it has, by their keys."""

    @classmethod
    def new(cls, address: str) -> "Outbox":
        """An empty one, for an address of MLflow."""
        made = cls(cache_folder() / "outbox" / _digest(address) / uuid4().hex)
        with suppress(OSError):
            (made.folder.parent / _ADDRESS).write_text(without_login(address))
        return made

    @classmethod
    def of_run(cls, address: str, run: str) -> "Outbox | None":
        """That of a run, by its id or key, if it was not emptied. A process that has it, to send what is left, is
        waited for."""
        deadline = time.monotonic() + PATIENCE
        for folder in outboxes(address):
            while run in names_of(folder):
                try:
                    outbox = cls(folder)
                except InUse:
                    if time.monotonic() > deadline:
                        return None
                    time.sleep(0.05)
                    continue
                except NotKept:
                    break
                if outbox.runs():
                    return outbox
                # It was emptied just now.
                outbox.remove()
        return None

    def begin(self, parent: str | None = None, **about: Any) -> str:
        """Note that a run began.

        Args:
            parent: key of the run that it is within.
            about: as `RunRow` has it, but for the time.

        Returns:
            Its key.
        """
        key = uuid4().hex
        about |= {"started": milliseconds()}
        if parent is None:
            self._name(key)
        self._do("INSERT INTO runs (key, parent, goes_on, about) VALUES (?, ?, 0, ?)", key, parent, json.dumps(about))
        self._do(_NOTED, about["started"])
        return key

    def began(self, key: str, run_id: str, goes_on: bool, started: int) -> None:
        """Note that MLflow has the run, and when it began there."""
        if self.run(key).parent is None:
            self._name(run_id)
        self.run_ids[key] = run_id
        told = "UPDATE runs SET run_id = ?, goes_on = ?, about = json_set(about, '$.started', ?) WHERE key = ?"
        self._do(told, run_id, goes_on, started, key)

    def forget(self, key: str) -> None:
        """Note that MLflow has a run no more, so that it is to begin anew."""
        self._do("UPDATE runs SET run_id = NULL WHERE key = ?", key)
        self.run_ids.pop(key, None)

    def has_begun(self) -> bool:
        """Whether MLflow has one of the runs."""
        return bool(self.run_ids)

    def goes_on(self, key: str) -> None:
        """Note that a run that broke off goes on."""
        self._do("UPDATE runs SET status = NULL WHERE key = ?", key)
        self.add(key, "go_on", {})

    def end(self, key: str, status: str, when: int | None = None) -> None:
        """Note that a run ended, now or then, in milliseconds."""
        told = "UPDATE runs SET status = ?, about = json_set(about, '$.ended', ?) WHERE key = ?"
        self._do(told, status, when or milliseconds(), key)
        self.add(key, "end", {})

    def end_children(self, key: str) -> None:
        """Note that the runs within one were killed, if they could not say so themselves."""
        for row in self.runs():
            if row.parent == key and not row.status:
                self.end(row.key, "KILLED")

    def runs(self) -> list[RunRow]:
        """All of them, each after the one that it is within."""
        rows = self._do("SELECT key, parent, run_id, goes_on, status, about FROM runs ORDER BY rowid")
        return [RunRow(row[0], row[1], row[2], bool(row[3]), row[4], json.loads(row[5])) for row in rows]

    def run(self, key: str) -> RunRow:
        """One of them."""
        return next(row for row in self.runs() if row.key == key)

    def add(self, key: str, kind: str, body: dict[str, Any]) -> int:
        """Note what a run tells; gives the number of the entry."""
        with self._open() as journal:
            found = journal.execute(
                "INSERT INTO entries (key, kind, body) VALUES (?, ?, ?)", (key, kind, json.dumps(body))
            )
            journal.execute(_NOTED, (milliseconds(),))
            return int(found.lastrowid or 0)

    def first(self, most: int) -> list[Entry]:
        """What is to be sent next, in its order; the files when there is nothing else."""
        marks = ", ".join("?" * len(FILES))
        for which in ("NOT IN", "IN"):
            chosen = f"SELECT number, key, kind, body FROM entries WHERE kind {which} ({marks}) ORDER BY number LIMIT ?"
            rows = self._do(chosen, *FILES, most)
            if rows:
                return [Entry(number, key, kind, json.loads(body)) for number, key, kind, body in rows]
        return []

    def sent(self, entries: Sequence[Entry]) -> None:
        """Strike out what was sent."""
        with self._open() as journal:
            journal.executemany("DELETE FROM entries WHERE number = ?", [(entry.number,) for entry in entries])
        for entry in entries:
            if entry.kind in FILES:
                shutil.rmtree(self.folder / entry.body["place"], ignore_errors=True)

    def holds(self, number: int) -> bool:
        """Whether an entry is not sent yet."""
        return bool(self._do("SELECT 1 FROM entries WHERE number = ?", number))

    def __len__(self) -> int:
        return int(self._do("SELECT count(*) FROM entries")[0][0])

    @contextmanager
    def place(self) -> Iterator[Path]:
        """A new folder for the files of an entry, whose `place` is to be its name.

        Raises:
            NotKept: they cannot be written.
        """
        folder = self.folder / uuid4().hex
        try:
            # Who clears the cache during a training takes the folder above it, too.
            folder.mkdir(parents=True)
            yield folder
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise _not_written(folder, error) from None

    def link(self, source: Path, place: Path) -> None:
        """Keep a file or folder as it is now: no byte is copied where the file system can do without. What Telmo
        writes takes the place of what was there, and is not written into it."""
        if source.is_dir():
            shutil.copytree(source, place / source.name, copy_function=_link)
        else:
            _link(str(source), str(place / source.name))

    def close(self) -> None:
        """Let another process have it."""
        with self._lock, suppress(sqlite3.DatabaseError):
            self._journal.close()

    def remove(self) -> None:
        """Close an outbox that is empty, and forget it."""
        # Nobody may open it in between.
        shutil.rmtree(self.folder, ignore_errors=True)
        self.close()

    def last_change(self) -> int:
        """When something was noted last, in milliseconds; not when somebody looked."""
        ((last,),) = self._do("SELECT max(time) FROM noted")
        return last or max((row.about["started"] for row in self.runs()), default=0)

    def _name(self, name: str) -> None:
        try:
            with (self.folder / _NAMES).open("a") as file:
                file.write(f"{name}\n")
        except OSError as error:
            raise _not_written(self.folder, error) from None

    def _do(self, command: str, *values: Any) -> list[tuple]:
        with self._open() as journal:
            return journal.execute(command, values).fetchall()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock:
                yield self._journal
        except sqlite3.DatabaseError as error:
            raise _not_written(self.folder, error) from None


def _not_written(folder: Path, error: Exception) -> NotKept:
    return NotKept(
        f"{folder}: cannot be written ({error}); expected a place for what MLflow is told; TELMO_CACHE moves it"
    )


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def milliseconds() -> int:
    """Of the clock, as MLflow counts time."""
    return int(1000 * time.time())
