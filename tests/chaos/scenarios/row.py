"""What a scenario is and what it says: one row of reports/chaos.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.chaos.scenarios.site import Site


class Unproven(AssertionError):
    """The fault did not happen as the scenario says: whatever was counted proves nothing."""


class Skipped(Exception):
    """What this machine lacks, in one line. A run with a skipped scenario is not green."""


def proven(true: object, what: str) -> None:
    """Raises Unproven unless it is so."""
    if not true:
        raise Unproven(what)


@dataclass(frozen=True)
class Outcome:
    """Counts of ids. lost: acknowledged and not stored; duplicated: stored more than once; unacked_stored: stored
    though nobody was told (allowed once). generated: answers asked of the policy; generate_errors: of those, refused
    or broken off. evidence: what shows that the fault happened."""

    acknowledged: int
    stored: int
    lost: int = 0
    duplicated: int = 0
    unacked_stored: int = 0
    generated: int = 0
    generate_errors: int = 0
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def counted(cls, seen: Set[Any], there: Mapping[Any, int], **rest: Any) -> Outcome:
        """Of the ids that somebody was told of, and of how often each lies there. rest: the other fields."""
        return cls(
            acknowledged=len(seen),
            stored=sum(there.values()),
            lost=len(seen - there.keys()),
            duplicated=sum(count > 1 for count in there.values()),
            unacked_stored=len(there.keys() - seen),
            **rest,
        )

    @property
    def clean(self) -> bool:
        """Whether each acknowledged event is there once."""
        return not (self.lost or self.duplicated)


@dataclass(frozen=True)
class Scenario:
    """proves: process | broker | volume | network, what was taken away. run: is given the site and how many events to
    have acknowledged. stories: of others' failures that it guards against. share: of a run's events, against 1.0.
    may_refuse: the policy process itself is killed, so answers may break off."""

    name: str
    proves: str
    stories: str
    run: Callable[[Site, int], Outcome]
    share: float = 1.0
    may_refuse: bool = False


@dataclass(frozen=True)
class Planted:
    """A fault put in on purpose: the same counting must find `finds` (lost or duplicated) above zero."""

    name: str
    finds: str
    run: Callable[[Site, int], Outcome]
