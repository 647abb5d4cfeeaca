"""What an encoder computes next: a pure plan over a queue; `batcher.py` is its asyncio and thread edge.

Interactive work comes before batch work (a batch row that waited `patience_s` counts as interactive, so that it starves
nowhere). Within a class the tenant served longest ago goes first and tenants take turns row by row. A window of rows in
that order is sorted by length and cut so that rows × longest stays within `max_tokens`; the batch that holds the fair
order's first row comes first. A row whose deadline has passed is in no batch, nor, while others wait, one whose
deadline would pass as it is computed: nothing is computed for nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """max_tokens: padded tokens of a batch (rows × longest row). max_rows: of a batch. window: rows sorted together.

    max_queued_tokens: waiting rows' tokens, above which QUEUE_FULL. patience_s: after which batch work counts as
    interactive. lanes: batches at once. headroom: share
    of a caller's time, less the batch at work and its own, that what waits before it is thought to fill at most;
    beyond it QUEUE_FULL. longest: tokens of a row that is more than max_tokens and so a batch of its own.
    """

    max_tokens: int = 384
    max_rows: int = 64
    window: int = 64
    max_queued_tokens: int = 262_144
    patience_s: float = 5.0
    lanes: int = 1
    headroom: float = 0.4
    longest: int = 0


@dataclass(frozen=True)
class Item:
    """One row as the plan sees it. key: order of arrival. tokens: its length. Times are `clock.monotonic()`, seconds.

    deadline: after it nobody waits, None = no limit. background: batch class, else interactive.
    """

    key: int
    tokens: int
    arrived: float = 0.0
    tenant: str = ""
    deadline: float | None = None
    background: bool = False


@dataclass(frozen=True)
class Plan:
    """batches: in the order to run. expired: rows whose deadline has passed or will, in no batch."""

    batches: tuple[tuple[Item, ...], ...]
    expired: tuple[Item, ...]


def plan(
    queue: Iterable[Item],
    now: float,
    limits: Limits,
    last_turn: Mapping[str, int],
    batch_s: Callable[[int], float] = lambda padded_tokens: 0.0,
) -> Plan:
    """What to run of a queue in order of arrival. last_turn: the turn in which a tenant last had a row; absent = never.
    batch_s: padded tokens → the seconds that such a batch is thought to take.

    Every item of the queue is in one batch, expired, or outside the window (it waits); never in two of them. While any
    deadline has not passed there is a batch, however slow the model is thought to be: else nobody would ever find out
    that it is faster.
    """
    alive: list[Item] = []
    expired: list[Item] = []
    for item in queue:
        (expired if item.deadline is not None and item.deadline <= now else alive).append(item)
    usual = min(limits.max_tokens, sum(item.tokens for item in alive))
    done = now + batch_s(usual)
    in_time: list[Item] = []
    late: list[Item] = []
    for item in alive:
        # A row longer than `max_tokens` is a batch of its own: late by its own length, it makes no other row late.
        own_done = done if item.tokens <= usual else now + batch_s(item.tokens)
        (late if item.deadline is not None and item.deadline < own_done else in_time).append(item)
    if in_time:
        expired += late
        alive = in_time
    waiting: tuple[list[Item], list[Item]] = ([], [])
    for item in alive:
        waiting[item.background and now - item.arrived < limits.patience_s].append(item)
    batches: list[tuple[Item, ...]] = []
    for rows in waiting:
        batches += _cut(_turns(rows, limits.window, last_turn), limits)
    return Plan(tuple(batches), tuple(expired))


def padded(batch: Sequence[Item]) -> int:
    """Tokens a batch costs: rows × longest row."""
    return len(batch) * max(item.tokens for item in batch)


def _turns(rows: Sequence[Item], window: int, last_turn: Mapping[str, int]) -> list[Item]:
    """The first `window` rows, one of each tenant in turn, the tenant served longest ago first."""
    by_tenant: dict[str, deque[Item]] = {}
    for row in rows:
        by_tenant.setdefault(row.tenant, deque()).append(row)
    # sorted() is stable: among tenants of the same turn the one whose row came first leads.
    lines = deque(by_tenant[tenant] for tenant in sorted(by_tenant, key=lambda tenant: last_turn.get(tenant, -1)))
    taken: list[Item] = []
    while lines and len(taken) < window:
        line = lines.popleft()
        taken.append(line.popleft())
        if line:
            lines.append(line)
    return taken


def _cut(rows: Sequence[Item], limits: Limits) -> list[tuple[Item, ...]]:
    """Batches of like lengths within the budget, the one that holds the fair order's first row first."""
    place = {row.key: index for index, row in enumerate(rows)}
    batches: list[list[Item]] = []
    # Longest first: the first row of a batch then is its longest, and the budget check needs no look ahead.
    for row in sorted(rows, key=lambda row: (-row.tokens, place[row.key])):
        here = batches[-1] if batches else []
        if here and len(here) < limits.max_rows and (len(here) + 1) * here[0].tokens <= limits.max_tokens:
            here.append(row)
        else:
            batches.append([row])
    batches.sort(key=lambda batch: min(place[row.key] for row in batch))
    return [tuple(batch) for batch in batches]
