"""A rollout's weights as a route of the Gateway API: pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rejoinder.rollout.state import PROMOTED

from rejoinder_operator.api.rollouts import RouteBackend, Traffic

_API = "gateway.networking.k8s.io/v1"
_POOLS = "inference.networking.k8s.io"


def weights_of(shown: Mapping[str, Any], phase: str) -> dict[str, int]:
    """The arms' weights; after a promotion all are on what was the canary."""
    return {"stable": 0, "canary": 100} if phase == PROMOTED else dict(shown["weights"])


def route_of(traffic: Traffic, meta: Mapping[str, Any], weights: Mapping[str, int]) -> dict[str, Any]:
    """meta: the PolicyRollout's metadata."""

    def backend(found: RouteBackend, weight: int) -> dict[str, Any]:
        group = _POOLS if traffic.backends == "InferencePool" else ""
        return {"group": group, "kind": traffic.backends, "name": found.name, "port": found.port, "weight": weight}

    spec: dict[str, Any] = {
        "parentRefs": [{"name": traffic.gateway}],
        "rules": [
            {
                "backendRefs": [
                    backend(traffic.stable, weights["stable"]),
                    backend(traffic.canary, weights["canary"]),
                ]
            }
        ],
    }
    if traffic.hostnames:
        spec["hostnames"] = list(traffic.hostnames)
    # Shared by the rollouts of a policy, one after another: it goes with none of them.
    return {
        "apiVersion": _API,
        "kind": traffic.kind,
        "metadata": {
            "name": traffic.route,
            "namespace": meta["namespace"],
            "labels": {"app.kubernetes.io/managed-by": "rejoinder-operator"},
        },
        "spec": spec,
    }
