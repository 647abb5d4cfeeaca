"""What a rollout has measured, kept in the registry: any leader goes on where the last one was, bit-equal.

A state is `evidence/<policy>/<salt>/<number>.json`, created exclusively: where it stood in the log, the evidence, and
the units that closed since the state before. Two leaders cannot both go on from one state: the second loses the number
and reads anew. States are written when something is decided on them, and else at most every `every_s`: what was read
since is read again after a death.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rejoinder.clients.ledger import Judge
from rejoinder.core.errors import ClaimTaken, Fenced
from rejoinder.registry.store import Store, read_json
from rejoinder.rollout.evidence import Evidence
from rejoinder.rollout.plan import RolloutPlan
from rejoinder.rollout.shadow import Scored
from rejoinder.rollout.state import CANARY, PROMOTED, Replica, Status
from rejoinder.rollout.verdict import Verdict
from rejoinder.rollouts.judging import Ledger, Reading, pages
from rejoinder.rollouts.shadowing import look_at, take_up
from rejoinder.rollouts.trial import Trial, taken_up


@dataclass
class Kept:
    """One rollout's evidence in memory. number: of the last state written or read. counted: all units; fresh: those
    that no state has. dirty: whether there is anything to write."""

    trial: Trial
    number: int
    counted: set[str]
    fresh: set[str] = field(default_factory=set)
    dirty: bool = False
    written_at: float = 0.0


class Evidences:
    """owns: the evidence of the open rollouts. One thread works on one rollout at a time.

    write: `Writes.evidence`. judges: names of extractors. behind_s: one further behind the log is away.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        write: Callable[[str, Mapping[str, Any]], None],
        judges: Sequence[str],
        behind_s: float,
        every_s: float = 60.0,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._write = write
        self._judges = tuple(judges)
        self._behind_s = behind_s
        self._every_s = every_s
        self._kept: dict[tuple[str, str], Kept] = {}

    def look(
        self, policy: str, plan: RolloutPlan, status: Status, replicas: tuple[Replica, ...], now: float
    ) -> Verdict | None:
        """Takes up what was drawn and what has matured; the verdict, None before anybody saw the version. Raises what
        the ledger raises, and Fenced where another leader goes on with this evidence."""
        if status.phase not in (CANARY, PROMOTED):
            return None
        kept = self._of(policy, plan, status)
        trial = Trial({}, plan, status, kept.trial.reading, kept.trial.evidence)
        ours = [replica.drawn for replica in replicas if replica.drawn.salt == status.salt]
        kept.dirty |= any([trial.evidence.assigned.take(drawn) for drawn in ours])
        reading = trial.reading
        for page in pages(self._ledger, policy, plan, status, reading, trial.evidence, kept.counted):
            pinned = (page.reading.judges, page.reading.second) != (reading.judges, reading.second)
            kept.dirty |= bool(page.units) or pinned
            reading = page.reading
            kept.counted |= set(page.units)
            kept.fresh |= set(page.units)
            kept.trial = Trial({}, plan, status, reading, trial.evidence)
        kept.trial = Trial({}, plan, status, reading, trial.evidence)
        if now - kept.written_at >= self._every_s:
            self.keep(policy, status.salt, now)
        return kept.trial.judged(self._behind_s)

    def shadowed(
        self, policy: str, plan: RolloutPlan, status: Status, scored: Sequence[Scored], now: float
    ) -> Evidence:
        """Takes up what replicas scored at a look in the shadow phase. Raises Fenced as `look` does."""
        kept = self._of(policy, plan, status)
        kept.dirty |= look_at(kept.trial.evidence, plan, status, scored, now)
        if now - kept.written_at >= self._every_s:
            self.keep(policy, status.salt, now)
        return kept.trial.evidence

    def stopped(self, policy: str, plan: RolloutPlan, status: Status, scored: Sequence[Scored], now: float) -> None:
        """Keeps what replicas had scored when they were told that it is over, or stands. Raises Fenced as
        `look` does."""
        kept = self._of(policy, plan, status)
        kept.dirty |= take_up(kept.trial.evidence, status, scored)
        self.keep(policy, status.salt, now)

    def _of(self, policy: str, plan: RolloutPlan, status: Status) -> Kept:
        kept = self._kept.get((policy, status.salt)) or self._read(policy, plan, status)
        self._kept[policy, status.salt] = kept
        return kept

    def keep(self, policy: str, salt: str, now: float) -> None:
        """Writes what is not written yet: before anything is done that rests on it. Raises Fenced."""
        kept = self._kept.get((policy, salt))
        if kept is None or not kept.dirty:
            return
        value = {**taken_up(kept.trial), "units": sorted(kept.fresh)}
        try:
            self._write(_path(policy, salt, kept.number + 1), value)
        except ClaimTaken:
            self.forget(policy, salt)
            raise Fenced("another leader goes on with this evidence", policy=policy) from None
        kept.number += 1
        kept.fresh, kept.dirty, kept.written_at = set(), False, now

    def forget(self, policy: str, salt: str) -> None:
        """Of a rollout that is over, or whose state must be read anew."""
        self._kept.pop((policy, salt), None)

    def _read(self, policy: str, plan: RolloutPlan, status: Status) -> Kept:
        names = self._store.names(_folder(policy, status.salt))
        counted: set[str] = set()
        value: dict[str, Any] | None = None
        for name in names:
            value = read_json(self._store, f"{_folder(policy, status.salt)}/{name}")
            counted |= set(value["units"])
        if value is None:
            reading = Reading(status.began_at, tuple(Judge(name) for name in self._judges))
            return Kept(Trial({}, plan, status, reading, Evidence(plan)), 0, counted)
        evidence = Evidence.from_dict(plan, value["evidence"])
        trial = Trial({}, plan, status, Reading.from_dict(value["reading"]), evidence)
        return Kept(trial, int(names[-1].removesuffix(".json")), counted)


def _folder(policy: str, salt: str) -> str:
    return f"evidence/{policy}/{salt}"


def _path(policy: str, salt: str, number: int) -> str:
    return f"{_folder(policy, salt)}/{number:08d}.json"
