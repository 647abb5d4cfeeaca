"""One look at the world, one decision, the acts that it means: observe → decide → act, again and again.

`rollout.decide` holds the whole policy; this file only reads what it asks for and does what it says. Acts come first
and the status is remembered last, so a kill in between repeats the row, and every act may be repeated. Whatever cannot
be read (registry, arms, ledger) raises before anything is decided: then nothing is renewed, and replicas fall to stable
by themselves when the lease runs out.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from rejoinder.clients.rollouts import SIGNED, TrailPoint
from rejoinder.core.arms import ArmsTable, Version
from rejoinder.core.clock import Clock
from rejoinder.core.errors import Aborted, FailedPrecondition, Fenced, PolicyFrozen
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.served import current
from rejoinder.rollout.decide import decide
from rejoinder.rollout.plan import RolloutPlan
from rejoinder.rollout.state import SHADOW, Command, Decision, Observed, Pointer, Replica, Status
from rejoinder.rollout.verdict import Verdict
from rejoinder.rollouts import rolled_back
from rejoinder.rollouts.acts import Acts
from rejoinder.rollouts.judging import Ledger, pages
from rejoinder.rollouts.memory import Memory
from rejoinder.rollouts.replicas import Replicas
from rejoinder.rollouts.shadowing import check_shadowed, look_at, order_of, over, shadows, stop_of, take_up, view_of
from rejoinder.rollouts.tables import ArmsTopic
from rejoinder.rollouts.trail import note, point_of, trail_of
from rejoinder.rollouts.trial import Trial, begin, remembered, taken_up
from rejoinder.runtime.logging import EventLog

#: Rows that answer a person's word; any other row means that it could not be followed.
_FOLLOWED = {
    "promote": {"override"},
    "abort": {"abort", "revert"},
    "approve": {"loading", "shadow", "first_step", "promote"},
}
#: Looks after a command until nothing moves any more: promote → served → table.
_SETTLE = 4


@dataclass(frozen=True)
class Ports:
    """All that the engine reads and writes."""

    artefacts: Artefacts
    topic: ArmsTopic
    ledger: Ledger
    replicas: Replicas
    memory: Memory


@dataclass(frozen=True)
class Rules:
    """plan: of a rollout that names none, as a mapping. judges: names of extractors. behind_s: an extractor further
    behind than this is away. holdout_share: of a policy's first table. poll_s: between two looks."""

    policy: str
    plan: Mapping[str, Any]
    judges: tuple[str, ...]
    behind_s: float = 300.0
    holdout_share: float = 0.05
    poll_s: float = 1.0


@dataclass(frozen=True)
class Seen:
    """What a person is shown: all of one moment. fenced: another engine writes the table."""

    policy: str
    arms: ArmsTable
    trial: Trial | None
    verdict: Verdict | None
    frozen: bool
    fenced: bool
    now: float


class Engine:
    """owns: the rollout of one policy, and through its ports the arms table and the next served generation.

    salts: what each rollout's assignment is drawn with. All methods may be called from any thread; one works at a time.
    """

    def __init__(self, rules: Rules, ports: Ports, clock: Clock, events: EventLog, salts: Random) -> None:
        self._rules = rules
        self._ports = ports
        self._acts = Acts(rules.policy, ports.artefacts, ports.topic, ports.replicas)
        self._clock = clock
        self._events = events
        self._salts = salts
        self._working = threading.RLock()
        self._trial = remembered(ports.memory)
        self._frozen: bool = ports.memory.read("frozen") or False
        # Whether the trail's last point could not be kept: it is said once.
        self._trail_lost = False

    def tick(self) -> str:
        """One look, one decision, its acts; the row that applied. Raises Unavailable where something is away, and
        Fenced when another engine has taken over."""
        with self._working:
            return self._turn(())

    def seen(self) -> Seen:
        """The present state, for people. Raises NotFound when the policy was never served."""
        with self._working:
            arms, trial = self._arms(self._served()), self._trial
            judged = trial.judged(self._rules.behind_s) if trial else None
            fenced = self._ports.topic.fenced_by(arms)
            return Seen(self._rules.policy, arms, trial, judged, self._frozen, fenced, self._clock.now())

    def trail(self) -> tuple[TrailPoint, ...]:
        """How the verdict of the present rollout, or the last one, came about."""
        with self._working:
            return trail_of(self._ports.memory)

    def start(self, version: str, plan: Mapping[str, Any] | None = None) -> None:
        """Begins the rollout of a published version; nothing new where it is open already.

        plan: what differs from ours. Raises NotFound, BadSettings, PolicyFrozen, Fenced, FailedPrecondition.
        """
        with self._working:
            made = self._ports.artefacts.version(self._rules.policy, version)
            served = self._served()
            trial = self._trial
            if trial is None or not trial.open or trial.status.canary.version != version:
                self._check_free(version, served)
                asked = {**self._rules.plan, **(plan or {})}
                if RolloutPlan.from_mapping(asked).shadow_s:
                    check_shadowed(self._ports.replicas.look())
                judges, now, poll_s = self._rules.judges, self._now(), self._rules.poll_s
                wanted = Version(version, made.digest)
                self._trial = begin(self._ports.memory, asked, wanted, served, judges, self._salts, now, poll_s)
                charter = self._trial.plan.charter
                held = {} if charter is None else {"charter": charter.digest}
                self._events.info("rollout_started", version=version, digest=made.digest, **held)
            self._turn(())

    def command(self, kind: str, generation: int, by: str) -> None:
        """A person's promote or abort, followed on return. Raises Aborted where another table is in force, and
        FailedPrecondition (PolicyFrozen) where it cannot be followed."""
        with self._working:
            if self._repeated(kind, generation):
                return
            trial = self._trial
            if trial is None or not trial.open:
                raise FailedPrecondition("no rollout is open", policy=self._rules.policy)
            # Once a shadow phase's time is over a signature is what is asked for, whatever it is held by at this look.
            asked = trial.status.held in SIGNED or over(trial.evidence, trial.plan, trial.status)
            said = "approve" if kind == "promote" and asked else kind
            row = self._turn((Command(said, generation, by),), accepted=(kind, generation))
            if not _followed(said, row, trial.status):
                raise self._unfollowed(trial)
            self._settle()

    def freeze(self, generation: int, frozen: bool) -> None:
        """Stops, or lets go on, what learns and rolls out. Raises Aborted where another table is in force."""
        with self._working:
            kind = "freeze" if frozen else "thaw"
            if self._repeated(kind, generation):
                return
            self._ports.memory.write({"frozen": frozen, "accepted": [kind, generation]})
            self._frozen = frozen
            self._turn(())

    def _turn(self, commands: tuple[Command, ...], accepted: tuple[str, int] | None = None) -> str:
        self._ports.topic.take()
        now, served = self._now(), self._served()
        arms = self._arms(served)
        if self._ports.topic.fenced_by(arms):
            raise Fenced("another engine writes this policy's table", policy=self._rules.policy)
        if self._trial is None or not self._trial.open:
            return self._idle(arms, served, now)
        replicas = self._ports.replicas.look()
        self._shadow(self._trial, now)
        trial = self._judge(self._trial, replicas)
        judged = trial.judged(self._rules.behind_s)
        if judged is not None:
            self._noted(point_of(trial, judged, arms.weight, now))
        observed = Observed(
            arms=arms,
            served=served,
            term=self._ports.topic.term,
            replicas=replicas,
            verdict=judged,
            commands=commands,
            frozen=self._frozen,
            shadow=view_of(trial.evidence, trial.plan),
        )
        decision = decide(trial.plan, trial.status, observed, now)
        followed = bool(commands) and _followed(commands[0].kind, decision.row, trial.status)
        self._act(trial, decision, now, accepted if followed else None)
        return decision.row

    def _noted(self, point: TrailPoint) -> None:
        """Nobody is kept at a bad version because a drawing cannot be drawn."""
        try:
            note(self._ports.memory, point)
        except sqlite3.Error as error:
            if not self._trail_lost:
                self._events.error("trail_not_kept", error)
            self._trail_lost = True
        else:
            self._trail_lost = False

    def _act(self, trial: Trial, decision: Decision, now: float, accepted: tuple[str, int] | None) -> None:
        for action in decision.actions:
            self._acts.do(action, now)
        after = decision.status
        if after.taken_back:
            rolled_back.record(self._ports.artefacts.store, self._rules.policy, after, now)
        if after == trial.status and accepted is None:
            return
        values: dict[str, Any] = {"status": after.as_dict(), "reading": trial.reading.as_dict()}
        if accepted is not None:
            values["accepted"] = list(accepted)
        self._ports.memory.write(values)
        self._trial = replace(trial, status=after)
        facts = {"phase": after.shown, "version": after.canary.version, "step": after.step}
        self._events.info("rollout_moved", row=decision.row, held=after.held, reason=after.reason, **facts)
        self._stopped(self._trial, trial.status)

    def _idle(self, arms: ArmsTable, served: Pointer, now: float) -> str:
        """Between rollouts only the freeze is written; stable is the registry's."""
        if arms.frozen != self._frozen:
            table = replace(
                arms,
                term=self._ports.topic.term,
                generation=arms.generation + 1,
                written_at=now,
                stable=served.version,
                frozen=self._frozen,
                reason="frozen" if self._frozen else "thawed",
            )
            self._ports.topic.write(table)
        return "idle"

    def _shadow(self, trial: Trial, now: float) -> None:
        """Keeps the shadow phase going, and remembers what was scored: a process that dies loses what nobody read."""
        plan, status = trial.plan, trial.status
        if status.phase == SHADOW:
            found = self._ports.replicas.shadow(order_of(plan, status)) if shadows(status) else ()
            if look_at(trial.evidence, plan, status, found, now):
                self._ports.memory.write(taken_up(trial))

    def _stopped(self, trial: Trial, before: Status) -> None:
        """Where answers are given again no more replicas hear it, and tell what they had scored. After the status: it
        waits for no replica, and one that does not hear lapses."""
        if shadows(before) and not shadows(trial.status):
            found = self._ports.replicas.shadow(stop_of(trial.plan, before))
            if take_up(trial.evidence, before, found):
                self._ports.memory.write(taken_up(trial))

    def _judge(self, trial: Trial, replicas: tuple[Replica, ...]) -> Trial:
        """Takes up what was drawn and what has matured, and remembers each page with what it closed."""
        if not trial.exposed:
            return trial
        memory = self._ports.memory
        # A replica may still be at the rollout before.
        ours = [replica.drawn for replica in replicas if replica.drawn.salt == trial.status.salt]
        # A list: every one is taken. Remembered at once, or what a dead process had counted would be gone with us.
        if any([trial.evidence.assigned.take(drawn) for drawn in ours]):
            memory.write(taken_up(trial))
        places = (self._rules.policy, trial.plan, trial.status, trial.reading, trial.evidence, memory.counted)
        for page in pages(self._ports.ledger, *places):
            before = (trial.reading.judges, trial.reading.second)
            pinned = (page.reading.judges, page.reading.second) != before
            trial = replace(trial, reading=page.reading)
            if page.units or pinned:
                memory.write(taken_up(trial), page.units)
            self._trial = trial
        return trial

    def _now(self) -> float:
        """In whole microseconds, as the log keeps times: a step's `since` must be found again as it was written, or
        every look would see another table and write it anew."""
        return round(self._clock.now(), 6)

    def _served(self) -> Pointer:
        pointer = current(self._ports.artefacts.store, self._rules.policy)
        return Pointer(pointer.generation, Version(pointer.version, pointer.digest))

    def _arms(self, served: Pointer) -> ArmsTable:
        """The table in force, or the first one, which nobody has written yet."""
        return self._ports.topic.read() or ArmsTable(
            policy=self._rules.policy, stable=served.version, holdout_share=self._rules.holdout_share, reason="registry"
        )

    def _check_free(self, version: str, served: Pointer) -> None:
        policy, trial = self._rules.policy, self._trial
        if trial is not None and trial.open:
            other = trial.status.canary.version
            raise FailedPrecondition(f"{other} is being rolled out ({trial.status.shown})", version=other)
        if served.version.version == version:
            raise FailedPrecondition(f"{version} is stable already", version=version)
        if self._frozen:
            raise PolicyFrozen(f"{policy} is frozen", policy=policy)
        why = rolled_back.reason_of(self._ports.artefacts.store, policy, version)
        if why:
            raise FailedPrecondition(f"{version} was rolled back ({why}); publish another version", version=version)

    def _repeated(self, kind: str, generation: int) -> bool:
        """Whether this very command was followed before. Raises Aborted where it names another table."""
        if self._ports.memory.read("accepted") == [kind, generation]:
            return True
        arms = self._arms(self._served())
        if generation != arms.generation:
            raise Aborted(
                f"the table has moved on to generation {arms.generation}; look again", generation=arms.generation
            )
        return False

    def _unfollowed(self, trial: Trial) -> FailedPrecondition:
        if self._frozen:
            return PolicyFrozen(f"{self._rules.policy} is frozen", policy=self._rules.policy)
        version = trial.status.canary.version
        return FailedPrecondition(f"not every replica serves {version} with its digest yet", version=version)

    def _settle(self) -> None:
        for _ in range(_SETTLE):
            before = self._trial
            self._turn(())
            if self._trial is None or before is None or self._trial.status == before.status:
                return


def _followed(said: str, row: str, before: Status) -> bool:
    """Whether the row answers a person's word. In the shadow phase no signature is kept until replicas have loaded."""
    return row in _FOLLOWED[said] and not (row == "loading" and before.phase == SHADOW)
