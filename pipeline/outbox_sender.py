"""The thread that sends an outbox to MLflow while the training goes on, and waits while MLflow does not answer."""

import threading
import time
from collections.abc import Callable
from itertools import groupby

from embeddings.errors import OutputError
from pipeline.outbox import FILES, Entry, InUse, Outbox, outboxes
from pipeline.outbox_delivery import Delivery, is_refused
from serve.tracking_server import quiet_mlflow, reason_of

AT_ONCE = 200
PACE = 1.0
"""Seconds between two batches, so that each holds much."""

LONGEST_PAUSE = 30.0
"""Seconds between two attempts at most."""

PATIENCE, LAST_PATIENCE = 10.0, 5.0
"""Seconds that a run waits for an MLflow that does not answer, in the beginning and in the end."""

LONGEST_REQUEST = 30.0
"""Seconds that it waits in the end for one answer, but for files."""


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
        for event in (self._closing, self._hurry, self._wake):
            event.set()
        while self.is_alive() and not self._hangs():
            self.join(0.1)
        if self.is_alive():
            self._tell_of(TimeoutError(f"no answer in {LONGEST_REQUEST:g} seconds"))
            return False
        return not len(self.outbox)

    def _hangs(self) -> bool:
        return not self._with_files and time.monotonic() - self._moved > LONGEST_REQUEST

    def run(self) -> None:
        pause, closed_at = PACE, 0.0
        while True:
            try:
                self.send(self.outbox)
                self.failure, pause = None, PACE
                self._tried.set()
                if self._others:
                    self._others = False
                    self._send_others()
            except Exception as error:
                self.failure = error
                self._tried.set()
                if self.delivery.is_hopeless(error) and not self.outbox.has_begun():
                    return
                self._tell_of(error)
                pause = min(2 * pause, LONGEST_PAUSE)
            if self._closing.is_set():
                closed_at = closed_at or time.monotonic()
                if not self.failure and not len(self.outbox):
                    return
                if self.failure and time.monotonic() - closed_at > LAST_PATIENCE:
                    return
                time.sleep(PACE if self.failure else 0)
                continue
            if self.failure:
                self._hurry.wait(pause)
            else:
                self._wake.wait()
                self._wake.clear()
                self._hurry.wait(PACE)

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
            self._tell_once("refused", f"MLflow refuses what a run tells it ({entries[0].kind}): {reason_of(error)}")
        outbox.sent(entries)
        self._moved = time.monotonic()

    def _send_others(self) -> None:
        for folder in outboxes(self.delivery.address):
            if folder == self.outbox.folder:
                continue
            try:
                other = Outbox(folder)
            except (InUse, OutputError):
                continue
            try:
                send_left(other, self.send)
            except Exception:
                # It was told when it was left.
                other.close()

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


def send_left(outbox: Outbox, send: Callable[[Outbox], None]) -> None:
    """Send an outbox that a process has left, and remove it. A run that could not say how it ended was killed."""
    last = outbox.last_change()
    for row in outbox.runs():
        if row.status is None:
            outbox.end(row.key, "KILLED", last)
    send(outbox)
    outbox.remove()
