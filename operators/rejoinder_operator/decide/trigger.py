"""Whether a round begins: any trigger that holds, and none before the least interval has passed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from rejoinder_operator.api.fields import seconds
from rejoinder_operator.api.loops import Trigger


@dataclass(frozen=True)
class Evidence:
    """What the ledger says. pending: joined pieces that no window took. satisfaction: mean over `users`, None for
    nobody."""

    pending: int
    satisfaction: float | None = None
    users: int = 0


@dataclass(frozen=True)
class Due:
    """why: the trigger that holds, "" for none. at: when time alone may change the answer, None for never. message:
    for people, with the figures."""

    why: str
    at: float | None
    message: str


def due(trigger: Trigger, evidence: Evidence | None, last_at: float | None, made_at: float, now: float) -> Due:
    """last_at: when the last round began, None before the first. made_at: when the loop was made: no earlier moment of
    the schedule is made up for. Raises ValueError for a schedule that is none."""
    floor = 0.0 if last_at is None else last_at + seconds(trigger.min_interval)
    scheduled = _next(trigger.schedule, made_at if last_at is None else last_at) if trigger.schedule else None
    if now < floor:
        at = floor if scheduled is None else max(floor, scheduled)
        return Due(
            "", floor if trigger.min_evidence or trigger.satisfaction_below else at, "minInterval has not passed"
        )
    if scheduled is not None and scheduled <= now:
        return Due("Schedule", None, f"the schedule was due at {_stamp(scheduled)}")
    if evidence is None:
        return Due("", scheduled, "the ledger was not asked, or does not answer")
    if trigger.min_evidence is not None and evidence.pending >= trigger.min_evidence:
        return Due("Evidence", None, f"{evidence.pending} pieces of evidence wait, {trigger.min_evidence} are enough")
    low, found = trigger.satisfaction_below, evidence.satisfaction
    if low is not None and found is not None and evidence.users >= low.min_users and found < float(low.value):
        said = f"satisfaction is {found:.3f} over {evidence.users} users, below {low.value}"
        return Due("Satisfaction", None, said)
    return Due("", scheduled, "no trigger holds")


def _next(schedule: str, after: float) -> float:
    try:
        return next(CronSim(schedule, datetime.fromtimestamp(after, UTC))).timestamp()
    except (CronSimError, StopIteration):
        raise ValueError("schedule is no cron expression of five fields that ever comes") from None


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
