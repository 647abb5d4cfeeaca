"""A world for the engine: a log in memory, a registry in a folder, replicas, a ledger, and people who answer."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rejoinder.clients.ledger import Judge, Judged, JudgedTurn
from rejoinder.clients.policy import Arms, AssignmentCount, Likelihoods, ServedVersion, ShadowCount, Shadowed
from rejoinder.core.arms import ArmsTable, Version
from rejoinder.core.charter import Rule, Told
from rejoinder.core.clock import ManualClock
from rejoinder.core.codec import decode
from rejoinder.core.errors import FailedPrecondition, LogUnavailable, NotFound, Unavailable
from rejoinder.core.shadow import Order
from rejoinder.core.types import ArmKind, Polarity
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.artefacts import Version as Made
from rejoinder.registry.served import ServedPointer, advance, current
from rejoinder.registry.store import FolderStore
from rejoinder.rollout.assignment import Assignment, Caller, assign
from rejoinder.rollout.counter import AssignmentCounter
from rejoinder.rollout.shadow import Count, Marks, harms
from rejoinder.rollouts.engine import Engine, Ports, Rules
from rejoinder.rollouts.memory import Memory
from rejoinder.rollouts.replicas import Replicas
from rejoinder.rollouts.tables import ArmsTopic
from rejoinder.runtime.logging import EventLog
from rejoinder.stream.memory import MemoryLog
from rejoinder.stream.port import NewRecord

GOOD, NEW = Version("r41", "d41"), Version("r42", "d42")
#: Small enough to be decided within a few hundred people.
PLAN: dict[str, Any] = {
    "steps": [{"weight": 0.5, "duration_s": 10.0, "deadline_s": 120.0}],
    "margin": 0.2,
    "base_rate": 0.9,
    "reply_rate": 0.9,
    "reply_margin": 0.3,
    "min_units": 20,
    "maturity_s": 2.0,
    "lease_ttl_s": 30.0,
    "watch_s": 60.0,
    "vetoes": [{"name": "failures", "base_rate": 0.01}, {"name": "length", "base_rate": 0.05}],
}


class Owner:
    """The log's owner as an engine beside it calls it. owns: whether it is away."""

    def __init__(self, log: MemoryLog) -> None:
        self.log, self.away = log, False

    def begin_epoch(self, transactional_id: str) -> int:
        self._here()
        return self.log.begin_epoch(transactional_id)

    def commit_step(
        self, transactional_id: str, epoch: int, records: Sequence[NewRecord], group: str, offsets: Mapping[Any, int]
    ) -> object:
        self._here()
        return self.log.step(transactional_id, epoch, records, None)

    def _here(self) -> None:
        if self.away:
            raise LogUnavailable("the owner is away")


class Replica:
    """A policy replica that loads what it is asked about, in no time but not at once. owns: what it has loaded, its
    counter.

    loads: whether it does. wrong: a digest that it reports instead of the right one. lossy: the share of canary draws
    that its counter misses. shadows: whether it can answer again. orders: what it was told to.
    """

    def __init__(self, artefacts: Artefacts, clock: ManualClock) -> None:
        self._artefacts, self._clock = artefacts, clock
        self.loaded = {GOOD.version: (GOOD.digest, 0.0)}
        self.loads, self.away, self.wrong = True, False, ""
        self.lossy, self.shadows = 0.0, True
        self.orders: list[Order] = []
        self.restart("")

    def restart(self, epoch: str) -> None:
        """Another process, that has drawn nobody yet, and answered nobody again."""
        self.counter = AssignmentCounter(epoch)
        self.epoch, self.turn, self.force, self.until = epoch, 0, Order(), 0.0
        self.pairs, self.counts = 0, dict[str, Count]()

    def answered(self, interaction: str, stable: Marks, candidate: Marks) -> None:
        """An answer of stable has ended, and what was asked is answered again by both if it is drawn."""
        if self._clock.now() < self.until and self.force.draws(interaction):
            self.pairs += 1
            for veto, (ours, theirs) in harms(stable, candidate).items():
                one = Count(veto, 1, ours and not theirs, theirs and not ours, ours and theirs)
                self.counts[veto] = self.counts.get(veto, Count(veto)) + one

    def shadow(self, order: Order, policy: str = "") -> Shadowed:
        if self.away or not self.shadows:
            raise FailedPrecondition("it cannot")
        self.orders.append(order)
        own = order.salt == self.force.salt
        if own or (order.share and self._clock.now() >= self.until):
            if not own:
                self.turn, self.pairs, self.counts = self.turn + 1, 0, {}
            self.force, self.until = order, self._clock.now() + (order.lasts or 0.0) if order.share else 0.0
        counts = tuple(ShadowCount(**vars(count)) for count in self.counts.values())
        return Shadowed(f"{self.epoch}.{self.turn}", self.force.salt, self.pairs, counts)

    def draw(self, table: ArmsTable, user: str, now: float, chance: float) -> Assignment:
        shown = assign(table, Caller("t", user), now=now, lease_ok=True, loaded={GOOD.digest, NEW.digest})
        if shown.arm is not ArmKind.CANARY or chance >= self.lossy:
            self.counter.add(table.salts.assignment, shown)
        return shown

    def arms(self, policy: str = "") -> Arms:
        if self.away:
            raise Unavailable("the replica is away")
        now = self._clock.now()
        versions = tuple(ServedVersion(name, digest, ready=now > at) for name, (digest, at) in self.loaded.items())
        drawn = self.counter.drawn()
        counts = tuple(
            AssignmentCount(arm, weight, count)
            for weight, units, canary in drawn.counts
            for arm, count in ((ArmKind.STABLE, units - canary), (ArmKind.CANARY, canary))
        )
        return Arms(
            policy, versions=versions, epoch=drawn.epoch, salt=drawn.salt, assignments=counts, shadows=self.shadows
        )

    def likelihood(
        self,
        messages: Sequence[Any],
        continuations: Sequence[str],
        policy: str = "",
        version: str = "",
        deadline_s: float | None = None,
    ) -> Likelihoods:
        if self.away or not self.loads:
            raise NotFound("this replica cannot load it")
        digest = self.wrong or self._artefacts.version(policy, version).digest
        self.loaded.setdefault(version, (digest, self._clock.now()))
        return Likelihoods((0.0,), (1,), version, digest)


class People:
    """The ledger's answers about simulated people. owns: the turns.

    present: version of the extractor now; foreign: replies that only another version has read. second: the second
    judge of the audit sample.
    """

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.turns: list[JudgedTurn] = []
        self.present, self.foreign, self.behind_s, self.away = "1", 0, 0.0, False
        self.second: Judge | None = None

    def judged(
        self,
        policy: str,
        after: float,
        maturity_s: float,
        judges: Sequence[Judge],
        unit: str,
        limit: int,
        *,
        second: Judge | None = None,
        refusals: bool = False,
        norms: Sequence[Rule] = (),
    ) -> Judged:
        if self.away:
            raise Unavailable("the ledger is away")
        told = tuple(judge if judge.version else Judge(judge.extractor, self.present) for judge in judges)
        to = max(after, self._clock.now() - maturity_s)
        closing = {turn.user_id for turn in self.turns if after < turn.accepted_at <= to}
        found = [t for t in self.turns if t.user_id in closing and after < t.accepted_at <= to + maturity_s]
        pinned = self.second if second is not None else None
        found = [turn if norms else replace(turn, norms=None) for turn in found]
        return Judged(tuple(found), to, told, self.foreign, self.behind_s, pinned)


@dataclass
class Taste:
    """What people do about one version: pleased share, reply share of the pleased and of the others, failures. lost:
    share of its answers that never reach the log. refuses: share of its answers. breaks: share of its answers that
    break the first norm that is asked about. fooled: share of its displeased replies that the first judge takes for
    pleased ones; the second judge reads every reply rightly."""

    pleased: float = 0.9
    replies: tuple[float, float] = (0.95, 0.95)
    failed: float = 0.0
    chars: int = 100
    lost: float = 0.0
    refuses: float = 0.0
    breaks: float = 0.0
    fooled: float = 0.0


@dataclass
class World:
    """owns: everything but the engines."""

    root: Path
    clock: ManualClock = field(default_factory=ManualClock)
    tastes: dict[str, Taste] = field(default_factory=lambda: {GOOD.version: Taste(), NEW.version: Taste()})
    seed: int = 1

    def __post_init__(self) -> None:
        self.log = MemoryLog(self.clock)
        self.owner = Owner(self.log)
        self.store = FolderStore(self.root / "registry")
        self.artefacts = Artefacts(self.store, self.root / "artefacts")
        for version in (GOOD, NEW):
            self.artefacts.publish(Made("assist", version.version, version.digest))
        advance(self.store, ServedPointer("assist", 1, GOOD.version, GOOD.digest, decided_by="setup"))
        self.replicas = {name: Replica(self.artefacts, self.clock) for name in ("a", "b")}
        for name, replica in self.replicas.items():
            replica.restart(f"{name}-1")
        self.people = People(self.clock)
        self.told: list[tuple[str, str, str]] = []
        self._met = self._given = 0
        self._open: list[Memory] = []

    def ports(self, name: str = "engine", **other: Any) -> Ports:
        memory = Memory(self.root / f"{name}.db")
        self._open.append(memory)
        topic = ArmsTopic(self.log, other.pop("owner", self.owner), "assist")
        replicas = Replicas(self.replicas, "assist", lambda *said: self.told.append(said))
        made = {"artefacts": self.artefacts, "topic": topic, "ledger": self.people}
        return Ports(replicas=replicas, memory=memory, **made | other)

    def engine(self, name: str = "engine", ports: Ports | None = None, **plan: Any) -> Engine:
        rules = Rules("assist", PLAN | plan, ("minilm",), holdout_share=0.1)
        return Engine(rules, ports or self.ports(name), self.clock, silent(), random.Random(7))

    def close(self) -> None:
        for memory in self._open:
            memory.close()

    @property
    def table(self) -> ArmsTable | None:
        """The table that a replica would hold: the highest of the topic."""
        return max(self.tables(), key=lambda table: (table.order, table.written_at), default=None)

    def tables(self) -> list[ArmsTable]:
        ends = self.log.end_offsets("arms")
        return [decode(r.value, ArmsTable) for part in ends for r in self.log.read("arms", part, 0)]

    @property
    def served(self) -> ServedPointer:
        return current(self.store, "assist")

    def meet(self, count: int) -> None:
        """That many new people ask once, now, and answer at once or never."""
        table = self.table
        if table is None:
            return
        for _ in range(count):
            self._met += 1
            draw = random.Random(self.seed * 1_000_003 + self._met)
            user = f"u{self._met}"
            now = self.clock.now()
            replica = self.replicas["ab"[self._met % 2]]
            shown = replica.draw(table, user, now, random.Random(f"{self.seed} {user}").random())
            taste = self.tastes.get(shown.version, Taste())
            pleased = draw.random() < taste.pleased
            replied = draw.random() < taste.replies[0 if pleased else 1]
            if random.Random(f"lost {self.seed} {user}").random() < taste.lost:
                continue
            read = pleased or self._chance("fooled", user, taste.fooled)
            self.people.turns.append(
                JudgedTurn(
                    "t",
                    user,
                    interaction_id=f"i{self._met}",
                    accepted_at=now + draw.random() / 2,
                    arm=ArmKind.BASELINE if "baseline" in shown.reasons else shown.arm,
                    version=shown.version,
                    propensity=shown.propensity,
                    holdout="holdout" in shown.reasons,
                    completed=draw.random() >= taste.failed,
                    response_chars=int(taste.chars * draw.uniform(0.5, 1.5)),
                    followed_at=now + 1.0 if replied else None,
                    polarity=(Polarity.SAT if read else Polarity.DSAT) if replied else Polarity.UNSPECIFIED,
                    sampled=replied and self.people.second is not None,
                    second=(Polarity.SAT if pleased else Polarity.DSAT)
                    if replied and self.people.second is not None
                    else Polarity.UNSPECIFIED,
                    refused=self._chance("refuses", user, taste.refuses),
                    norms=Told((0,), (0,) if self._chance("breaks", user, taste.breaks) else ()),
                )
            )

    def shadowed(self, count: int) -> None:
        """That many answers of stable, half on each replica, and what both versions make of what was asked."""
        for _ in range(count):
            self._given += 1
            name, marks = f"i{self._given}", []
            for version in (GOOD.version, NEW.version):
                taste, draw = self.tastes[version], random.Random(f"shadow {self.seed} {version} {name}")
                failed, tokens = draw.random() < taste.failed, int(taste.chars * draw.uniform(0.5, 1.5) / 4)
                marks.append(Marks(failed, 0 if failed else tokens))
            self.replicas["ab"[self._given % 2]].answered(name, *marks)

    def _chance(self, what: str, user: str, share: float) -> bool:
        return share > 0 and random.Random(f"{what} {self.seed} {user}").random() < share

    def live(
        self, engine: Engine, seconds: int = 300, people: int = 12, until: Callable[[], bool] = lambda: False
    ) -> list[str]:
        """Seconds pass, people come, the engine looks; the rows that it decided, without repeats."""
        rows: list[str] = []
        for _ in range(seconds):
            self.meet(people)
            if any(replica.orders for replica in self.replicas.values()):
                self.shadowed(people)
            self.clock.advance(1.0)
            row = engine.tick()
            if not rows or rows[-1] != row:
                rows.append(row)
            if until() or row in ("idle", "closed"):
                break
        return rows


def silent() -> EventLog:
    return EventLog(logging.Logger("rollouts", logging.CRITICAL))


def phase(engine: Engine) -> str:
    trial = engine.seen().trial
    return "" if trial is None else trial.status.shown
