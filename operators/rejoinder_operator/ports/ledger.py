"""What the ledger says of a policy's evidence, for a loop's triggers."""

from __future__ import annotations

from rejoinder.clients.ledger import LedgerClient
from rejoinder.core.arms import Salts

from rejoinder_operator.api.fields import seconds
from rejoinder_operator.api.loops import LoopSpec
from rejoinder_operator.decide.trigger import Evidence


class LedgerEvidence:
    """owns: nothing. holdout_share: as in the arms tables: those users' evidence makes no pairs."""

    def __init__(self, client: LedgerClient, holdout_share: float) -> None:
        self._client = client
        self._holdout_share = holdout_share

    def evidence(self, policy: str, spec: LoopSpec, now: float) -> Evidence:
        """Raises what the ledger raises."""
        pending = 0
        if spec.trigger.min_evidence is not None:
            pending = self._client.waiting(policy, spec.source.evidence, Salts().holdout, self._holdout_share)
        low = spec.trigger.satisfaction_below
        if low is None:
            return Evidence(pending)
        until = now - seconds(spec.source.maturity)
        rows = self._client.satisfaction("", "", until - seconds(low.window), until).rows
        users = sum(row.users for row in rows)
        return Evidence(pending, rows[0].satisfaction if len(rows) == 1 and users else None, users)
