"""What a worker tells of itself, as its options and its surroundings ask for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from fastapi import APIRouter
from starlette.middleware import Middleware

from serve.observer import Observer
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
        self.observer = Observer()
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
            self.observer = observers[0] if len(observers) == 1 else cast(Observer, Observers(observers))

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        """Tell, when an application ends, what has not been told."""
        yield
        if self._flush:
            await asyncio.to_thread(self._flush)


class Observers:
    """Tells each of several observers, as one of them."""

    def __init__(self, observers: Sequence[Observer]):
        self._all = observers

    def __getattr__(self, name: str) -> Callable[..., None]:
        methods = [getattr(one, name) for one in self._all]

        def tell(*facts: Any, **named: Any) -> None:
            for method in methods:
                method(*facts, **named)

        # From now on it is found at once.
        setattr(self, name, tell)
        return tell
