"""The thread that sends an outbox to MLflow while the training goes on, and waits while MLflow does not answer."""

import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import groupby
from typing import Any

from pipeline.outbox import FILES, Entry, InUse, NotKept, Outbox, RunRow, names_of, outboxes
from pipeline.outbox_delivery import Delivery, RunGone, is_refused
from serve.tracking_server import quiet_mlflow, reason_of

AT_ONCE = 200
PACE = 10.0
"""Seconds between two rounds, so that a batch holds much: MLflow notes of each which values are the last."""

PAUSE, LONGEST_PAUSE = 3.0, 30.0
"""Seconds between two attempts, the first and at most."""

PATIENCE, LAST_PATIENCE = 10.0, 5.0
"""Seconds that a run waits for an MLflow that does not answer, in the beginning and in the end."""

LONGEST_REQUEST = 30.0
"""Seconds that it waits in the end for one answer, but for files."""

MOST_UNWRITTEN = 10_000
"""Things told that wait in memory while the outbox cannot be written; of more the oldest are lost."""


class Sender(threading.Thread):
    """Sends one outbox, and then what others have left for the same address.

    Args:
        outbox: open.
        delivery: to where.
        tell: called once with a line, when something cannot be sent now, and with one for what MLflow refuses.
    """

    def __init__(self, outbox: Outbox, delivery: Delivery, tell: Callable[[str], None]):
        super().__init__(name="mlflow-outbox", daemon=True)
        self.outbox, self.delivery, self._tell = outbox, delivery, tell
        self.failure: Exception | None = None
        """Why the last attempt failed."""
        self._told: set[str] = set()
        self._wake, self._tried = threading.Event(), threading.Event()
        self._hurry, self._closing = threading.Event(), threading.Event()
        self._moved = time.monotonic()
        self._with_files = False
        self._others = True
        self._unwritten: deque[Callable[[], Any]] = deque(maxlen=MOST_UNWRITTEN)
        self._writing = threading.Lock()

    def begin(self) -> None:
        """Start, and wait until MLflow has the run, or for a moment.

        Raises:
            Exception: what makes the store one that cannot be used at all.
        """
        # How long that takes is no sign of a dead server.
        quiet_mlflow()
        self.start()
        if not self._tried.wait(PATIENCE if self.delivery.is_remote else None):
            self._tell_of(TimeoutError(f"no answer in {PATIENCE:g} seconds"))
        if self.failure and self.delivery.is_hopeless(self.failure):
            raise self.failure

    def wake(self) -> None:
        """Say that there is something to send."""
        self._wake.set()

    def note(self, write: Callable[[], Any]) -> None:
        """Note something in the outbox, and send it. A full disk ends no training: what cannot be noted now waits, and
        is noted before the next."""
        with self._writing:
            self._unwritten.append(write)
            while self._unwritten:
                first = self._unwritten.popleft()
                try:
                    first()
                except NotKept as error:
                    self._unwritten.appendleft(first)
                    self.not_kept(error)
                    break
        self.wake()

    def not_kept(self, error: NotKept) -> None:
        """Tell, once, that something cannot be noted."""
        self._tell_once("full", f"{error}; the run goes on, and MLflow may lack some of what it tells")

    def sent(self, number: int) -> bool:
        """Wait until an entry is sent, or MLflow does not answer; whether it was sent."""
        self._moved, self.failure = time.monotonic(), None
        while self.is_alive() and not self._hangs() and not self.failure and self.outbox.holds(number):
            self._hurry.set()
            self._wake.set()
            time.sleep(0.05)
        self._hurry.clear()
        return not self.outbox.holds(number)

    def finish(self) -> bool:
        """Send what is left, and end; gives whether MLflow has all of it."""
        self._moved = time.monotonic()
        if self._unwritten:
            self.note(lambda: None)
        for event in (self._closing, self._hurry, self._wake):
            event.set()
        while self.is_alive() and not self._hangs():
            self.join(0.1)
        if self.is_alive():
            self._tell_of(TimeoutError(f"no answer in {LONGEST_REQUEST:g} seconds"))
            return False
        return self._is_empty() and not self._unwritten

    def _is_empty(self) -> bool:
        try:
            return not len(self.outbox)
        except NotKept as error:
            self.not_kept(error)
            return False

    def _hangs(self) -> bool:
        return not self._with_files and time.monotonic() - self._moved > LONGEST_REQUEST

    def run(self) -> None:
        pause, closed_at = 0.0, 0.0
        while True:
            try:
                self._send_own()
                self.failure, pause = None, 0.0
                self._tried.set()
                if self._others:
                    self._others = False
                    self._send_others()
            except Exception as error:
                self.failure = error
                self._tried.set()
                if self.delivery.is_hopeless(error) and not self.outbox.has_begun():
                    return
                if isinstance(error, NotKept):
                    self.not_kept(error)
                else:
                    self._tell_of(error)
                pause = min(2 * pause, LONGEST_PAUSE) or PAUSE
            if self._closing.is_set():
                closed_at = closed_at or time.monotonic()
                if not self.failure and self._is_empty():
                    return
                if self.failure and time.monotonic() - closed_at > LAST_PATIENCE:
                    return
                time.sleep(PAUSE if self.failure else 0)
                continue
            if self.failure:
                self._hurry.wait(pause)
            else:
                self._wake.wait()
                self._wake.clear()
                self._hurry.wait(PACE)

    def _send_own(self) -> None:
        """Send all that the outbox holds now; a run that MLflow has no more begins anew."""
        for _ in self.outbox.runs():
            try:
                self.send(self.outbox)
                return
            except RunGone as gone:
                self.outbox.forget(gone.key)
                self._tell_once("gone", f"{self.delivery.shown}: {gone}; another takes what is told from now on")
        self.send(self.outbox)

    def send(self, outbox: Outbox) -> None:
        """Send all that an outbox holds now."""
        while True:
            entries = outbox.first(AT_ONCE)
            # Looked for after the entries, so that none is of a run that is not there.
            for row in outbox.runs():
                if row.run_id is None:
                    self.delivery.begin(outbox, row)
            if not entries:
                return
            for (_, kind), same in groupby(entries, lambda entry: (entry.key, entry.kind)):
                self._with_files = kind in FILES
                self._send_alike(outbox, list(same))
                self._with_files = False

    def _send_alike(self, outbox: Outbox, entries: list[Entry]) -> None:
        """Send entries of one kind and run together; if MLflow refuses that, one by one, to find which."""
        try:
            self.delivery.send(outbox, entries)
        except Exception as error:
            if not is_refused(error):
                raise
            if len(entries) > 1:
                for entry in entries:
                    self._send_alike(outbox, [entry])
                return
            self.delivery.there(outbox.run(entries[0].key))
            self._tell_once("refused", f"MLflow refuses what a run tells it ({entries[0].kind}): {reason_of(error)}")
        outbox.sent(entries)
        self._moved = time.monotonic()

    def _send_others(self) -> None:
        for folder in outboxes(self.delivery.address):
            if folder == self.outbox.folder:
                continue
            try:
                other = Outbox(folder)
            except (InUse, NotKept):
                continue
            try:
                send_left(other, self)
            except Exception as error:
                other.close()
                if isinstance(error, RunGone):
                    self._tell_once("left", f"{self.delivery.shown}: {error}; {folder} is kept")
                # All else was told when it was left.

    def _tell_of(self, error: Exception) -> None:
        self._tell_once(
            "down",
            f"{self.delivery.shown}: {reason_of(error)}; what this run tells MLflow is kept in {self.outbox.folder} "
            "and sent when that can be done: now, with the next telmo command that tells MLflow something, or by "
            "telmo sync",
        )

    def _tell_once(self, what: str, line: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self._tell(line)


def send_left(outbox: Outbox, sender: Sender) -> None:
    """Send an outbox that a process has left, and remove it. A run that could not say how it ended was killed.

    Raises:
        RunGone: MLflow has a run no more; so this is perhaps not the store in which it began.
    """
    last = outbox.last_change()
    for row in outbox.runs():
        if row.status is None and _was_killed(outbox, row, last, sender.delivery):
            outbox.end(row.key, "KILLED", last)
    sender.send(outbox)
    outbox.remove()


def _was_killed(outbox: Outbox, row: RunRow, last: int, delivery: Delivery) -> bool:
    """Whether a run that does not say how it ended has not gone on since without this outbox."""
    if row.run_id is None:
        return True
    others = (folder for folder in outboxes(delivery.address) if folder != outbox.folder)
    if any(row.run_id in names_of(folder) for folder in others):
        return False
    return delivery.find(row.run_id) is not None and not delivery.ended_since(row.run_id, last)
