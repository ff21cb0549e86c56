"""What happens between a request and its answer, told to whoever counts it."""

from collections.abc import Sequence
from typing import Literal

from serve.answers import State
from serve.request_facts import RequestFacts

Refusal = Literal["full", "late", "cancelled", "unusable", "failed"]
"""Why a request got no answer: the queue was full; its deadline passed; its client went away; no answer can be given
for it; or an unforeseen error."""


class Observer:
    """Hears of what the batcher and the served models do. This one keeps nothing of it.

    Every method is called on the event loop, between two requests: it must return at once and raise nothing. A version
    is that of the registry, None for a folder.
    """

    def queued(self, model: str, words: int) -> None:
        """A request of so many words has joined the queue."""

    def left(self, model: str, words: int, requests: int) -> None:
        """So many words have left the queue: to be computed, or since no one waits for them any more; and with them the
        last ones of so many requests. All that were `queued` leave."""

    def batch(
        self,
        model: str,
        version: str | None,
        requests: int,
        texts: int,
        words: int,
        seconds: float,
        waited: Sequence[float],
    ) -> None:
        """A batch has been computed.

        Args:
            requests: that have a text in it.
            seconds: that the computation took.
            waited: seconds in the queue, of each request whose first text is in this batch.
        """

    def rode(
        self,
        model: str,
        version: str | None,
        words: int,
        seconds: float,
        riders: Sequence[tuple[RequestFacts, bool]],
    ) -> None:
        """Whose texts were in the batch that has just been computed.

        Args:
            words, seconds: of the batch.
            riders: requests, and whether this is the first batch that they are in; not those of a shadow.
        """

    def refused(self, model: str, reason: Refusal) -> None:
        """A request gets no answer."""

    def changed(self, model: str, version: str | None, state: State | Literal["unloaded"]) -> None:
        """A version of a model is in a new state."""

    def compared(self, model: str, version: str | None, shadow: str, shadow_version: str | None, agreed: bool) -> None:
        """A shadow has answered for a text, too, as the version that answers or otherwise.

        Args:
            shadow: name of the model that shadows; it may be the same name in another version.
        """
