"""What a replica is told of a rollout's shadow phase: which of stable's users to answer again, by whom, how long."""

from __future__ import annotations

from dataclasses import dataclass

from rejoinder.core.arms import bucket
from rejoinder.core.charter import Rule
from rejoinder.core.errors import BadSettings


@dataclass(frozen=True)
class Order:
    """What a replica is told to do. salt: of the rollout's assignment. share: of stable's answers, [0, 1]; 0 ends it.
    unit: of which one pair counts. norms: that no answer must break. lasts: seconds until it ends by itself."""

    salt: str = ""
    share: float = 0.0
    unit: str = "user"
    stable: str = ""
    candidate: str = ""
    candidate_digest: str = ""
    refusals: bool = False
    norms: tuple[Rule, ...] = ()
    lasts: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise BadSettings("a shadow's share must lie in [0, 1]")

    def draws(self, interaction_id: str) -> bool:
        """Whether this interaction is answered again: the same on every replica, and no matter of its arm."""
        return bucket(interaction_id, f"{self.salt}\x00shadow") < self.share
