"""Traces: W3C trace context handed on, and OpenTelemetry spans where its API is installed.

A span has the method's name and the status; no attribute holds a user's words.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from random import Random
from typing import Protocol

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Tracer(Protocol):
    def span(self, name: str, parent: str) -> AbstractContextManager[str]:
        """Gives the traceparent of a new span under `parent` ("" begins a trace)."""


class Propagation:
    """Hands the trace on, records nothing. owns: the generator of ids, which need to differ and are no secrets."""

    def __init__(self) -> None:
        self._draw = Random()

    def span(self, name: str, parent: str) -> AbstractContextManager[str]:
        if _TRACEPARENT.fullmatch(parent):
            trace, flags = parent[3:35], parent[53:55]
        else:
            trace, flags = f"{self._draw.getrandbits(128):032x}", "00"
        return nullcontext(f"00-{trace}-{self._draw.getrandbits(64):016x}-{flags}")


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
