"""The Grafana dashboards of the chart, a row a panel: title, unit, and queries with their legends.

Written by `python -m tests.cluster.chart.generate --write`. A metric without a panel fails `test_monitoring.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_RELEASE = 'release="$release"'
#: Every process has every metric, at 0 where it has no such thing: whose lines are told apart is said here.
_POLICY, _OPERATOR, _BATCHES = 'process="policy"', 'process="operator"', 'process=~"reward|rerank"'
_ARMS, _SPOOLS = 'process=~"policy|gateway"', 'process=~"policy|gateway|rerank"'


@dataclass(frozen=True)
class Panel:
    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]


def _of(name: str, labels: str = "") -> str:
    return f"rejoinder_{name}{{{_RELEASE}{',' + labels if labels else ''}}}"


def _rate(name: str, labels: str = "") -> str:
    return f"rate({_of(name, labels)}[$__rate_interval])"


def _by(expression: str, labels: str) -> str:
    return f"sum by ({labels}) ({expression})" if labels else f"sum({expression})"


def _quantile(share: float, name: str, by: str = "", labels: str = "") -> str:
    return f"histogram_quantile({share}, {_by(_rate(name + '_bucket', labels), ', '.join(filter(None, ('le', by))))})"


def _rates(*rows: tuple[str, str, str]) -> tuple[tuple[str, str], ...]:
    """(metric, by, legend) of counters as queries."""
    return tuple((_by(_rate(name), by), legend) for name, by, legend in rows)


BOARDS: dict[str, tuple[str, tuple[Panel, ...]]] = {
    "traffic": (
        "Rejoinder: traffic and drain",
        (
            Panel("Replicas that serve", "short", ((_by(_of("serving"), "process"), "{{process}}"),)),
            Panel("Calls a second", "reqps", _rates(("rpc_s_count", "process, method", "{{process}} {{method}}"))),
            Panel(
                "Time of 99 of 100 calls",
                "s",
                ((_quantile(0.99, "rpc_s", "process, method"), "{{process}} {{method}}"),),
            ),
            Panel(
                "Errors, by reason", "reqps", _rates(("rpc_errors_total", "process, reason", "{{process}} {{reason}}"))
            ),
            Panel(
                "Calls refused for a rate",
                "reqps",
                _rates(("rpc_limited_total", "process, by", "{{process}} by {{by}}")),
            ),
            Panel("Calls at work", "short", ((_by(_of("rpc_in_flight"), "process"), "{{process}}"),)),
            Panel(
                "Calls cut off at drains",
                "short",
                (
                    (
                        _by(f"increase({_of('rpc_cancelled_at_drain_total')}[$__rate_interval])", "process"),
                        "{{process}}",
                    ),
                ),
            ),
        ),
    ),
    "serving": (
        "Rejoinder: answers and models",
        (
            Panel("First text, 99 of 100 sooner", "s", ((_quantile(0.99, "time_to_first_token_s"), "first text"),)),
            Panel("Tokens a second", "short", _rates(("tokens_total", "kind", "{{kind}}"))),
            Panel(
                "Answers that wait for the engine",
                "short",
                ((_by(_of("generation_queue", _POLICY), "pod"), "{{pod}}"),),
            ),
            Panel("Answers begun, by arm", "reqps", _rates(("assignments_total", "arm", "{{arm}}"))),
            Panel("Bytes that wait for the log", "bytes", ((_by(_of("spool_bytes", _SPOOLS), "pod"), "{{pod}}"),)),
            Panel(
                "Answers that the log will not have",
                "short",
                (
                    (_by(_rate("interactions_dropped_total"), "cause"), "{{cause}}"),
                    (_by(_rate("slates_total", 'record!="kept"'), "record"), "slates {{record}}"),
                ),
            ),
            Panel(
                "Batches: wait and run, 99 of 100",
                "s",
                (
                    (_quantile(0.99, "batch_queue_s", "process", _BATCHES), "{{process}} wait"),
                    (_quantile(0.99, "batch_run_s", "process", _BATCHES), "{{process}} run"),
                ),
            ),
            Panel(
                "Batches: median fill and padding",
                "percentunit",
                (
                    (_quantile(0.5, "batch_fill", "process", _BATCHES), "{{process}} fill"),
                    (_quantile(0.5, "batch_padding", "process", _BATCHES), "{{process}} padding"),
                ),
            ),
            Panel(
                "Rows given up", "short", ((_by(_rate("batch_given_up_total", _BATCHES), "process"), "{{process}}"),)
            ),
        ),
    ),
    "loop": (
        "Rejoinder: from feedback to rollout",
        (
            Panel(
                "Events, by outcome", "reqps", _rates(("ingest_items_total", "topic, outcome", "{{topic}} {{outcome}}"))
            ),
            Panel(
                "Until an event is durable, 99 of 100 sooner", "s", ((_quantile(0.99, "ingest_commit_s"), "commit"),)
            ),
            Panel(
                "Rejected, by reason",
                "reqps",
                _rates(("ingest_rejected_total", "topic, reason", "{{topic}} {{reason}}")),
            ),
            Panel(
                "Over a quota, placeholders",
                "reqps",
                _rates(
                    ("ingest_limited_total", "limit", "limited {{limit}}"),
                    ("ingest_redacted_total", "kind", "redacted {{kind}}"),
                ),
            ),
            Panel(
                "Items of a request, median", "short", ((_quantile(0.5, "ingest_request_items", "topic"), "{{topic}}"),)
            ),
            Panel(
                "Evidence read, signals made",
                "reqps",
                _rates(
                    ("evidence_read_total", "", "read"),
                    ("signals_total", "", "signals"),
                    ("signals_unknown_language_total", "", "in an unknown language"),
                    ("audit_asked_total", "", "given to the second judge"),
                    ("audit_unread_total", "", "not read by it"),
                    ("evidence_gone_total", "", "gone"),
                    ("evidence_dead_lettered_total", "", "dead letters"),
                ),
            ),
            Panel(
                "Observe: records",
                "reqps",
                _rates(
                    ("observe_records_total", "outcome", "{{outcome}}"),
                    ("observe_unmapped_total", "cause", "unmapped {{cause}}"),
                ),
            ),
            Panel(
                "Observe: behind and waiting",
                "short",
                (
                    (_by(_of("observe_lag_records"), ""), "behind"),
                    (_by(_of("observe_lag_bytes"), ""), "bytes behind"),
                    (_by(_of("observe_waiting_records"), ""), "waiting"),
                ),
            ),
            Panel(
                "Observe: handed to ingest, refused, hurried, paused",
                "reqps",
                _rates(
                    ("observe_events_total", "topic, outcome", "{{topic}} {{outcome}}"),
                    ("observe_refused_total", "reason", "refused {{reason}}"),
                    ("observe_hurried_total", "", "hurried"),
                    ("observe_pauses_total", "reason", "paused {{reason}}"),
                ),
            ),
            Panel(
                "Rollout engine: rows decided",
                "short",
                _rates(
                    ("rollout_looks_total", "row", "{{row}}"),
                    ("rollout_skipped_total", "reason", "skipped: {{reason}}"),
                ),
            ),
            Panel("Units drawn, by arm", "short", _rates(("assigned_units_total", "arm", "{{arm}}"))),
            Panel("Scored and not shown, by end", "reqps", _rates(("shadow_answers_total", "end", "{{end}}"))),
            Panel(
                "Replicas that refuse the canary; clocks; fenced writers",
                "short",
                (
                    (_by(_of("canary_refused"), "reason"), "{{reason}}"),
                    (f"max by (pod) (abs({_of('arms_skew_s', _ARMS)}))", "skew {{pod}} (s)"),
                    (f"max({_of('arms_alarms')})", "fenced"),
                ),
            ),
            Panel(
                "Gateway: stable instead, upstream away, feedback",
                "reqps",
                _rates(
                    ("gateway_stable_instead_total", "", "stable instead"),
                    ("gateway_upstream_failed_total", "cause", "upstream: {{cause}}"),
                    ("gateway_feedback_total", "outcome", "feedback: {{outcome}}"),
                    ("gateway_follow_ups_total", "outcome", "follow-ups: {{outcome}}"),
                ),
            ),
        ),
    ),
    "operator": (
        "Rejoinder: operator and verdicts",
        (
            Panel("Outcome of live rollouts", "short", ((_of("rollout_verdict"), "{{policy}} {{outcome}}"),)),
            # Nobody judged yet is no satisfaction of 0.
            Panel(
                "Satisfaction, by arm",
                "percentunit",
                ((f"{_of('rollout_satisfaction')} and {_of('rollout_judged')} > 0", "{{policy}} {{arm}}"),),
            ),
            Panel("Judged, by arm", "short", ((_of("rollout_judged"), "{{policy}} {{arm}}"),)),
            Panel("The canary's share", "percentunit", ((_of("rollout_weight"), "{{policy}}"),)),
            Panel("Who leads", "short", ((_of("operator_leads", _OPERATOR), "{{pod}}"),)),
            Panel("Objects that wait", "short", ((_by(_of("operator_queue", _OPERATOR), "pod"), "{{pod}}"),)),
            Panel("A look, 99 of 100 shorter", "s", ((_quantile(0.99, "reconcile_s", "kind"), "{{kind}}"),)),
            Panel(
                "Looks that failed; external writes",
                "short",
                _rates(
                    ("reconcile_errors_total", "kind, reason", "{{kind}} {{reason}}"),
                    ("operator_writes_total", "write", "{{write}}"),
                ),
            ),
        ),
    ),
}


def files() -> dict[str, str]:
    """File name → the dashboard's JSON."""
    return {
        f"{name}.json": json.dumps(_board(name, title, panels), indent=1) + "\n"
        for name, (title, panels) in BOARDS.items()
    }


def _board(name: str, title: str, panels: tuple[Panel, ...]) -> dict[str, Any]:
    releases = "label_values(rejoinder_serving, release)"
    variables = [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
        {
            "name": "release",
            "type": "query",
            "label": "Release",
            "datasource": _SOURCE,
            "query": {"query": releases, "refId": "releases"},
            "definition": releases,
            "refresh": 2,
        },
    ]
    return {
        "uid": f"rejoinder-{name}",
        "title": title,
        "tags": ["rejoinder"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": variables},
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": _SOURCE,
        "gridPos": {"h": 8, "w": 8, "x": 8 * (number % 3), "y": 8 * (number // 3)},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(65 + place), "expr": expression, "legendFormat": legend, "datasource": _SOURCE}
            for place, (expression, legend) in enumerate(panel.queries)
        ],
    }
