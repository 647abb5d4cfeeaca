"""One PolicyRound: the registry's answers and its Jobs into values, `decide_round`, the acts, the status."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from rejoinder.core.clock import Clock

from rejoinder_operator.api.fields import bare
from rejoinder_operator.api.rounds import RoundSpec
from rejoinder_operator.decide.backends import job_seen, kind_of
from rejoinder_operator.decide.jobs import Pods
from rejoinder_operator.decide.round import Ended, RoundWorld, decide_round
from rejoinder_operator.ports.cache import Cache, owner_of
from rejoinder_operator.ports.cluster import Object
from rejoinder_operator.ports.registry import Registry
from rejoinder_operator.reconcile.acting import Acting
from rejoinder_operator.reconcile.statuses import Statuses, unreadable


class Rounds:
    """owns: nothing. pods: what the installation gives the stages. served: kinds beside Job that may be made."""

    def __init__(
        self,
        pods: Pods,
        cache: Cache,
        registry: Registry,
        acting: Acting,
        statuses: Statuses,
        clock: Clock,
        served: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._pods = pods
        self._cache = cache
        self._registry = registry
        self._acting = acting
        self._statuses = statuses
        self._clock = clock
        self._served = served

    def reconcile(self, namespace: str, name: str) -> float | None:
        """One look; seconds until the next, None for the resync."""
        seen = self._cache.get("PolicyRound", namespace, name)
        if seen is None:
            return None
        try:
            spec = RoundSpec.model_validate(seen["spec"])
        except ValidationError as error:
            fields, said = unreadable(f"{error.error_count()} fields cannot be read by this version")
            self._statuses.write(seen, fields, said)
            return None
        now, before = self._clock.now(), seen.get("status", {})
        # One that is over stands for months, and the registry would be asked four things about it at each look.
        over = bool(before.get("outcome")) or bool(seen["metadata"].get("deletionTimestamp"))
        world = RoundWorld() if over else self._world(seen, spec, before)
        decision = decide_round(spec, seen["metadata"], before, world, now)
        for action in decision.actions:
            self._acting.do(action, namespace, now)
        self._statuses.write(seen, decision.status, decision.said)
        return decision.again_s

    def _world(self, seen: Object, spec: RoundSpec, before: Mapping[str, Any]) -> RoundWorld:
        namespace = seen["metadata"]["namespace"]
        registry, policy, number = self._registry, spec.policy, spec.number
        claim = next((each for each in registry.claims(policy) if each.number == number), None)
        made = [(kind_of(spec.training, stage["name"]), stage["job"]) for stage in before.get("stages", ())]
        found = [self._cache.get(kind, namespace, name) for kind, name in made]
        loop = self._cache.get("PreferenceLoop", namespace, spec.loop.name)
        return RoundWorld(
            claim=claim,
            ended=self._ended(spec),
            train=registry.train(policy, number),
            jobs={each["metadata"]["name"]: job_seen(each, owner_of(each)) for each in found if each is not None},
            mismatched=self._mismatched(spec),
            suspended=bool(loop and loop["spec"].get("suspend")),
            served=self._served(),
            pods=self._pods,
        )

    def _ended(self, spec: RoundSpec) -> Ended | None:
        closed = self._registry.closed(spec.policy, spec.number)
        if closed is None:
            return None
        facts = closed["facts"]
        name = facts.get("version", "") if closed["outcome"] == "published" else ""
        version = self._registry.version(spec.policy, name) if name else None
        digest = version["digest"] if version else ""
        return Ended(closed["outcome"], tuple(facts.get("reasons", ())), name, digest)

    def _mismatched(self, spec: RoundSpec) -> tuple[str, ...]:
        """What the registry says otherwise than the round was made of: looked at before each step."""
        found = []
        if spec.stable is not None:
            stable = self._registry.version(spec.policy, spec.stable.version)
            if stable is not None and stable["digest"] != bare(spec.stable.digest):
                found.append("stable")
        made = self._registry.version(spec.policy, f"{spec.policy}-r{spec.number:04d}")
        if made is not None and made["base_digest"] != bare(spec.base_model.export):
            found.append("base")
        return tuple(found)
