"""Prints the span of a call of ours that fails over what somebody said: `python ours.py WORDS`."""

from __future__ import annotations

import sys
from contextlib import suppress

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from rejoinder.runtime.tracing import tracer

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def main() -> None:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    trace.set_tracer_provider(provider)
    with suppress(ValueError), tracer().span("/rejoinder.v1.FeedbackService/Record", PARENT) as handed_on:
        print(handed_on)
        raise ValueError(f"no such label: {sys.argv[1]}")
    (span,) = kept.get_finished_spans()
    print(span.to_json(indent=None))


if __name__ == "__main__":
    main()
