"""A rollout's weights as a route of the Gateway API, and which rollout may write it: pure.

A route is shared by the rollouts of a policy, one after another. Whoever exposes somebody writes it, and ends what it
wrote; one that waits, was refused or was superseded leaves it alone: the route says what another one means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rejoinder.rollout.state import CANARY, PROMOTED, SUPERSEDED, Status

from rejoinder_operator.api.rollouts import RouteBackend, Traffic

_API = "gateway.networking.k8s.io/v1"
_POOLS = "inference.networking.k8s.io"
_EXPOSED = (CANARY, PROMOTED)


@dataclass(frozen=True)
class Peer:
    """Another rollout that names the same route. routed: the weights that it last wrote, None for none."""

    engine: Status
    traffic: Traffic
    routed: Mapping[str, int] | None = None


def means_route(before: Status | None, after: Status, failed: bool) -> bool:
    """Whether a look has a say in the route. failed: the last write of it did."""
    if before is None or after.phase == SUPERSEDED:
        return False
    if before.closed:
        return failed
    return before.phase in _EXPOSED or after.phase in _EXPOSED


def followed(before: Status | None, after: Status, peers: Iterable[Peer]) -> bool:
    """Whether a rollout that began later has the route by now. A phase that begins or ends in this look is newer."""
    if before is not None and before.phase != after.phase:
        return False
    return any(
        peer.routed is not None and peer.engine.began_at > after.began_at and peer.engine.phase != SUPERSEDED
        for peer in peers
    )


def not_swapped(traffic: Traffic, after: Status, peers: Iterable[Peer]) -> bool:
    """Whether the rollout before this one left everybody on the backend that this one means for its canary."""
    earlier = [peer for peer in peers if peer.routed is not None and peer.engine.began_at < after.began_at]
    last = max(earlier, key=lambda peer: peer.engine.began_at, default=None)
    if last is None:
        return False
    return (last.traffic.canary if last.engine.phase == PROMOTED else last.traffic.stable) == traffic.canary


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
