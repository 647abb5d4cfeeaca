"""From a conversation to events: each assistant turn is an interaction, each user turn after one is a follow-up.

Ids are digests of where a turn came from, so importing a file twice records nothing twice (U01). Absence stays absence:
an assistant turn that nobody answered gets no feedback (F08).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from rejoinder.core.ids import derived_id
from rejoinder.core.types import (
    AttemptStatus,
    Choice,
    Comparison,
    Consent,
    Feedback,
    FollowUp,
    Interaction,
    Message,
    Role,
    Served,
)
from rejoinder.observe.conversation import Conversation, Turn


@dataclass(frozen=True)
class ImportAs:
    """Whose data it becomes. policy: the line of versions that the logged models are versions of."""

    tenant: str = "default"
    policy: str = "observed"
    source: str = "import"
    consent: Consent = Consent.UNSPECIFIED


def events_of(conversation: Conversation, target: ImportAs) -> Iterator[Interaction | Feedback]:
    """Interactions first, each with its feedback behind it; parents before children."""
    turns = {turn.id: turn for turn in conversation.turns}
    paths = _paths(conversation)
    for turn in conversation.turns:
        if turn.role is not Role.ASSISTANT or not paths[turn.id]:
            continue
        yield _interaction(conversation, turn, paths[turn.id], target)
        for number, rating in enumerate(turn.ratings):
            yield _feedback(conversation, turn, target, f"rating-{number}", kind=rating)
    for turn in conversation.turns:
        answer = turns.get(turn.parent)
        if turn.role is Role.USER and answer is not None and answer.role is Role.ASSISTANT and paths[answer.id]:
            user = turn.user_id or conversation.user_id
            yield _feedback(conversation, answer, target, turn.id, kind=FollowUp(turn.text), user_id=user, at=turn.at)
    yield from _comparisons(conversation, paths, target)


def _paths(conversation: Conversation) -> dict[str, tuple[Turn, ...]]:
    """What stood before each turn, oldest first."""
    paths: dict[str, tuple[Turn, ...]] = {}
    by_id = {turn.id: turn for turn in conversation.turns}
    for turn in conversation.turns:
        paths[turn.id] = (*paths[turn.parent], by_id[turn.parent]) if turn.parent else ()
    return paths


def _interaction_id(conversation: Conversation, turn: Turn, target: ImportAs) -> str:
    return derived_id("interaction", target.source, conversation.id, turn.id)


def _interaction(conversation: Conversation, turn: Turn, path: tuple[Turn, ...], target: ImportAs) -> Interaction:
    earlier = [t for t in path if t.role is Role.ASSISTANT]
    return Interaction(
        tenant=target.tenant,
        event_id=derived_id("event", target.source, conversation.id, turn.id),
        interaction_id=_interaction_id(conversation, turn, target),
        attempt_id=derived_id("attempt", target.source, conversation.id, turn.id),
        conversation_id=derived_id("conversation", target.source, conversation.id),
        conversation_started_at=path[0].at,
        parent_interaction_id=_interaction_id(conversation, earlier[-1], target) if earlier else "",
        turn=len(earlier) + 1,
        user_id=path[-1].user_id or conversation.user_id,
        messages=tuple(Message(t.role, t.text) for t in path),
        response=turn.text,
        served=Served(policy=target.policy, version=turn.model),
        status=AttemptStatus.COMPLETED,
        occurred_at=turn.at,
        consent=target.consent,
        source=target.source,
    )


def _feedback(
    conversation: Conversation,
    answer: Turn,
    target: ImportAs,
    name: str,
    *,
    kind: object,
    user_id: str = "",
    at: float | None = None,
) -> Feedback:
    return Feedback(
        tenant=target.tenant,
        event_id=derived_id("feedback", target.source, conversation.id, answer.id, name),
        interaction_id=_interaction_id(conversation, answer, target),
        attempt_id=derived_id("attempt", target.source, conversation.id, answer.id),
        conversation_id=derived_id("conversation", target.source, conversation.id),
        user_id=user_id,
        occurred_at=at,
        consent=target.consent,
        source=target.source,
        kind=kind,  # type: ignore[arg-type]
    )


def _comparisons(
    conversation: Conversation, paths: dict[str, tuple[Turn, ...]], target: ImportAs
) -> Iterator[Feedback]:
    """Ranked siblings as comparisons of neighbours: the better one is preferred to the next, equal ranks are ties."""
    siblings: dict[str, list[Turn]] = {}
    for turn in conversation.turns:
        if turn.role is Role.ASSISTANT and turn.rank is not None and paths[turn.id]:
            siblings.setdefault(turn.parent, []).append(turn)
    for group in siblings.values():
        ordered = sorted(group, key=lambda turn: (turn.rank, turn.id))
        for better, worse in itertools.pairwise(ordered):
            choice = Choice.TIE if better.rank == worse.rank else Choice.THIS
            other = Comparison(
                _interaction_id(conversation, worse, target),
                derived_id("attempt", target.source, conversation.id, worse.id),
                choice,
            )
            yield _feedback(conversation, better, target, f"compared-{worse.id}", kind=other)
