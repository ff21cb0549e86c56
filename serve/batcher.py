"""Dynamic batching: requests of many clients are computed together."""

import asyncio
import logging
import math
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from embeddings.errors import InputError
from serve.errors import Failed, NotReady, RequestError, TooLate, TooMany
from serve.fair_queue import FairQueue, Share, Waiting
from serve.observer import Observer
from serve.request_facts import CURRENT
from serve.worker_table import computing

log = logging.getLogger("telmo.serve")

QUIET = 0.02
"""Seconds without a request after which the processor may do what nobody waits for."""

Compute = Callable[[list, list], list]
"""Gives an answer for each text; the second list is what is asked for each."""


class Lane:
    """What waits for one computation of one version of a model. It belongs to a `Batcher`.

    Args:
        model, version: that compute; the version is that of the registry.
        compute: runs in the thread that computes.
        background: whether nobody waits for its answers, so that it has the processor only when that is idle.
    """

    def __init__(self, model: str, version: str | None, compute: Compute, background: bool = False):
        self.model, self.version, self.compute, self.background = model, version, compute, background
        self.queue = FairQueue()
        self.open = True
        self.ahead = self.unanswered = 0
        # Of the last batch: the clients that it answered, with those that waited then; when it ended, in how long.
        self.crowd, self.ended_at, self.seconds = 1, 0.0, 0.0
        self.words_per_second = 0.0
        self._idle = asyncio.Event()
        self._idle.set()

    def began(self) -> None:
        """One more request is to be answered."""
        self.unanswered += 1
        self._idle.clear()

    def ended(self) -> None:
        """A request has its answer, or needs none any more."""
        self.unanswered -= 1
        if not self.unanswered:
            self._idle.set()

    async def drained(self) -> None:
        """Wait until every request is answered."""
        await self._idle.wait()


@dataclass
class Part:
    """What a batch has of a request, and what has come out."""

    share: Share
    answers: list = field(default_factory=list)
    error: BaseException | None = None


@dataclass
class Batch:
    """Texts that are computed together."""

    lane: Lane
    parts: list[Part]
    texts: int
    words: int
    waited: list[float]
    taken: float
    through: int
    seconds: float = 0.0
    dropped: list[Waiting] = field(default_factory=list)


class Batcher:
    """Computes the texts of all requests in batches, in one thread, since a computation uses all processors itself.

    A batch is what has queued while the one before was computed, at most `batch_words` words of it, with a share of
    each request in turn (`FairQueue`). Several models have turns, too. Nothing waits for the processor while that is
    idle, but for this: clients that have just been answered are given a moment to ask again, half as long as they were
    computed for. Else many clients would part into two groups, each computed while the other one asks, in batches of
    half the size. A client that is alone never waits.

    If a batch fails, its requests are tried one by one, so that an error is told to the one that causes it.

    Args:
        batch_words: most words of a batch; a text that has more is one by itself.
        queue_words: most words that wait for a model ahead of a new request, where a request counts at most the `SHARE`
            that it has before others have their turn.
        max_wait: seconds of that moment at most; 0 for none.
        observer: of what happens.
    """

    def __init__(
        self, batch_words: int, queue_words: int, max_wait: float = 0.0, observer: Observer | None = None
    ) -> None:
        self.batch_words, self.queue_words, self.max_wait = batch_words, queue_words, max_wait
        self.observer: Observer = observer or Observer()
        self._changed = threading.Condition()
        # What follows is shared by the event loop and the thread, which take turns by this condition.
        self._lanes: deque[Lane] = deque()
        self._closed = False
        self._busy_until = 0.0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to compute; called on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="telmo-compute", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Compute nothing more; the batch that is being computed is the last."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def add(self, lane: Lane) -> None:
        """Let a lane take part."""
        with self._changed:
            self._lanes.append(lane)

    async def remove(self, lane: Lane) -> None:
        """Take no request for a lane any more, and forget it when those that it has are answered."""
        lane.open = False
        await lane.drained()
        with self._changed:
            self._lanes.remove(lane)

    async def answer(
        self, lane: Lane, texts: Sequence[Any], words: Sequence[int], wanted: Any = None, timeout: float | None = None
    ) -> list:
        """Let texts be computed. To cancel this takes them from the queue.

        Args:
            lane: that computes them.
            texts: at least one.
            words: of each text, at least 1.
            wanted: what is asked for each text.
            timeout: seconds from now after which the answer is of no use.

        Returns:
            An answer for each text.

        Raises:
            TooMany: too much waits already.
            TooLate: the time is over.
            NotReady: the lane is closed.
            InputError: a text cannot be used; the message names its position.
            Failed: an unforeseen error, which has been logged.
        """
        request = self._join(lane, texts, words, wanted)
        timer = None if timeout is None else self._loop.call_later(timeout, self._expire, lane, request, timeout)
        try:
            return await request.answered
        except asyncio.CancelledError:
            self._refuse(lane, request, None)
            self.observer.refused(lane.model, "cancelled")
            raise
        finally:
            if timer:
                timer.cancel()
            lane.ended()

    def _join(self, lane: Lane, texts: Sequence[Any], words: Sequence[int], wanted: Any) -> Waiting:
        if not lane.open or self._closed:
            raise NotReady(f"the model '{lane.model}' is being unloaded", retry_after=1)
        # Of a shadow's work the request that it follows knows nothing.
        facts = None if lane.background else CURRENT.get()
        request = Waiting(texts, words, wanted, self._loop.create_future(), time.monotonic(), facts)
        with self._changed:
            ahead = lane.ahead
            full = ahead and ahead + request.weight > self.queue_words
            if not full:
                lane.ahead += request.weight
                lane.queue.add(request)
                if len(lane.queue) == 1 or self._goes_at(lane) <= request.since:
                    self._changed.notify()
        if full:
            raise self._too_many(lane, ahead)
        lane.began()
        total = sum(words)
        if facts:
            facts.words = (facts.words or 0) + total
        self.observer.queued(lane.model, total)
        return request

    def check_room(self, lane: Lane) -> None:
        """Refuse a request before anything is done for it, if there is no room for any.

        Raises:
            TooMany: too much waits already.
        """
        # A look without the condition: if it has just changed, `answer` finds out.
        if (ahead := lane.ahead) >= self.queue_words:
            raise self._too_many(lane, ahead)

    def _too_many(self, lane: Lane, ahead: int) -> TooMany:
        self.observer.refused(lane.model, "full")
        message = f"{ahead} words wait for the model '{lane.model}' already; expected at most {self.queue_words}"
        return TooMany(message, self._seconds_for(lane, ahead))

    def _seconds_for(self, lane: Lane, words: int) -> int:
        """Whole seconds in which so many words are computed, at the pace of before."""
        with self._changed:
            lanes = sum(1 for other in self._lanes if len(other.queue) and not other.background)
        return max(1, math.ceil(lanes * words / lane.words_per_second)) if lane.words_per_second else 1

    def _expire(self, lane: Lane, request: Waiting, timeout: float) -> None:
        if not request.answered.done():
            self._refuse(lane, request, TooLate(f"no answer within {1000 * timeout:g} ms"))
            self.observer.refused(lane.model, "late")

    def _refuse(self, lane: Lane, request: Waiting, error: BaseException | None) -> None:
        """Take a request from the queue, with what remains of it, and say why."""
        if self._drop(lane, request):
            self.observer.left(lane.model, request.left, 1)
        if error and not request.answered.done():
            request.answered.set_exception(error)

    def _drop(self, lane: Lane, request: Waiting) -> bool:
        """Take a request from the queue, if it is there."""
        with self._changed:
            if request not in lane.queue:
                return False
            lane.queue.remove(request)
            lane.ahead -= request.weight
            return True

    # What follows runs in the thread.

    def _run(self) -> None:
        while self._step():
            pass

    def _step(self) -> bool:
        """Compute a batch; False if there will be no more. What it held is free when it ends."""
        with self._changed:
            while not (batch := self._next_batch()):
                if self._closed:
                    return False
                self._changed.wait(self._patience(time.monotonic()))
        lane = batch.lane
        self._tell(self._taken, batch)
        began = time.monotonic()
        with computing():
            _compute(batch)
        self._busy_until = time.monotonic()
        batch.seconds = self._busy_until - began
        if not lane.background:
            self._busy_until += QUIET
        with self._changed:
            lane.crowd = len(lane.queue) + sum(part.share[0] not in lane.queue for part in batch.parts)
            lane.ended_at, lane.seconds = began + batch.seconds, batch.seconds
        # What fails is not computed any further.
        batch.dropped = [part.share[0] for part in batch.parts if part.error and self._drop(lane, part.share[0])]
        self._tell(self._deliver, batch)
        return True

    def _tell(self, function: Callable, batch: Batch) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, batch)

    def _next_batch(self) -> Batch | None:
        now = time.monotonic()
        lane = next((lane for lane in self._lanes if len(lane.queue) and self._goes_at(lane) <= now), None)
        if lane is None or self._closed:
            return None
        # The others are first now.
        self._lanes.remove(lane)
        self._lanes.append(lane)
        shares = lane.queue.take(1 if lane.background else self.batch_words)
        through = [request for request, _, _ in shares if request not in lane.queue]
        for request in through:
            lane.ahead -= request.weight
        return Batch(
            lane,
            [Part(share) for share in shares],
            sum(end - first for _, first, end in shares),
            sum(sum(request.words[first:end]) for request, first, end in shares),
            [now - request.since for request, first, _ in shares if not first],
            now,
            len(through),
        )

    def _goes_at(self, lane: Lane) -> float:
        """From when on what queues in a lane may be computed."""
        if lane.background:
            wanted = any(len(other.queue) for other in self._lanes if not other.background)
            return math.inf if wanted else self._busy_until
        if len(lane.queue) >= lane.crowd or lane.queue.holds(self.batch_words):
            return 0.0
        return lane.ended_at + min(self.max_wait, lane.seconds / 2)

    def _patience(self, now: float) -> float | None:
        """Seconds after which a lane that must wait now may go, if nothing else happens."""
        times = [self._goes_at(lane) for lane in self._lanes if len(lane.queue)]
        first = min(times, default=math.inf)
        return None if first == math.inf else max(0.0, first - now)

    # What follows runs on the event loop again.

    def _taken(self, batch: Batch) -> None:
        self.observer.left(batch.lane.model, batch.words, batch.through)
        for part in batch.parts:
            request, first, _ = part.share
            if facts := request.facts:
                facts.batch_requests, facts.batch_words = len(batch.parts), batch.words
                if not first:
                    facts.waited = batch.taken - request.since

    def _deliver(self, batch: Batch) -> None:
        lane = batch.lane
        for request in batch.dropped:
            self.observer.left(lane.model, request.left, 1)
        pace = batch.words / max(batch.seconds, 1e-6)
        lane.words_per_second += (pace - lane.words_per_second) * (0.1 if lane.words_per_second else 1.0)
        for part in batch.parts:
            request, first, end = part.share
            if request.answered.done():
                continue
            if part.error:
                self._fail(lane, request, part.error)
                continue
            request.answers[first:end] = part.answers
            request.missing -= end - first
            if not request.missing:
                request.answered.set_result(request.answers)
        self.observer.batch(
            lane.model, lane.version, len(batch.parts), batch.texts, batch.words, batch.seconds, batch.waited
        )
        riders = [(part.share[0].facts, not part.share[1]) for part in batch.parts if part.share[0].facts]
        if riders:
            self.observer.rode(lane.model, lane.version, batch.words, batch.seconds, riders)

    def _fail(self, lane: Lane, request: Waiting, error: BaseException) -> None:
        foreseen = isinstance(error, InputError | RequestError)
        if not foreseen:
            log.error("the model '%s' (version %s) failed", lane.model, lane.version, exc_info=error)
        self.observer.refused(lane.model, "unusable" if foreseen else "failed")
        self._refuse(lane, request, error if foreseen else Failed())


def _compute(batch: Batch) -> None:
    try:
        _compute_parts(batch.lane, batch.parts)
    except BaseException as error:
        if len(batch.parts) == 1:
            batch.parts[0].error = _in_request(error, batch.parts[0].share[1])
            return
        for part in batch.parts:
            try:
                _compute_parts(batch.lane, [part])
            except BaseException as its_own:
                part.error = _in_request(its_own, part.share[1])


def _compute_parts(lane: Lane, parts: list[Part]) -> None:
    texts = [text for part in parts for text in part.share[0].texts[part.share[1] : part.share[2]]]
    wanted = [part.share[0].wanted for part in parts for _ in range(part.share[1], part.share[2])]
    answers = iter(lane.compute(texts, wanted))
    for part in parts:
        _, first, end = part.share
        part.answers = [next(answers) for _ in range(first, end)]


def _in_request(error: BaseException, first: int) -> BaseException:
    """An error that names a text by its position among those of its request, not of the batch."""
    if not isinstance(error, InputError):
        return error
    return InputError(re.sub(r"^texts\[(\d+)]", lambda found: f"texts[{int(found[1]) + first}]", str(error)))
