"""From a conversation to events: each assistant turn is an interaction, each user turn after one is a follow-up.

Ids are digests of where a turn came from, so importing a file twice records nothing twice (U01). Absence stays absence:
an assistant turn that nobody answered gets no feedback (F08).

An exchange is one interaction, and the follow-up that its history ends with. What has an id of the caller's own is
called by it, in its source. A follow-up found in a history is called by conversation and history, so that an answer
that was generated twice has its follow-up before it counted once (F07).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rejoinder.core.ids import answer_digest, derived_id, digest_of
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
from rejoinder.observe.conversation import Conversation, Exchange, Reacted, Turn

#: A follow-up that is read out of the next request was said before that request's answer was there.
BEFORE_S = 0.001


@dataclass(frozen=True)
class ImportAs:
    """Whose data it becomes. policy: the line of versions that the logged models are versions of."""

    tenant: str = "default"
    policy: str = "observed"
    source: str = "import"
    consent: Consent = Consent.UNSPECIFIED


def events_of(read: Conversation | Exchange | Reacted, target: ImportAs) -> Iterator[Interaction | Feedback]:
    """Interactions first, each with its feedback behind it; parents before children."""
    if isinstance(read, Exchange):
        yield from exchanged(read, target)
    elif isinstance(read, Reacted):
        yield _reacted(read, target)
    else:
        yield from _conversed(read, target)


def exchanged(
    one: Exchange, target: ImportAs, placed: Callable[[str], str] | None = None, accepted_at: float | None = None
) -> Iterator[Interaction | Feedback]:
    """placed: what an event is called that has no id of the caller's own, by what it is; None: by what it holds.
    accepted_at: when their log took it."""
    history = digest_of([[m.role.value, m.content] for m in one.messages])
    called = placed or (lambda what: named(target, what, one.conversation, history, answer_digest(one.response)))
    interaction_id = one.id or called("answer")
    event_id = named(target, "answer", *(part for part in (one.id, one.attempt) if part)) if one.id else interaction_id
    yield Interaction(
        tenant=target.tenant,
        event_id=event_id,
        interaction_id=interaction_id,
        attempt_id=one.attempt,
        conversation_id=one.conversation,
        user_id=one.user,
        messages=one.messages,
        response=one.response,
        served=Served(policy=target.policy, version=one.model),
        status=AttemptStatus.COMPLETED,
        occurred_at=one.at,
        accepted_at=accepted_at,
        consent=target.consent,
        source=target.source,
    )
    answers = [n for n, message in enumerate(one.messages) if message.role is Role.ASSISTANT]
    said = [m.content for m in one.messages[answers[-1] + 1 :] if m.role is Role.USER] if answers else []
    if said:
        yield Feedback(
            tenant=target.tenant,
            event_id=named(target, "follow_up", one.conversation, history) if one.conversation else called("follow_up"),
            conversation_id=one.conversation,
            answer_digest=answer_digest(one.messages[answers[-1]].content),
            user_id=one.user,
            occurred_at=None if one.at is None else one.at - BEFORE_S,
            accepted_at=None if accepted_at is None else accepted_at - BEFORE_S,
            consent=target.consent,
            source=target.source,
            kind=FollowUp("\n\n".join(said)),
        )


def named(target: ImportAs, *parts: str) -> str:
    """The id of an event that its caller's own ids name."""
    return derived_id("observe", target.source, *parts)


def _reacted(one: Reacted, target: ImportAs) -> Feedback:
    return Feedback(
        tenant=target.tenant,
        event_id=named(target, "reacted", one.id),
        interaction_id=one.about,
        attempt_id=one.attempt,
        occurred_at=one.at,
        consent=target.consent,
        source=target.source,
        kind=one.kind,
    )


def _conversed(conversation: Conversation, target: ImportAs) -> Iterator[Interaction | Feedback]:
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
