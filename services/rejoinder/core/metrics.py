"""Every metric of every process, in one table; `python -m rejoinder.core.metrics` prints the README's.

Names end with their unit (`_s`, `_bytes`, `_total`). A label takes its values from a closed set that the code knows:
no version, no user, no tenant, no text (F06 wants the parity figures; nobody wants a label per user). `policy`, a line
of versions, is the one name of an installation's own: there are a few, and Flagger has to ask for one of them.
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
    Metric("rpc_limited_total", "counter", "Calls refused for a caller's rate, by what it is known by.", ("by",)),
    Metric("rpc_cancelled_at_drain_total", "counter", "Calls cut off because the grace of a drain had passed."),
    Metric("serving", "gauge", "1 while health says SERVING, else 0."),
    # Ingest.
    Metric("ingest_items_total", "counter", "Items by topic and outcome.", ("topic", "outcome")),
    Metric("ingest_rejected_total", "counter", "Items rejected, by topic and reason.", ("topic", "reason")),
    Metric("ingest_redacted_total", "counter", "Placeholders put into texts, by kind.", ("kind",)),
    Metric("ingest_limited_total", "counter", "Items refused for a quota, by whose it was.", ("limit",)),
    Metric("ingest_request_items", "histogram", "Items of one request.", ("topic",), ITEMS),
    Metric("ingest_commit_s", "histogram", "From handing records to the log to their being durable.", (), LATENCY_S),
    # Signals.
    Metric("evidence_read_total", "counter", "Pieces of joined feedback that the worker has read."),
    Metric("signals_total", "counter", "Signals that the log has taken."),
    Metric(
        "signals_unknown_language_total",
        "counter",
        "Signals of turns in a language that the extractor does not know: none, hardly sure.",
    ),
    Metric(
        "evidence_gone_total",
        "counter",
        "References read that led to no piece: erased, dropped, joined anew, ambiguous (Kafka).",
    ),
    Metric("audit_asked_total", "counter", "Turns of the audit sample given to the second judge."),
    Metric("audit_unread_total", "counter", "Those of them that it gave no reading of."),
    Metric("evidence_dead_lettered_total", "counter", "Pieces that an extractor could not use (Kafka)."),
    # Observe: somebody else's topics.
    Metric("observe_records_total", "counter", "Records read, by what became of them.", ("outcome",)),
    Metric("observe_unmapped_total", "counter", "Records that the field map does not fit, by cause.", ("cause",)),
    Metric("observe_events_total", "counter", "Events handed to ingest, by topic and outcome.", ("topic", "outcome")),
    Metric("observe_refused_total", "counter", "Events that ingest refused, by reason.", ("reason",)),
    Metric("observe_lag_records", "gauge", "Records of the assigned partitions that were not read yet."),
    Metric("observe_lag_bytes", "gauge", "Bytes of the followed files that were not read yet."),
    Metric("observe_waiting_records", "gauge", "Messages that wait for others of their conversation."),
    Metric("observe_hurried_total", "counter", "Messages settled or forgotten early, because too much was kept."),
    Metric("observe_pauses_total", "counter", "Turns that were tried again later, by reason.", ("reason",)),
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
    Metric(
        "shadow_answers_total", "counter", "Answers that were scored and not shown, by what became of them.", ("end",)
    ),
    Metric("interactions_dropped_total", "counter", "Interactions that will not reach the log, by cause.", ("cause",)),
    Metric("spool_bytes", "gauge", "Bytes of interactions that the log does not have yet."),
    Metric("arms_alarms", "gauge", "Arms tables below the highest seen: a writer that was fenced, or a new log."),
    Metric("arms_skew_s", "gauge", "Own wall clock minus the log's at the last lease renewal."),
    Metric("canary_refused", "gauge", "1 for the reason for which this replica serves no canary.", ("reason",)),
    # Gateway.
    Metric("gateway_stable_instead_total", "counter", "Answers from stable because the drawn version was not there."),
    Metric(
        "gateway_upstream_failed_total", "counter", "Requests that the server behind us did not answer.", ("cause",)
    ),
    Metric(
        "gateway_follow_ups_total",
        "counter",
        "Follow-ups found in the histories of requests, by outcome; DROPPED: no room, or left at shutdown.",
        ("outcome",),
    ),
    Metric("gateway_feedback_total", "counter", "Items that pages and callers sent, by outcome.", ("outcome",)),
    # Rollouts.
    Metric("rollout_looks_total", "counter", "Looks at the world, by the row that was decided.", ("row",)),
    Metric("rollout_skipped_total", "counter", "Looks that decided nothing because something was away.", ("reason",)),
    # Operator.
    Metric("reconcile_s", "histogram", "Time one look at an object took, by kind.", ("kind",), LATENCY_S),
    Metric(
        "reconcile_errors_total", "counter", "Looks that ended with an error, by kind and reason.", ("kind", "reason")
    ),
    Metric("operator_queue", "gauge", "Objects that wait to be looked at, now or later."),
    Metric("operator_leads", "gauge", "1 while this process leads, else 0."),
    Metric("operator_writes_total", "counter", "External writes that were answered, by what they are.", ("write",)),
    Metric(
        "rollout_verdict",
        "gauge",
        "1 for the outcome of a policy's live rollout; one that harm ended stays worse until the next begins.",
        ("policy", "outcome"),
    ),
    Metric("rollout_satisfaction", "gauge", "Mean satisfaction of a live rollout's judged units.", ("policy", "arm")),
    Metric("rollout_judged", "gauge", "Judged units of a live rollout.", ("policy", "arm")),
    Metric("rollout_weight", "gauge", "The canary's share of users outside the holdout.", ("policy",)),
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
