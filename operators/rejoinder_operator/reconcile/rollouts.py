"""One PolicyRollout: registry, arms table, replicas and evidence into values, `decide_rollout`, the acts, the status.

What cannot be read raises before anything is decided: nothing is renewed, and replicas fall to stable by themselves.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from rejoinder.core.clock import Clock
from rejoinder.core.errors import BadSettings, Fenced, RejoinderError
from rejoinder.rollout.evidence import Evidence
from rejoinder.rollout.plan import RolloutPlan
from rejoinder.rollout.shadow import ShadowView
from rejoinder.rollout.state import CANARY, PROMOTED, SHADOW, CreateServed, Load, Status, WriteArms
from rejoinder.rollouts.acts import Acts
from rejoinder.rollouts.judging import check_kept
from rejoinder.rollouts.shadowing import order_of, shadow_views, shadows, stop_of, view_of

from rejoinder_operator.api.rollouts import RolloutSpec, Traffic
from rejoinder_operator.conditions import Say
from rejoinder_operator.decide.rollout import (
    Moved,
    RolloutWorld,
    changed,
    decide_rollout,
    goes_first,
    plan_of,
    shadow_status,
    verdict_status,
)
from rejoinder_operator.decide.routes import Peer, followed, means_route, not_swapped, route_of, weights_of
from rejoinder_operator.ports.cache import Cache
from rejoinder_operator.ports.cluster import Object
from rejoinder_operator.ports.evidence import Evidences
from rejoinder_operator.ports.registry import Registry
from rejoinder_operator.ports.writes import Writes
from rejoinder_operator.reconcile.statuses import Statuses, unreadable
from rejoinder_operator.verdicts import Board

#: Seconds until a route that could not be written is tried again.
_ROUTE_S = 5.0


class Rollouts:
    """owns: one lock a policy, since its arms table has one writer. acts: topic and replicas of a policy, to read."""

    def __init__(
        self,
        cache: Cache,
        registry: Registry,
        acts: Callable[[str], Acts],
        evidences: Evidences,
        writes: Writes,
        statuses: Statuses,
        board: Board,
        clock: Clock,
        holdout_share: float,
    ) -> None:
        self._cache = cache
        self._registry = registry
        self._acts = acts
        self._evidences = evidences
        self._writes = writes
        self._statuses = statuses
        self._board = board
        self._clock = clock
        self._holdout_share = holdout_share
        self._policies: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._salts: dict[tuple[str, str], tuple[str, str]] = {}

    def reconcile(self, namespace: str, name: str) -> float | None:
        """One look; seconds until the next, None for the resync."""
        seen = self._cache.get("PolicyRollout", namespace, name)
        if seen is None:
            self._board.drop(namespace, name)
            with suppress(KeyError):
                self._evidences.forget(*self._salts.pop((namespace, name)))
            return None
        try:
            spec = RolloutSpec.model_validate(seen["spec"])
            plan = plan_of(spec)
            check_kept(plan, plan.lease_ttl_s / 6)
        except (ValidationError, BadSettings) as error:
            message = (
                error.message if isinstance(error, BadSettings) else f"{error.error_count()} fields cannot be read"
            )
            self._statuses.write(seen, *unreadable(message))
            return None
        with self._policies[spec.target.policy]:
            return self._look(seen, spec, plan)

    def _look(self, seen: Object, spec: RolloutSpec, plan: RolloutPlan) -> float | None:
        policy, before = spec.target.policy, seen.get("status", {})
        now = round(self._clock.now(), 6)
        engine = Status.from_dict(before["engine"]) if before.get("engine") else None
        idle = spec.canary is None or bool(seen["metadata"].get("deletionTimestamp")) or bool(engine and engine.closed)
        try:
            world = RolloutWorld() if idle else self._world(seen["metadata"], spec, plan, engine, now)
        except RejoinderError as error:
            if engine is not None and engine.phase == CANARY:
                with suppress(RejoinderError):
                    self._statuses.write(seen, {}, (_lapsing(error),))
            raise
        moved = decide_rollout(spec, plan, seen["metadata"], before, world, now)
        if moved.row == "fenced":
            raise Fenced("another engine writes this policy's table", policy=policy)
        if moved.decisive and engine is not None:
            self._evidences.keep(policy, engine.salt, now)
        self._act(policy, plan, moved, engine, now)
        written = self._write(seen, spec, engine, moved, world, now)
        self._stop(policy, plan, engine, moved.engine, now)
        self._show(seen, policy, moved, world)
        return moved.again_s if written else min(_ROUTE_S, moved.again_s or _ROUTE_S)

    def _world(
        self, meta: Mapping[str, Any], spec: RolloutSpec, plan: RolloutPlan, engine: Status | None, now: float
    ) -> RolloutWorld:
        policy = spec.target.policy
        acts = self._acts(policy)
        if not acts.topic.term:
            self._writes.take(policy)
        arms = acts.topic.read()
        if arms is not None and acts.topic.fenced_by(arms):
            raise Fenced("another engine writes this policy's table", policy=policy)
        replicas = acts.replicas.look()
        verdict = None if engine is None else self._evidences.look(policy, plan, engine, replicas, now)
        rival = self._rival(meta, policy, engine)
        unseen = None if engine is None else self._shadow(policy, plan, engine, acts, rival, now)
        canary = spec.canary.version if spec.canary else ""
        published = self._registry.version(policy, canary)
        return RolloutWorld(
            served=self._registry.served(policy),
            arms=arms,
            published=published["digest"] if published else "",
            tried="" if engine is not None else self._registry.tried(policy, canary),
            term=acts.topic.term,
            replicas=replicas,
            verdict=verdict,
            shadow=ShadowView() if unseen is None else view_of(unseen, plan),
            unseen=None if unseen is None else shadow_status(unseen.shadow.total, shadow_views(unseen, plan)),
            rival=rival,
            holdout_share=self._holdout_share,
        )

    def _rival(self, meta: Mapping[str, Any], policy: str, engine: Status | None) -> bool:
        """Whether another rollout of the policy has the replicas for its shadow phase. Not asked after exposure."""
        if engine is not None and engine.phase in (CANARY, PROMOTED):
            return False
        for item in self._cache.list("PolicyRollout"):
            other, found = item["metadata"], item.get("status", {}).get("engine")
            itself = (other["namespace"], other["name"]) == (meta["namespace"], meta["name"])
            if itself or not found or other.get("deletionTimestamp") or item["spec"]["target"]["policy"] != policy:
                continue
            if goes_first(Status.from_dict(found), other["uid"], engine, meta["uid"]):
                return True
        return False

    def _shadow(
        self, policy: str, plan: RolloutPlan, engine: Status, acts: Acts, rival: bool, now: float
    ) -> Evidence | None:
        """Keeps the shadow phase going; what was scored in it so far, None outside it."""
        if engine.phase != SHADOW:
            return None
        scored = acts.replicas.shadow(order_of(plan, engine)) if shadows(engine) and not rival else ()
        return self._evidences.shadowed(policy, plan, engine, scored, now)

    def _act(self, policy: str, plan: RolloutPlan, moved: Moved, before: Status | None, now: float) -> None:
        for action in moved.actions:
            if isinstance(action, WriteArms):
                self._writes.arms(policy, action, now)
            elif isinstance(action, CreateServed):
                self._writes.promote(policy, action, now)
            elif isinstance(action, Load):
                self._writes.load(policy, action, now)
            # Unload asks for nothing here: a replica lets go of what no table names.
        after = moved.engine
        if before is not None and after is not None and after.taken_back and not before.closed:
            self._writes.rolled_back(policy, after, now)

    def _stop(self, policy: str, plan: RolloutPlan, before: Status | None, after: Status | None, now: float) -> None:
        """Where answers are given again no more replicas hear it, and tell what they had scored. After the status: it
        waits for no replica, and one that does not hear lapses."""
        if before is not None and after is not None and shadows(before) and not shadows(after):
            scored = self._acts(policy).replicas.shadow(stop_of(plan, before))
            self._evidences.stopped(policy, plan, before, scored, now)

    def _write(
        self, seen: Object, spec: RolloutSpec, engine: Status | None, moved: Moved, world: RolloutWorld, now: float
    ) -> bool:
        """The route and the status. False where the route must be tried again."""
        before, said, written = seen.get("status", {}), moved.said, True
        fields: dict[str, Any] = dict(moved.shown)
        if moved.engine is not None and changed(before.get("engine"), moved.engine):
            fields |= {"engine": moved.engine.as_dict(), "row": moved.row}
            if world.unseen is not None:
                fields["shadow"] = world.unseen
            if world.verdict is not None:
                fields["verdict"] = verdict_status(world.verdict, now)
        else:
            said = tuple(_settled(say, before) for say in said)
        if spec.traffic is not None and moved.engine is not None and "weights" in moved.shown:
            routed, about, written = self._routed(seen, spec.traffic, engine, moved.engine, moved.shown)
            fields, said = fields | routed, (*said, *about)
        # The table in force after our own write, which is what a person's command must name.
        if world.served is not None:
            arms = self._acts(spec.target.policy).topic.read()
            if arms is not None:
                fields |= {"generation": arms.generation, "term": arms.term}
        self._statuses.write(seen, fields, said)
        return written

    def _routed(
        self, seen: Object, traffic: Traffic, before: Status | None, after: Status, shown: Mapping[str, Any]
    ) -> tuple[dict[str, Any], tuple[Say, ...], bool]:
        """The weights to the route, where it has others and is this rollout's to write. That it could not be written
        holds up nothing: the arms table is the truth. Last: False where it must be tried again."""
        status = seen.get("status", {})
        weights = weights_of(shown, after.phase)
        failed = any(each["type"] == "Routed" and each["status"] == "False" for each in status.get("conditions", ()))
        if status.get("routed") == weights or not means_route(before, after, failed):
            return {}, (), True
        peers = self._peers(seen, traffic)
        if followed(before, after, peers):
            return {}, (), True
        if not_swapped(traffic, after, peers):
            message = f"everybody is on {traffic.canary.name} since the rollout before: swap stable and canary"
            return {}, (Say("Routed", False, "BackendsNotSwapped", message),), True
        try:
            self._writes.route(route_of(traffic, seen["metadata"], weights))
        except Fenced:
            raise
        except RejoinderError as error:
            word = "".join(part.title() for part in error.reason.split("_"))
            return {}, (Say("Routed", False, word, f"{traffic.kind} {traffic.route} has other weights"),), False
        return {"routed": weights}, (Say("Routed", True, "WeightsWritten"),), True

    def _peers(self, seen: Object, traffic: Traffic) -> list[Peer]:
        """The other rollouts that have begun and name this route. Asked for only where it is to be written."""
        found = []
        for item in self._cache.list("PolicyRollout", seen["metadata"]["namespace"]):
            status, theirs = item.get("status", {}), item["spec"].get("traffic")
            if item["metadata"]["name"] == seen["metadata"]["name"] or not theirs or not status.get("engine"):
                continue
            with suppress(ValidationError):
                named = Traffic.model_validate(theirs)
                if (named.kind, named.route) == (traffic.kind, traffic.route):
                    found.append(Peer(Status.from_dict(status["engine"]), named, status.get("routed")))
        return found

    def _show(self, seen: Object, policy: str, moved: Moved, world: RolloutWorld) -> None:
        meta, after = seen["metadata"], moved.engine
        if moved.row == "begin":
            self._board.begin(policy)
        if after is not None:
            self._salts[meta["namespace"], meta["name"]] = (policy, after.salt)
        if after is not None and after.phase in (CANARY, PROMOTED) and world.verdict is not None:
            self._board.put(meta["namespace"], meta["name"], policy, world.verdict, after)
        elif after is not None and after.closed:
            self._board.end(meta["namespace"], meta["name"], policy, after)
            self._evidences.forget(policy, after.salt)


def _settled(say: Say, before: Mapping[str, Any]) -> Say:
    """With the figures of the last decision, where it still says the same: live ones would be written at each look."""
    old = next((each for each in before.get("conditions", ()) if each["type"] == say.type), None)
    return replace(say, message=old["message"]) if old is not None and old["reason"] == say.reason else say


def _lapsing(error: RejoinderError) -> Say:
    """What status says of a canary that cannot be looked at; its weights are what was last written."""
    word = "".join(part.title() for part in error.reason.split("_"))
    return Say("Ready", False, word, "something is away: the canary is not renewed and lapses with its lease")
