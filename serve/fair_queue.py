"""Requests that wait for one computation, and whose texts go first."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from serve.request_facts import RequestFacts

SHARE = 64
"""Words that a request may give to a batch before the next one has its turn."""


class Waiting:
    """A request with texts that are not answered yet.

    Args:
        texts: what is to be computed.
        words: of each text, at least 1.
        wanted: what is asked for each text, in the words of whoever computes.
        answered: gets the answers, or why there are none.
        since: when it came, in seconds of `time.monotonic`.
        facts: of the request of HTTP that it is a part of, if somebody collects them.
    """

    __slots__ = (
        "answered",
        "answers",
        "credit",
        "facts",
        "missing",
        "next",
        "since",
        "texts",
        "wanted",
        "weight",
        "words",
    )

    def __init__(
        self,
        texts: Sequence[Any],
        words: Sequence[int],
        wanted: Any,
        answered: "asyncio.Future[list]",
        since: float,
        facts: RequestFacts | None = None,
    ):
        self.texts, self.words, self.wanted = texts, words, wanted
        self.answered, self.since, self.facts = answered, since, facts
        self.answers: list[Any] = [None] * len(texts)
        self.missing = len(texts)
        self.next = self.credit = 0
        self.weight = min(sum(words), SHARE)

    @property
    def left(self) -> int:
        """Words of the texts that no batch has taken yet."""
        return sum(self.words[self.next :])


Share = tuple[Waiting, int, int]
"""A request and which of its texts a batch has: `texts[first:end]`."""


class FairQueue:
    """Gives batches of so many words, and to each a share of every request that waits, in turn: deficit round-robin
    (Shreedhar & Varghese 1996, "Efficient fair queueing using deficit round-robin"). A request of one sentence does
    not wait until one of a thousand texts is through."""

    def __init__(self) -> None:
        self._requests: OrderedDict[Waiting, None] = OrderedDict()
        self._interrupted: Waiting | None = None

    def __len__(self) -> int:
        return len(self._requests)

    def __contains__(self, request: Waiting) -> bool:
        return request in self._requests

    def add(self, request: Waiting) -> None:
        """Let a request wait behind the others."""
        self._requests[request] = None

    def remove(self, request: Waiting) -> None:
        """Let a request go."""
        del self._requests[request]

    def first(self) -> Waiting:
        """The request whose turn it is."""
        return next(iter(self._requests))

    def holds(self, words: int) -> bool:
        """Whether so many words wait, at least."""
        for request in self._requests:
            words -= request.left
            if words <= 0:
                return True
        return False

    def take(self, most: int) -> list[Share]:
        """The next batch: texts of at most so many words, or one text that has more.

        Returns:
            Of each request one share at most; nothing if none waits.
        """
        taken: dict[Waiting, int] = {}
        room = most
        while self._requests and room > 0:
            request = self.first()
            # Who was interrupted by the end of the batch has had its credit.
            request.credit += 0 if request is self._interrupted else SHARE
            self._interrupted = None
            first = end = request.next
            while end < len(request.words) and request.words[end] <= request.credit:
                if request.words[end] > room and (taken or end > first):
                    break
                request.credit -= request.words[end]
                room -= request.words[end]
                end += 1
            full = end < len(request.words) and room < request.words[end] <= request.credit
            if end > first:
                taken.setdefault(request, first)
                request.next = end
            if end == len(request.words):
                self.remove(request)
            elif full:
                # It is first in the next batch.
                self._interrupted = request
                break
            else:
                self._requests.move_to_end(request)
        return [(request, first, request.next) for request, first in taken.items()]
