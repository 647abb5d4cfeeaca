"""What people say while processes die, and what the ledger must hold of it afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from rejoinder.clients import FeedbackClient
from rejoinder.clients.ledger import LedgerClient
from rejoinder.core.errors import RejoinderError
from rejoinder.core.types import AttemptStatus, Feedback, FollowUp, Interaction, Message, Role


def answered(client: FeedbackClient, ids: Sequence[str]) -> None:
    """An answer and the follow-up to it for each id, acknowledged on return."""
    shown = [
        Interaction(
            event_id=f"e{i}",
            interaction_id=f"i{i}",
            attempt_id=f"a{i}",
            user_id=f"u{i}",
            messages=(Message(Role.USER, "How warm is it?"),),
            response="68 F",
            status=AttemptStatus.COMPLETED,
        )
        for i in ids
    ]
    heard = [Feedback(event_id=f"f{i}", interaction_id=f"i{i}", user_id=f"u{i}", kind=FollowUp("no, C")) for i in ids]
    assert all(result.recorded for result in client.record_interactions(shown))
    assert all(result.recorded for result in client.record_feedback(heard))


def judged(ledger: LedgerClient) -> int:
    """Follow-ups that have their signal, -1 while nobody can say."""
    try:
        rows = ledger.satisfaction().rows
    except RejoinderError:
        return -1
    return sum(row.sat + row.dsat + row.none for row in rows)


def said_once(ledger: LedgerClient, count: int) -> None:
    """Every answer, follow-up and signal is stored once, and the ledger's own counts add up."""
    parity = ledger.parity()
    topics = ("interactions", "feedback", "signals")
    stored = {topic: sum(row.stored for row in parity.rows if row.topic == topic) for topic in topics}
    assert stored == dict.fromkeys(topics, count)
    assert judged(ledger) == count
    assert all(
        row.read == row.stored + row.duplicate + row.conflict + row.dead_lettered + row.erased + row.expired
        for row in parity.rows
    )
