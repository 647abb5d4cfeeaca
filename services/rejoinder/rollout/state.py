"""What `decide` reads and writes: the observed world, a rollout's status, actions and the decision. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rejoinder.core.arms import ArmsTable, Step, Version
from rejoinder.rollout.counter import Drawn
from rejoinder.rollout.shadow import ShadowView
from rejoinder.rollout.verdict import Verdict

IDLE, SHADOW, CANARY, PROMOTED, ABORTED, SUPERSEDED = "idle", "shadow", "canary", "promoted", "aborted", "superseded"


@dataclass(frozen=True)
class Command:
    """A person's word: approve, promote or abort; generation: of the arms table it was made on."""

    kind: str
    generation: int
    by: str = ""


@dataclass(frozen=True)
class Replica:
    """What one replica says it serves, (version, digest) pairs, and whom it has drawn. shadows: whether it can answer
    again in a shadow phase."""

    name: str
    serves: tuple[tuple[str, str], ...] = ()
    drawn: Drawn = field(default_factory=Drawn)
    shadows: bool = False


@dataclass(frozen=True)
class Pointer:
    """The greatest numbered object of the registry: the truth about stable."""

    generation: int
    version: Version


@dataclass(frozen=True)
class Observed:
    """The world as read just now. term: ours, as the writer of the arms table. replicas: all of the policy's. shadow:
    what was scored in the shadow phase. rival: whether another rollout has the replicas for its own."""

    arms: ArmsTable
    served: Pointer
    term: int = 0
    replicas: tuple[Replica, ...] = ()
    verdict: Verdict | None = None
    commands: tuple[Command, ...] = ()
    suspended: bool = False
    frozen: bool = False
    shadow: ShadowView = field(default_factory=ShadowView)
    rival: bool = False


@dataclass(frozen=True)
class Status:
    """What a rollout remembers between decisions. salt: of its assignment. stable: the last good version, of
    served_generation. step: index into the plan's, -1 before exposure. held: why nothing moves, "" while it does.
    reverting: why a promoted version is being taken back."""

    salt: str
    stable: Version
    canary: Version
    served_generation: int
    began_at: float
    phase: str = IDLE
    step: int = -1
    steps: tuple[Step, ...] = ()
    shadow_at: float | None = None
    promoted_at: float | None = None
    approved: tuple[str, ...] = ()
    held: str = ""
    reason: str = ""
    by: str = ""
    reverting: str = ""
    closed: bool = False

    @property
    def shown(self) -> str:
        """The phase for people: idle, shadow, canary, paused, frozen, promoted, aborted or superseded."""
        if self.held == "frozen":
            return "frozen"
        return "paused" if self.phase == CANARY and self.held not in ("", "promoting") else self.phase

    @property
    def taken_back(self) -> bool:
        """Whether it ended for what the version did, or a person said, to answers of its own: shown, or in shadow."""
        return self.phase == ABORTED and (bool(self.steps) or self.reason.startswith("shadow:"))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Status:
        """The inverse of as_dict, also of its JSON form; TypeError on an unknown field."""
        plain = dict(value)
        plain |= {name: Version(**plain[name]) for name in ("stable", "canary")}
        plain["steps"] = tuple(Step(**step) for step in plain.get("steps", ()))
        plain["approved"] = tuple(plain.get("approved", ()))
        return cls(**plain)


@dataclass(frozen=True)
class WriteArms:
    table: ArmsTable


@dataclass(frozen=True)
class CreateServed:
    """Exclusive create of served generation `generation`; a lost race is no error, the next look shows who won."""

    generation: int
    version: Version
    replaces: int
    reason: str
    by: str = ""
    verdict_digest: str = ""
    replicas: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Load:
    version: Version


@dataclass(frozen=True)
class Unload:
    version: Version


Action = WriteArms | CreateServed | Load | Unload


@dataclass(frozen=True)
class Decision:
    """row: which one applied, for Events and tests."""

    row: str
    status: Status
    actions: tuple[Action, ...] = ()
