"""What the gateway counts beside arms and answers, under the names of core/metrics.py."""

from __future__ import annotations

from rejoinder.core.metrics import Metrics
from rejoinder.runtime.arms.meter import ArmsMeter
from rejoinder.runtime.logging import EventLog


class Meter(ArmsMeter):
    """owns: which other model was last said to have answered for which."""

    def __init__(self, metrics: Metrics, events: EventLog) -> None:
        super().__init__(metrics, events)
        self._another: dict[str, str] = {}

    def answered_by_another(self, model: str, told: str) -> None:
        """A version's model was asked, and the answer says that it is another's: said once, not at every answer."""
        if self._another.get(model) != told:
            self._another[model] = told
            self._events.warning("answered_by_another", model=model, told=told)

    def stable_instead(self) -> None:
        self._metrics["gateway_stable_instead_total"].inc()

    def upstream_failed(self, cause: str) -> None:
        self._metrics["gateway_upstream_failed_total"].labels(cause).inc()
