"""What a process counts that draws arms and records answers, under the names of core/metrics.py."""

from __future__ import annotations

from rejoinder.core.metrics import Metrics
from rejoinder.core.types import ArmKind, Served
from rejoinder.rollout.lease import REFUSALS, ArmsView
from rejoinder.runtime.logging import EventLog
from rejoinder.runtime.spool import Spool


class ArmsMeter:
    """owns: nothing; the metrics are the process's."""

    def __init__(self, metrics: Metrics, events: EventLog) -> None:
        self._metrics = metrics
        self._events = events

    def watch(self, view: ArmsView, spool: Spool) -> None:
        """Gauges that are read when somebody asks."""
        self._metrics["spool_bytes"].set_function(lambda: spool.waiting_bytes)
        self._metrics["arms_alarms"].set_function(lambda: view.alarms)
        self._metrics["arms_skew_s"].set_function(lambda: view.skew_s)
        # From 0, or a rate would not see the first.
        for cause in ("no_room", "rejected"):
            self._metrics["interactions_dropped_total"].labels(cause)
        for reason in REFUSALS:
            self._metrics["canary_refused"].labels(reason).set_function(
                lambda reason=reason: float(view.grant().why == reason)
            )

    def assigned(self, served: Served) -> None:
        self._metrics["assignments_total"].labels(served.arm.value).inc()

    def drew(self, arm: ArmKind) -> None:
        self._metrics["assigned_units_total"].labels(arm.value).inc()

    def first_text(self, seconds: float | None) -> None:
        """None: there was none."""
        if seconds is not None:
            self._metrics["time_to_first_token_s"].observe(seconds)

    def no_room(self, count: int) -> None:
        """The spool had no room, or its disk failed."""
        self._metrics["interactions_dropped_total"].labels("no_room").inc(count)

    def rejected(self, count: int) -> None:
        """The feedback service will never take them: sending them again would hold up all behind them."""
        self._metrics["interactions_dropped_total"].labels("rejected").inc(count)
        self._events.error("interactions_rejected", count=count)
