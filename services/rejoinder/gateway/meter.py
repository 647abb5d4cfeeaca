"""What the gateway counts beside arms and answers, under the names of core/metrics.py."""

from __future__ import annotations

from rejoinder.runtime.arms.meter import ArmsMeter


class Meter(ArmsMeter):
    def stable_instead(self) -> None:
        self._metrics["gateway_stable_instead_total"].inc()

    def upstream_failed(self, cause: str) -> None:
        self._metrics["gateway_upstream_failed_total"].labels(cause).inc()
