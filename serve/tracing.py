"""Traces of OpenTelemetry, an extra: `pip install 'telmo[tracing]'`.

The standard variables configure them (OpenTelemetry's specification, "Environment Variable Specification"): an address
in `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, or `OTEL_TRACES_EXPORTER`, turns them on.
Without these nothing of OpenTelemetry is imported.

A request is a span of the kind `SERVER`, a child of the caller's if that sent `traceparent` (W3C Trace Context). Its
children are `queue`, and `compute` for each batch that it is in. The batch is a span of its own, `batch`, linked to the
requests in it.
"""

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from embeddings.errors import ConfigError
from serve.observer import Observer
from serve.request_facts import CURRENT, RequestFacts

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

FLUSH = 3
"""Seconds for the last spans, when a server stops."""

_ADDRESSES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_EXPORTER = "OTEL_TRACES_EXPORTER"


def is_traced() -> bool:
    """Whether the surroundings ask for traces."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get(_EXPORTER) == "none":
        return False
    return any(os.environ.get(name) for name in (_EXPORTER, *_ADDRESSES))


def tracer_provider() -> "TracerProvider":
    """What makes spans and sends them in the background, as the variables say.

    Raises:
        ConfigError: the extra is not installed, or an exporter or protocol is asked for that Telmo does not have.
    """
    exporter = os.environ.get(_EXPORTER) or "otlp"
    if exporter not in ("otlp", "console"):
        raise ConfigError(f"{_EXPORTER} is '{exporter}'; expected otlp, console or none")
    protocol = next(filter(None, map(os.environ.get, _PROTOCOLS)), "http/protobuf")
    if exporter == "otlp" and protocol != "http/protobuf":
        raise ConfigError(f"the protocol of OpenTelemetry is '{protocol}'; expected http/protobuf")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
    except ImportError:
        expected = f"expected it, as {_EXPORTER} or an endpoint is set: pip install 'telmo[tracing]'"
        raise ConfigError(f"OpenTelemetry is not installed; {expected}") from None
    service = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "telmo"}
    provider = TracerProvider(resource=Resource.create(service))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter() if exporter == "otlp" else ConsoleSpanExporter()))
    return provider


class Tracing(Observer):
    """Makes spans of requests and of batches.

    Args:
        provider: of what makes spans.
    """

    def __init__(self, provider: "TracerProvider"):
        self._provider = provider
        self._tracer = provider.get_tracer("telmo.serve")

    def flush(self) -> None:
        """Send the spans that are left, if they are taken soon."""
        self._provider.force_flush(1000 * FLUSH)

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """ASGI middleware that makes a span of each request; behind `RequestLog`."""
        return _TraceRequests(app, self._tracer)

    def rode(
        self,
        model: str,
        version: str | None,
        words: int,
        seconds: float,
        riders: Sequence[tuple[RequestFacts, bool]],
    ) -> None:
        from opentelemetry.context import Context
        from opentelemetry.trace import Link, set_span_in_context

        traced = [(facts, first) for facts, first in riders if facts.span and facts.span.is_recording()]
        if not traced:
            return
        end = time.time_ns()
        begin = end - int(seconds * 1e9)
        told: dict[str, Any] = {"telmo.model": model, "telmo.version": version or "", "telmo.batch.words": words}
        links = [Link(facts.span.get_span_context()) for facts, _ in traced]
        # A trace of its own: it belongs to no request more than to another.
        batch = self._tracer.start_span("batch", Context(), attributes=told, links=links, start_time=begin)
        batch.set_attribute("telmo.batch.requests", len(riders))
        batch.end(end)
        to_batch = [Link(batch.get_span_context())]
        for facts, first in traced:
            parent = set_span_in_context(facts.span, Context())
            if first and facts.waited is not None:
                since = begin - int(facts.waited * 1e9)
                self._tracer.start_span("queue", parent, start_time=since).end(begin)
            self._tracer.start_span("compute", parent, links=to_batch, start_time=begin).end(end)


class _TraceRequests:
    def __init__(self, app: ASGIApp, tracer: "Tracer"):
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self.app, self.tracer = app, tracer
        self.propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        facts = CURRENT.get()
        if scope["type"] != "http" or facts is None:
            await self.app(scope, receive, send)
            return
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, StatusCode

        told = {"http.request.method": scope["method"], "telmo.request_id": facts.request_id}
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        context = self.propagator.extract(carrier, Context())
        with self.tracer.start_as_current_span("request", context, SpanKind.SERVER, told) as span:
            facts.span, facts.trace = span, f"{span.get_span_context().trace_id:032x}"

            async def send_with_status(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(StatusCode.ERROR)
                await send(message)

            try:
                await self.app(scope, receive, send_with_status)
            finally:
                route = getattr(scope.get("route"), "path", None)
                if route:
                    span.update_name(f"{scope['method']} {route}")
                    span.set_attribute("http.route", route)
                found = {"model": facts.model, "version": facts.version, "texts": facts.texts, "words": facts.words}
                span.set_attributes({f"telmo.{key}": value for key, value in found.items() if value is not None})
