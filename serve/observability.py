"""What a worker tells of itself, as its options and its surroundings ask for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

from fastapi import APIRouter
from starlette.middleware import Middleware

from serve.answers import State
from serve.observer import NoObserver, Observer, Refusal
from serve.options import ServeOptions
from serve.request_facts import RequestFacts


class Observability:
    """Metrics, if the options say so, and traces, if the variables `OTEL_*` do.

    Args:
        options: of the server.

    Raises:
        ConfigError: traces are asked for, but the extra is not installed, or a variable is not understood.
    """

    def __init__(self, options: ServeOptions):
        self.observer: Observer = NoObserver()
        self.routers: list[APIRouter] = []
        self.middlewares: list[Middleware] = []
        self.finished: list[Callable[[RequestFacts], None]] = []
        self._flush: Callable[[], None] | None = None
        observers: list[Observer] = []
        if options.metrics:
            from serve import metrics

            counted = metrics.Metrics()
            observers.append(counted)
            self.routers.append(metrics.router(counted))
            self.finished.append(counted.finished)
        from serve.tracing import Tracing, is_traced, tracer_provider

        if is_traced():
            tracing = Tracing(tracer_provider())
            observers.append(tracing)
            self.middlewares.append(Middleware(tracing.middleware))
            self._flush = tracing.flush
        if observers:
            self.observer = observers[0] if len(observers) == 1 else Observers(observers)

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        """Tell, when an application ends, what has not been told."""
        yield
        if self._flush:
            await asyncio.to_thread(self._flush)


class Observers:
    """Tells each of several observers."""

    def __init__(self, observers: Sequence[Observer]):
        self._all = observers

    def queued(self, model: str, words: int) -> None:
        for one in self._all:
            one.queued(model, words)

    def left(self, model: str, words: int, requests: int) -> None:
        for one in self._all:
            one.left(model, words, requests)

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
        for one in self._all:
            one.batch(model, version, requests, texts, words, seconds, waited)

    def rode(
        self,
        model: str,
        version: str | None,
        words: int,
        seconds: float,
        riders: Sequence[tuple[RequestFacts, bool]],
    ) -> None:
        for one in self._all:
            one.rode(model, version, words, seconds, riders)

    def refused(self, model: str, reason: Refusal) -> None:
        for one in self._all:
            one.refused(model, reason)

    def changed(self, model: str, version: str | None, state: State | Literal["unloaded"]) -> None:
        for one in self._all:
            one.changed(model, version, state)

    def compared(self, model: str, version: str | None, shadow: str, shadow_version: str | None, agreed: bool) -> None:
        for one in self._all:
            one.compared(model, version, shadow, shadow_version, agreed)
