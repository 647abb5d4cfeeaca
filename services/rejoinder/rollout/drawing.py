"""Drawing the arm of an answer: the same in every process that serves, counted before anything can become of it."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import replace

from rejoinder.core.arms import ArmsTable
from rejoinder.core.types import ArmKind, Interaction, Served
from rejoinder.rollout.assignment import Caller, assign
from rejoinder.rollout.counter import AssignmentCounter
from rejoinder.rollout.lease import ArmsView


def draw(
    view: ArmsView,
    counter: AssignmentCounter,
    asked: Interaction,
    *,
    now: float,
    loaded: Container[str],
    spool_has_room: bool,
    drew: Callable[[ArmKind], None] | None,
) -> Served:
    """Who answers. asked: with its interaction id. loaded: digests that can be served here. drew: told of a unit that
    the counter had not yet; None counts nothing."""
    table = view.table
    caller = Caller(
        asked.tenant, asked.user_id, asked.conversation_id, asked.interaction_id, asked.conversation_started_at
    )
    drawn = assign(table, caller, now=now, lease_ok=view.grant().ok, loaded=loaded, spool_has_room=spool_has_room)
    if drew is not None and counter.add(table.salts.assignment, drawn):
        drew(drawn.arm)
    return drawn.served(table)


def stable_instead(served: Served, table: ArmsTable) -> Served:
    """What answers where the drawn version turned out not to be there."""
    stable = table.stable
    return replace(
        served, version=stable.version, digest=stable.digest, arm=ArmKind.STABLE, propensity=1.0, forced=True
    )
