"""Runs programs under OpenTelemetry's SDK, as its manual has it: `python start.py WAY UPSTREAM USER:CITY:WRITER…`.

`chat.py` for each instrumentation, `by_hand.py` for none; spans go to WAY/USER/v1/traces. The programs are told nothing
of it. In one process, one behind the other: what takes long is to import the client.
"""

from __future__ import annotations

import importlib
import runpy
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

HERE = Path(__file__).parent


def main() -> None:
    _, way, upstream, *wanted = sys.argv
    providers = []
    for user, city, instrumentation in (each.split(":") for each in wanted):
        providers.append(TracerProvider())
        exporter = OTLPSpanExporter(endpoint=f"{way}/{user}/v1/traces")
        providers[-1].add_span_processor(BatchSpanProcessor(exporter))
        if instrumentation:
            instrumentor = importlib.import_module(instrumentation).OpenAIInstrumentor()
            instrumentor.instrument(tracer_provider=providers[-1])
            run("chat.py", upstream, user, city)
            instrumentor.uninstrument()
        else:
            trace.set_tracer_provider(providers[-1])
            run("by_hand.py", user, city)
    # Each waits before it tries again.
    with ThreadPoolExecutor(len(providers)) as threads:
        list(threads.map(TracerProvider.shutdown, providers))


def run(program: str, *arguments: str) -> None:
    sys.argv = [program, *arguments]
    runpy.run_path(str(HERE / program), run_name="__main__")


if __name__ == "__main__":
    main()
