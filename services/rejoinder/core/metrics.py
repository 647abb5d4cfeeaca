"""Every metric of every process, in one table; `python -m rejoinder.core.metrics` prints the README's.

Names end with their unit (`_s`, `_bytes`, `_total`). A label takes its values from a closed set that the code knows:
no version, no user, no tenant, no text (F06 wants the parity figures; nobody wants a label per user).
A room adds its rows in its own section and reads them as `metrics["spool_bytes"]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from rejoinder.core.errors import UnknownRow

#: Seconds, from a cache hit to a long generation.
LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
#: Items of one call or one batch.
ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

#: Shares of a whole.
SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Metric:
    """name: without the prefix `rejoinder_`. kind: counter | gauge | histogram. help: one sentence."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


METRICS = (
    # Chassis: every process.
    Metric("rpc_s", "histogram", "Time a call took here, by method and status.", ("method", "status"), LATENCY_S),
    Metric("rpc_in_flight", "gauge", "Calls admitted and not yet answered."),
    Metric("rpc_errors_total", "counter", "Calls that ended with an error, by reason.", ("method", "reason")),
    Metric("rpc_cancelled_at_drain_total", "counter", "Calls cut off because the grace of a drain had passed."),
    Metric("serving", "gauge", "1 while health says SERVING, else 0."),
    # Ingest.
    Metric("ingest_items_total", "counter", "Items by topic and outcome.", ("topic", "outcome")),
    Metric("ingest_rejected_total", "counter", "Items rejected, by topic and reason.", ("topic", "reason")),
    Metric("ingest_request_items", "histogram", "Items of one request.", ("topic",), ITEMS),
    Metric("ingest_commit_s", "histogram", "From handing records to the log to their being durable.", (), LATENCY_S),
    # Signals.
    Metric("evidence_read_total", "counter", "Pieces of joined feedback that the worker has read."),
    Metric("signals_total", "counter", "Signals that the log has taken."),
    # Batches: every process with an encoder.
    Metric("batch_queue_s", "histogram", "Time a row waited for its batch.", (), LATENCY_S),
    Metric("batch_run_s", "histogram", "Time the model took for a batch.", (), LATENCY_S),
    Metric("batch_fill", "histogram", "Padded tokens of a batch as a share of its budget.", (), SHARES),
    Metric("batch_padding", "histogram", "Share of a batch's tokens that were padding.", (), SHARES),
    Metric("batch_given_up_total", "counter", "Rows not computed because their caller left or was out of time."),
    # Policy.
    Metric("tokens_total", "counter", "Tokens of answers, read (prompt) and written (completion).", ("kind",)),
    Metric("time_to_first_token_s", "histogram", "From a call's arrival to its first text.", (), LATENCY_S),
    Metric("generation_queue", "gauge", "Answers and likelihoods that wait for the engine."),
    Metric("assignments_total", "counter", "Answers begun, by arm; independent of the log.", ("arm",)),
    Metric("assigned_units_total", "counter", "Units drawn while a canary was out, each once a rollout.", ("arm",)),
    Metric("interactions_dropped_total", "counter", "Interactions that will not reach the log, by cause.", ("cause",)),
    Metric("spool_bytes", "gauge", "Bytes of interactions that the log does not have yet."),
    Metric("arms_alarms", "gauge", "Arms tables below the highest seen: a writer that was fenced, or a new log."),
    Metric("arms_skew_s", "gauge", "Own wall clock minus the log's at the last lease renewal."),
    Metric("canary_refused", "gauge", "1 for the reason for which this replica serves no canary.", ("reason",)),
    # Rollouts.
    Metric("rollout_looks_total", "counter", "Looks at the world, by the row that was decided.", ("row",)),
    Metric("rollout_skipped_total", "counter", "Looks that decided nothing because something was away.", ("reason",)),
    # Rerank.
    Metric("slates_total", "counter", "Slates shown, by what became of their record.", ("record",)),
)

_KINDS: dict[str, Any] = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}


class Metrics:
    """The metrics of one process. owns: its registry and the values in it."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._metrics: dict[str, Any] = {}
        for row in METRICS:
            extra = {"buckets": row.buckets} if row.kind == "histogram" else {}
            self._metrics[row.name] = _KINDS[row.kind](
                f"rejoinder_{row.name}", row.help, row.labels, registry=self.registry, **extra
            )

    def __getitem__(self, name: str) -> Any:
        """A counter, gauge or histogram by its name without prefix. Raises UnknownRow."""
        try:
            return self._metrics[name]
        except KeyError:
            raise UnknownRow("metric", name, tuple(self._metrics)) from None

    def value(self, name: str, **labels: str) -> float:
        """A counter's or gauge's present value (a histogram's count), 0 when nothing was seen."""
        kind = next(row.kind for row in METRICS if row.name == name)
        sample = f"rejoinder_{name}_count" if kind == "histogram" else f"rejoinder_{name}"
        return self.registry.get_sample_value(sample, labels) or 0.0


def markdown() -> str:
    """The table as the README shows it."""
    rows = ["| metric | kind | labels | what |", "| --- | --- | --- | --- |"]
    rows += [f"| `rejoinder_{m.name}` | {m.kind} | {', '.join(m.labels) or '-'} | {m.help} |" for m in METRICS]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
