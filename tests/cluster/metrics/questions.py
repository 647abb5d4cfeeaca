"""What dashboards and rules ask, as Grafana and Prometheus ask it, and what is wrong with an answer."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from rejoinder.rollout.lease import REFUSALS
from rejoinder.v1 import error_reason_pb2

from tests.cluster.chart.rendered import CHART

Series = list[dict[str, Any]]
#: What an answer may be: nothing, no number (a quantile of nothing), zeros alone, or something that moves.
EMPTY, NAN, ZERO, MOVES = "empty", "nan", "zero", "moves"


@dataclass(frozen=True)
class Query:
    """One of a panel. place: of the panel on its board, as gridPos has it. unit: Grafana's name."""

    board: str
    panel: str
    unit: str
    place: tuple[int, int, int, int]
    expression: str
    legend: str

    @property
    def where(self) -> str:
        return f"{self.panel}: {self.legend}"

    @property
    def labels(self) -> frozenset[str]:
        """That every series must have: those it is summed by, and those its legend names."""
        by = [name for part in re.findall(r"\bby \(([^)]*)\)", self.expression) for name in re.findall(r"\w+", part)]
        # Consumed by the quantile.
        return frozenset(by) - {"le"} | frozenset(re.findall(r"\{\{(\w+)\}\}", self.legend))

    def named(self, labels: Mapping[str, str]) -> str:
        """The legend of a series."""
        return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), self.legend)


def boards() -> dict[str, dict[str, Any]]:
    """Name → the dashboard as it is shipped."""
    return {file.stem: json.loads(file.read_text()) for file in sorted((CHART / "dashboards").glob("*.json"))}


def queries() -> Iterator[Query]:
    """Every query of every panel, as it is shipped."""
    for name, board in boards().items():
        for panel in board["panels"]:
            grid, unit = panel["gridPos"], panel["fieldConfig"]["defaults"]["unit"]
            place = (grid["x"], grid["y"], grid["w"], grid["h"])
            for target in panel["targets"]:
                yield Query(name, panel["title"], unit, place, target["expr"], target["legendFormat"])


def chosen(board: Mapping[str, Any], values: Callable[[str, str], list[str]]) -> dict[str, str]:
    """The value that Grafana chooses at first for each variable of a board that is a query: `label_values(…)`."""
    out = {}
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
            assert asked is not None
            out[variable["name"]] = sorted(values(asked[2], asked[1]))[0]
    return out


def replaced(expression: str, variables: Mapping[str, str], scrape_s: float) -> str:
    """The query that Grafana sends: $__rate_interval is at least four scrapes."""
    known = {**variables, "__rate_interval": f"{4 * scrape_s:g}s"}
    # One that nobody knows stays, and Prometheus refuses the dollar.
    return re.sub(r"\$(\w+)", lambda found: known.get(found[1], found[0]), expression)


def state(series: Series) -> str:
    """What a range of points shows."""
    found = [float(value) for each in series for _, value in each["values"]]
    finite = [value for value in found if math.isfinite(value)]
    if not finite:
        return NAN if found else EMPTY
    return MOVES if any(finite) else ZERO


def faults(query: Query, series: Series, wanted: str = MOVES) -> list[str]:
    """What is wrong with an answer over a time; wanted: how it should look."""
    out = [] if state(series) == wanted else [f"{query.where}: {state(series)}, not {wanted}"]
    for label in sorted(query.labels):
        if any(not each["metric"].get(label) for each in series):
            out.append(f"{query.where}: series without the label {label}")
    return out


def selectors(expression: str) -> list[str]:
    """Of a rule's expression."""
    return re.findall(r"rejoinder_\w+\{[^}]*\}", expression)


def loosened(selector: str) -> str:
    """The same for any value of what a metric's own labels are asked for: where nothing of the kind happened, the label
    must be there all the same."""

    def any_value(found: re.Match[str]) -> str:
        return found[0] if found[1] in ("namespace", "release", "process") else f'{found[1]}!=""'

    return re.sub(r'(\w+)=~?"[^"]*"', any_value, selector)


def unknown_values(selector: str) -> set[str]:
    """Reasons and statuses that a selector names and no error, or refused canary, has."""
    reasons = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name}
    known = {"reason": {*reasons, *REFUSALS}, "status": {code.name for code in grpc.StatusCode}}
    return {
        value
        for label, text in re.findall(r'(reason|status)=~?"([^"]*)"', selector)
        for value in text.split("|")
        if value not in known[label]
    }


_KAFKA = "counted where the log is Kafka"
_TOPICS = "counted where somebody's topics are observed"
#: Queries that are quiet in `traffic.py`: how, and why. One that is not fails the test as well.
QUIET: dict[str, tuple[str, str]] = {
    "Evidence read, signals made: gone": (ZERO, _KAFKA),
    "Evidence read, signals made: dead letters": (ZERO, _KAFKA),
    "Observe: behind and waiting: behind": (ZERO, _TOPICS),
    "Observe: behind and waiting: waiting": (ZERO, _TOPICS),
    "Observe: handed to ingest, refused, hurried, paused: hurried": (ZERO, _TOPICS),
}

#: Queries that move only while the log's owner is away, some with what waits for it.
AWAY: tuple[str, ...] = (
    "Rollout engine: rows decided: skipped: {{reason}}",
    "Looks that failed; external writes: {{kind}} {{reason}}",
    "Observe: handed to ingest, refused, hurried, paused: paused {{reason}}",
    "Bytes that wait for the log: {{pod}}",
    "Calls cut off at drains: {{process}}",
)

#: Queries that move only once a fenced writer has written.
FENCED: tuple[str, ...] = ("Replicas that refuse the canary; clocks; fenced writers: fenced",)

#: Selectors of rules, without namespace and release, that nothing in that traffic fits: why.
UNSEEN: dict[str, str] = {
    'rejoinder_rpc_errors_total{process="feedback",reason="LOG_UNAVAILABLE"}': "said where brokers are away",
    'rejoinder_rpc_s_count{status=~"INTERNAL|UNKNOWN|DATA_LOSS"}': "a defect of ours",
}
