"""What loops and rounds decide to do. Each may be repeated: creation is exclusive, and a lost race shows at the next
look. A rollout's actions are `rejoinder.rollout.state`'s."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rejoinder_operator.conditions import Say


@dataclass(frozen=True)
class ClaimNumber:
    """Takes the policy's next round number in the registry."""

    policy: str
    holder: str


@dataclass(frozen=True)
class CloseNumber:
    """Ends a claim; outcome: abandoned (the round's own stages close it as published or refused)."""

    policy: str
    number: int
    outcome: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class CreateChild:
    """Creates an object, unless one of its name is there."""

    manifest: Mapping[str, Any]


@dataclass(frozen=True)
class DeleteChild:
    """Deletes exactly this object: another one under its name has another uid."""

    kind: str
    name: str
    uid: str


Action = ClaimNumber | CloseNumber | CreateChild | DeleteChild


@dataclass(frozen=True)
class Decision:
    """row: which one applied. status: the kind's own fields that change. said: conditions. again_s: when to look again
    unless something happens before; None for the resync alone."""

    row: str
    status: Mapping[str, Any]
    said: tuple[Say, ...]
    actions: tuple[Action, ...] = ()
    again_s: float | None = None
