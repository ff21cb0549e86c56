"""Prometheus metrics of the endpoint, and `/metrics`.

A label holds only what the server itself names: the template of a route, the name of a model that is served. So no
caller can make new series.

Several workers of one server write into the folder that `PROMETHEUS_MULTIPROC_DIR` names, and whichever is asked
answers with the sum of all; see `serve.shared_metrics`.
"""

import os
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import InfoMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from serve.observer import Observer
from serve.request_facts import RequestFacts

if TYPE_CHECKING:
    # They come with TensorFlow, and a process that counts need not compute.
    from serve.answers import State
    from serve.observer import Refusal

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Buckets of times, in seconds."""

COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
WORDS = (8, 32, 128, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)


# When a series began is of no use here, and would be half of the page.
disable_created_metrics()


class Metrics(Observer):
    """Counts requests, as `RequestLog` tells them, and batches and models, as an `Observer`."""

    def __init__(self) -> None:
        folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        self.registry = CollectorRegistry()
        # Of several workers, the collector that adds them up is the only one that is asked.
        own = None if folder else self.registry
        if folder:
            MultiProcessCollector(self.registry, folder)
        else:
            ProcessCollector(registry=self.registry)
        self._states: dict[tuple[str, str | None], str] = {}
        self.registry.register(_Served(self._states))

        def counter(name: str, text: str, *labels: str) -> Any:
            return cache(Counter(f"telmo_{name}", text, labels, registry=own).labels)

        def gauge(name: str, text: str, *labels: str) -> Any:
            return cache(Gauge(f"telmo_{name}", text, labels, registry=own, multiprocess_mode="livesum").labels)

        def histogram(name: str, text: str, buckets: Sequence[float], *labels: str) -> Any:
            return cache(Histogram(f"telmo_{name}", text, labels, buckets=buckets, registry=own).labels)

        self._requests = counter("requests", "Requests that were answered.", "route", "model", "status")
        self._seconds = histogram("request_seconds", "Time from request to answer.", SECONDS, "route", "model")
        self._refused = counter("refused", "Requests to a model without an answer, by reason.", "model", "reason")
        self._queue_requests = gauge("queue_requests", "Requests in the queue.", "model")
        self._queue_words = gauge("queue_words", "Words in the queue.", "model")
        self._waited = histogram("queue_seconds", "Time of a request in the queue.", SECONDS, "model")
        self._batch_seconds = histogram("batch_seconds", "Time that a batch is computed.", SECONDS, "model")
        self._batch_requests = histogram("batch_requests", "Requests of a batch.", COUNTS, "model")
        self._batch_texts = histogram("batch_texts", "Texts of a batch.", COUNTS, "model")
        self._batch_words = histogram("batch_words", "Words of a batch.", WORDS, "model")
        self._texts = counter("texts", "Texts that were computed.", "model")
        self._words = counter("words", "Words that were computed.", "model")
        self._loads = counter("model_loads", "Versions that were loaded, or could not be.", "model", "outcome")
        self._switches = counter("model_switches", "Times that another version began to answer.", "model")
        self._compared = counter("shadow_texts", "Texts that a shadow answered, too.", "model", "shadow")
        self._differed = counter("shadow_disagreements", "Those it answered otherwise.", "model", "shadow")

    def finished(self, facts: RequestFacts) -> None:
        """Count a request. A model that the server does not have is `unknown`, and so is a path."""
        model = facts.model or "unknown"
        self._requests(facts.route, model, str(facts.status)).inc()
        self._seconds(facts.route, model).observe(facts.seconds)

    def queued(self, model: str, words: int) -> None:
        self._queue_requests(model).inc()
        self._queue_words(model).inc(words)

    def left(self, model: str, words: int, requests: int) -> None:
        self._queue_requests(model).dec(requests)
        self._queue_words(model).dec(words)

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
        self._batch_seconds(model).observe(seconds)
        self._batch_requests(model).observe(requests)
        self._batch_texts(model).observe(texts)
        self._batch_words(model).observe(words)
        self._texts(model).inc(texts)
        self._words(model).inc(words)
        observe = self._waited(model).observe
        for one in waited:
            observe(one)

    def refused(self, model: str, reason: "Refusal") -> None:
        self._refused(model, reason).inc()

    def changed(self, model: str, version: str | None, state: "State | Literal['unloaded']") -> None:
        if state in ("ready", "failed"):
            self._loads(model, state).inc()
        others = {found for (name, other), found in self._states.items() if name == model and other != version}
        if state == "draining" and "ready" in others:
            self._switches(model).inc()
        if state == "unloaded":
            self._states.pop((model, version), None)
        else:
            self._states[model, version] = state

    def compared(self, model: str, version: str | None, shadow: str, shadow_version: str | None, agreed: bool) -> None:
        self._compared(model, shadow).inc()
        self._differed(model, shadow).inc(not agreed)


class _Served(Collector):
    """The versions that are there now, and the version of Telmo."""

    def __init__(self, states: dict[tuple[str, str | None], str]):
        self.states = states

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("telmo_build", "The software.", value={"version": version_of("telmo")})
        models = InfoMetricFamily("telmo_model", "A version of a model.", labels=("model", "version", "state"))
        for (model, version), state in list(self.states.items()):
            models.add_metric((model, version or "", state), {})
        yield models


def router(metrics: Metrics) -> APIRouter:
    """The route that Prometheus reads."""
    routes = APIRouter(tags=["health"])

    # Not async: to write all metrics down takes milliseconds.
    @routes.get("/metrics", response_class=Response, summary="Metrics in the format of Prometheus or OpenMetrics.")
    def get_metrics(request: Request) -> Response:
        try:
            encode, kind = choose_encoder(request.headers.get("accept", ""))
        # What a caller writes as a version is compared unread.
        except (TypeError, ValueError):
            encode, kind = choose_encoder("")
        return Response(encode(metrics.registry), headers={"Content-Type": kind})

    return routes
