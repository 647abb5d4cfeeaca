"""Traces: W3C trace context handed on, and OpenTelemetry spans where its API is installed.

A span has the method's name and the status; no attribute holds a user's words.
"""

from __future__ import annotations

import importlib.util
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Tracer(Protocol):
    def span(self, name: str, parent: str) -> object:
        """A context manager that yields the traceparent of a new span under `parent` ("" begins a trace)."""


class Propagation:
    """Hands the trace on, records nothing."""

    @contextmanager
    def span(self, name: str, parent: str) -> Iterator[str]:
        trace, flags = (
            (parent[3:35], parent[53:55]) if _TRACEPARENT.fullmatch(parent) else (secrets.token_hex(16), "00")
        )
        yield f"00-{trace}-{secrets.token_hex(8)}-{flags}"


class OpenTelemetry:
    """Spans through the OpenTelemetry API; the exporter is the process's own configuration (OTEL_*)."""

    def __init__(self) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = trace.get_tracer("rejoinder")
        self._kind = trace.SpanKind.SERVER
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def span(self, name: str, parent: str) -> Iterator[str]:
        context = self._propagator.extract({"traceparent": parent})
        # Exceptions are left out: their text may quote a request.
        with self._tracer.start_as_current_span(
            name, context=context, kind=self._kind, record_exception=False, set_status_on_exception=False
        ):
            carrier: dict[str, str] = {}
            self._propagator.inject(carrier)
            yield carrier.get("traceparent", parent)


def tracer() -> Propagation | OpenTelemetry:
    """OpenTelemetry where it is installed, else propagation alone."""
    return OpenTelemetry() if importlib.util.find_spec("opentelemetry") is not None else Propagation()
