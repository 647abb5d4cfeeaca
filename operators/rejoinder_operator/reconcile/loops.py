"""One PreferenceLoop: its claims, rounds and rollouts into values, `decide_loop`, the acts, the status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import ValidationError
from rejoinder.core import charter as charters
from rejoinder.core.clock import Clock
from rejoinder.core.errors import BadSettings, RejoinderError

from rejoinder_operator.api.charter import plain_of
from rejoinder_operator.api.fields import seconds
from rejoinder_operator.api.loops import LoopSpec
from rejoinder_operator.decide.loop import LoopSeen, RolloutSeen, RoundSeen, decide_loop, holder
from rejoinder_operator.decide.trigger import Evidence
from rejoinder_operator.ports.cache import Cache
from rejoinder_operator.ports.cluster import Object
from rejoinder_operator.ports.registry import Registry
from rejoinder_operator.reconcile.acting import Acting
from rejoinder_operator.reconcile.statuses import Statuses, unreadable


class Pending(Protocol):
    """What the ledger says of a policy's evidence. Raises Unavailable."""

    def evidence(self, policy: str, spec: LoopSpec, now: float) -> Evidence: ...


@dataclass(frozen=True)
class LoopRules:
    """image: of our stages, by digest. evidence_s: between two questions to the ledger."""

    image: str
    evidence_s: float = 300.0


class Loops:
    """owns: nothing."""

    def __init__(
        self,
        rules: LoopRules,
        cache: Cache,
        registry: Registry,
        pending: Pending,
        acting: Acting,
        statuses: Statuses,
        clock: Clock,
    ) -> None:
        self._rules = rules
        self._cache = cache
        self._registry = registry
        self._pending = pending
        self._acting = acting
        self._statuses = statuses
        self._clock = clock

    def reconcile(self, namespace: str, name: str) -> float | None:
        """One look; seconds until the next, None for the resync."""
        seen = self._cache.get("PreferenceLoop", namespace, name)
        if seen is None:
            return None
        try:
            spec = LoopSpec.model_validate(seen["spec"])
            if spec.charter is not None:
                charters.of(plain_of(spec.charter))
        except ValidationError as error:
            fields, said = unreadable(f"{error.error_count()} fields cannot be read by this version")
            self._statuses.write(seen, fields, said)
            return None
        except BadSettings as error:
            self._statuses.write(seen, *unreadable(error.message))
            return None
        now, before = self._clock.now(), seen.get("status", {})
        world = self._world(seen, spec, before, now)
        try:
            decision = decide_loop(spec, seen["metadata"], before, world, now)
        except ValueError as error:
            self._statuses.write(seen, *unreadable(str(error)))
            return None
        for action in decision.actions:
            self._acting.do(action, namespace, now)
        self._statuses.write(seen, decision.status, decision.said)
        asks = spec.trigger.min_evidence is not None or spec.trigger.satisfaction_below is not None
        if decision.row == "waiting" and asks:
            return min(self._rules.evidence_s, decision.again_s or self._rules.evidence_s)
        return decision.again_s

    def _world(self, seen: Object, spec: LoopSpec, before: Mapping[str, Any], now: float) -> LoopSeen:
        meta = seen["metadata"]
        namespace, uid = meta["namespace"], meta["uid"]
        claims = self._registry.claims(spec.policy)
        free = not spec.suspend and all(claim.outcome for claim in claims)
        template = None
        if spec.rollout is not None:
            found = self._cache.get("PolicyRollout", namespace, spec.rollout.template_ref.name)
            template = found["spec"] if found is not None and "canary" not in found["spec"] else None
        last = max((claim.at for claim in claims if claim.loop_uid == holder(namespace, uid)), default=0.0)
        asks = spec.trigger.min_evidence is not None or spec.trigger.satisfaction_below is not None
        # Asked only where an answer can begin a round.
        asked = asks and free and now >= last + seconds(spec.trigger.min_interval)
        return LoopSeen(
            claims=claims,
            rounds=tuple(_round(each) for each in self._cache.list("PolicyRound", namespace, uid)),
            rollouts=tuple(_rollout(each) for each in self._cache.list("PolicyRollout", namespace, uid)),
            served=self._registry.served(spec.policy),
            template=template,
            evidence=self._evidence(spec, now) if asked else None,
            asked=asked,
            living=frozenset(holder(namespace, each) for each in self._cache.uids("PreferenceLoop", namespace))
            if any(not claim.outcome for claim in claims)
            else frozenset(),
            image=self._rules.image,
        )

    def _evidence(self, spec: LoopSpec, now: float) -> Evidence | None:
        """None where the ledger does not answer."""
        try:
            return self._pending.evidence(spec.policy, spec, now)
        except RejoinderError:
            return None


def _round(found: Object) -> RoundSeen:
    status, meta = found.get("status", {}), found["metadata"]
    version = status.get("version", {})
    return RoundSeen(
        meta["name"],
        meta["uid"],
        found["spec"]["number"],
        status.get("outcome", ""),
        status.get("phase", ""),
        version.get("version", ""),
        version.get("digest", ""),
    )


def _rollout(found: Object) -> RolloutSeen:
    status, meta = found.get("status", {}), found["metadata"]
    canary = found["spec"].get("canary", {}).get("version", "")
    closed = bool(status.get("engine", {}).get("closed"))
    return RolloutSeen(meta["name"], meta["uid"], canary, closed, status.get("phase", ""))
