"""Who is served what: the record of the `arms` topic and the hashes that cut users. One record is one policy's table.

Fields are scalars, tuples and such records again, so a codec can carry them field by field. `generation` rises with
every change of what is served; a lease renewal repeats the generation with a later `lease.renewed_at`, so a person's
command that names a generation is not outrun by a renewal. Times are seconds since the epoch (UTC), shares in [0, 1].
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rejoinder.core.errors import BadSettings
from rejoinder.core.types import ArmKind

UNITS = ("user", "conversation")

#: How users outside the holdout are cut for training and measuring; one place for the shares.
SPLITS: tuple[tuple[str, float], ...] = (("pairs", 0.70), ("gate", 0.15), ("evaluation", 0.15))


@dataclass(frozen=True)
class Version:
    """A name for people and the digest that is the identity."""

    version: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Salts:
    """assignment: new for each rollout. holdout and split: never change in the life of a policy."""

    assignment: str = ""
    holdout: str = "holdout"
    split: str = "split"


@dataclass(frozen=True)
class Step:
    """The canary's weight in [0, 1] among users outside the holdout, in force from `since` on."""

    weight: float = 0.0
    since: float = 0.0


@dataclass(frozen=True)
class Lease:
    """How long the canary may live unrenewed: `ttl_s` on a replica's own clock, `expires_at` by everybody's."""

    ttl_s: float = 30.0
    renewed_at: float = 0.0
    expires_at: float = 0.0


@dataclass(frozen=True)
class ArmsTable:
    """The whole table of one policy.

    term: who wrote (Lease transitions; a row counter on a laptop). baseline_share: the part of the *holdout* that stays
    on `baseline`. steps: the weights of this rollout, oldest first, for conversations that keep the weight they began
    with. Raises BadSettings where a value is out of range or a canary has no lease or no step.
    """

    policy: str = ""
    term: int = 0
    generation: int = 0
    written_at: float = 0.0
    unit: str = "user"
    salts: Salts = field(default_factory=Salts)
    holdout_share: float = 0.05
    baseline_share: float = 0.0
    stable: Version = field(default_factory=Version)
    canary: Version | None = None
    baseline: Version | None = None
    steps: tuple[Step, ...] = ()
    lease: Lease | None = None
    frozen: bool = False
    reason: str = ""

    def __post_init__(self) -> None:
        if not self.policy or not self.stable.version:
            raise BadSettings("arms: policy and stable version must be named")
        if self.unit not in UNITS:
            raise BadSettings(f"arms: unit must be one of {', '.join(UNITS)}")
        shares = {"holdout_share": self.holdout_share, "baseline_share": self.baseline_share}
        shares |= {f"steps[{i}].weight": step.weight for i, step in enumerate(self.steps)}
        for name, share in shares.items():
            if not (math.isfinite(share) and 0 <= share <= 1):
                raise BadSettings(f"arms: {name} must lie in [0, 1]")
        if any(later.since < earlier.since for earlier, later in zip(self.steps, self.steps[1:], strict=False)):
            raise BadSettings("arms: steps must be in the order of time")
        if self.canary and (self.lease is None or not self.steps):
            raise BadSettings("arms: a canary needs a lease and a step")
        if self.lease and not self.lease.ttl_s > 0:
            raise BadSettings("arms: lease.ttl_s must be above 0")

    @property
    def order(self) -> tuple[int, int]:
        """The greatest (term, generation) is the table in force."""
        return self.term, self.generation

    @property
    def weight(self) -> float:
        """The canary's weight now; 0 without a canary."""
        return self.steps[-1].weight if self.canary and self.steps else 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> ArmsTable:
        """The inverse of as_dict, also of its JSON form; TypeError on an unknown field."""
        plain = dict(value)
        parts: dict[str, Any] = {
            "salts": Salts(**plain.pop("salts", {})),
            "stable": Version(**plain.pop("stable", {})),
            "steps": tuple(Step(**step) for step in plain.pop("steps", ())),
        }
        for name, make in (("canary", Version), ("baseline", Version), ("lease", Lease)):
            part = plain.pop(name, None)
            parts[name] = None if part is None else make(**part)
        return cls(**plain, **parts)


def canary_weight(arm: ArmKind, propensity: float) -> float:
    """The canary's probability when an answer was drawn, of the arm shown and its own; 0 where it is neither stable nor
    canary."""
    return {ArmKind.CANARY: propensity, ArmKind.STABLE: 1.0 - propensity}.get(arm, 0.0)


def weight_at(steps: tuple[Step, ...], at: float) -> float:
    """The weight in force at `at`; 0 before the first step."""
    weight = 0.0
    for step in steps:
        if step.since > at:
            break
        weight = step.weight
    return weight


def bucket(unit: str, salt: str) -> float:
    """A unit's place in [0, 1): the first 53 bits of BLAKE2b over salt and unit, so that 1.0 cannot come out."""
    word = hashlib.blake2b(f"{salt}\x00{unit}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(word, "big") >> 11) * 2.0**-53


def unit_id(tenant: str, user_id: str, conversation_id: str, interaction_id: str = "", kind: str = "user") -> str:
    """Whom a hash is about: the user, or the conversation where that is the unit or no user is known.

    A caller that names neither is cut by interaction. The prefix keeps a user and a conversation of one name apart. No
    tenant is the tenant "default", as in the ledger: who is held out where answers are served must be held out where
    pairs are made.
    """
    tenant = tenant or "default"
    if kind == "user" and user_id:
        return f"{tenant}\x00u\x00{user_id}"
    if conversation_id:
        return f"{tenant}\x00c\x00{conversation_id}"
    return f"{tenant}\x00u\x00{user_id}" if user_id else f"{tenant}\x00i\x00{interaction_id}"


def population(unit: str, salts: Salts, holdout_share: float) -> str:
    """`holdout`, `pairs`, `gate` or `evaluation`: what a user's evidence may be used for, for ever.

    The holdout is cut out first; the others are cut 70 / 15 / 15 by a salt of its own.
    """
    if bucket(unit, salts.holdout) < holdout_share:
        return "holdout"
    place, edge = bucket(unit, salts.split), 0.0
    for name, share in SPLITS:
        edge += share
        if place < edge:
            return name
    return SPLITS[-1][0]
