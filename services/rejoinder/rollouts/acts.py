"""Doing what was decided: arms written, the next served generation created, versions loaded. Each may be repeated."""

from __future__ import annotations

from dataclasses import dataclass

from rejoinder.core.errors import ClaimTaken
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.served import ServedPointer, advance, current
from rejoinder.rollout.state import Action, CreateServed, Load, WriteArms
from rejoinder.rollouts.replicas import Replicas
from rejoinder.rollouts.tables import ArmsTopic


@dataclass(frozen=True)
class Acts:
    """owns: nothing; it writes the arms table and the registry of one policy."""

    policy: str
    artefacts: Artefacts
    topic: ArmsTopic
    replicas: Replicas

    def do(self, action: Action, now: float) -> None:
        """Raises what the log or the registry raises; a promotion that somebody else won is no error."""
        if isinstance(action, WriteArms):
            self.topic.write(action.table)
        elif isinstance(action, CreateServed):
            self._promote(action, now)
        elif isinstance(action, Load):
            self.replicas.load(action.version)
        # Unload asks for nothing here: a replica lets go of what no table names.

    def _promote(self, action: CreateServed, now: float) -> None:
        before = current(self.artefacts.store, self.policy)
        pointer = ServedPointer(
            self.policy,
            action.generation,
            action.version.version,
            action.version.digest,
            replaces=action.replaces,
            previous=before.version,
            verdict_digest=action.verdict_digest,
            reported=tuple(digest for _, digest in action.replicas),
            decided_by=action.by or action.reason,
            at=now,
        )
        try:
            advance(self.artefacts.store, pointer)
        except ClaimTaken:
            return  # the next look shows who won
