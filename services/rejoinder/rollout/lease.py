"""The replica's side of the arms table: which table is in force, and whether a canary may be served now.

A canary is served only while all hold: a renewal came after this replica's start *and* after it had caught up with the
topic (never from history); less than `ttl_s` passed since on the monotonic clock; the wall clock is before
`expires_at` + 5 s; the wall clock and the broker's stamp differed by at most 5 s at receipt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from rejoinder.core.arms import ArmsTable
from rejoinder.core.clock import Clock

SKEW_S = 5.0

#: Every reason for which a lease refuses a canary.
REFUSALS = ("no_canary", "catching_up", "no_renewal", "clock_skew", "lapsed", "expired")


class Receipt(StrEnum):
    """What became of a record of the topic."""

    TAKEN = "taken"
    RENEWED = "renewed"
    REPEATED = "repeated"
    #: Lower than the highest seen, or of another policy: dropped, and an alarm.
    REFUSED = "refused"


@dataclass(frozen=True)
class Grant:
    """ok: a canary may be served. why: a stable word for the metric where it may not."""

    ok: bool
    why: str = ""


class ArmsView:
    """owns: the table in force, the last live receipt, the count of alarms (records lower than the highest seen)."""

    def __init__(self, table: ArmsTable, clock: Clock) -> None:
        """`table` comes from the registry at start; it carries stable, never a right to serve a canary."""
        self.table = table
        self.alarms = 0
        self._clock = clock
        self._caught_up = False
        self._received_at: float | None = None
        self._skew_s = 0.0

    def caught_up(self) -> None:
        """The reader has reached the end that the topic had at start: renewals count from here on."""
        self._caught_up = True

    def receive(self, table: ArmsTable, broker_at: float) -> Receipt:
        """Takes one record; broker_at: its timestamp by the broker, seconds since the epoch."""
        mine = self.table
        if table.policy != mine.policy or table.order < mine.order:
            self.alarms += 1
            return Receipt.REFUSED
        newer = table.order > mine.order
        renewed = table.lease is not None and (
            mine.lease is None or table.lease.renewed_at > mine.lease.renewed_at or table.canary != mine.canary
        )
        if not newer and not renewed:
            return Receipt.REPEATED
        self.table = table
        if not renewed or not self._caught_up:
            return Receipt.TAKEN
        self._received_at = self._clock.monotonic()
        self._skew_s = self._clock.now() - broker_at
        return Receipt.RENEWED

    @property
    def skew_s(self) -> float:
        """Own wall clock minus the broker's, at the last renewal: the exported gauge."""
        return self._skew_s

    def grant(self) -> Grant:
        """Whether a canary may be served at this moment."""
        lease = self.table.lease
        if self.table.canary is None or lease is None:
            return Grant(False, "no_canary")
        if not self._caught_up:
            return Grant(False, "catching_up")
        if self._received_at is None:
            return Grant(False, "no_renewal")
        if not math.isfinite(self._skew_s) or abs(self._skew_s) > SKEW_S:
            return Grant(False, "clock_skew")
        if self._clock.monotonic() - self._received_at >= lease.ttl_s:
            return Grant(False, "lapsed")
        if self._clock.now() >= lease.expires_at + SKEW_S:
            return Grant(False, "expired")
        return Grant(True)
