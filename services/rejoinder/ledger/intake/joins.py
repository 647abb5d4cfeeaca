"""Which answer a feedback is about, and which answer an answer follows: pure functions of sets, never of order.

In this order: the interaction it names (and attempt) → conversation and turn → the digest of the last assistant message
within the same user (or principal) and 24 hours → unlinked, with its cause. Times in microseconds; `at` is when a thing
happened, clamped to when it was accepted.

cause                what is missing
no_reference         it names nothing
target_unknown       the interaction it names is not there (yet)
attempt_unknown      that interaction is there, the attempt is not (yet)
turn_unknown         no such conversation and turn (yet), and no digest to go by
digest_unknown       no answer with this digest: edited text, another user, or older than 24 hours
ambiguous_turn       several answers at this turn (a regenerated one, two tabs) and no digest that tells them apart
ambiguous_digest     the same answer in several conversations (two tabs)
ambiguous_attempt    joined to the interaction, but it was delivered more than once
too_late             its answer was accepted more than 7 days after it
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rejoinder.ledger.settings import Rules
from rejoinder.ledger.stores.rows import attempt_key, compact, micros

#: Causes that another record may still mend: such feedback is parked.
WAITING = frozenset({"target_unknown", "attempt_unknown", "turn_unknown", "digest_unknown"})
#: How an attempt ended when its answer reached somebody; nothing said counts as completed.
DELIVERED = frozenset({"COMPLETED", "UNSPECIFIED"})


@dataclass(frozen=True)
class Answer:
    """What joining needs to know of an attempt."""

    interaction_id: str
    attempt_id: str
    conversation_id: str
    turn: int
    user_id: str
    principal: str
    status: str
    answer_digest: str
    history_digest: str
    parent_interaction_id: str
    version: str
    at: int
    accepted_at: int

    @property
    def key(self) -> str:
        return attempt_key(self.interaction_id, self.attempt_id)


@dataclass(frozen=True)
class Ask:
    """What joining needs to know of a feedback."""

    kind: str
    interaction_id: str
    attempt_id: str
    conversation_id: str
    turn: int
    answer_digest: str
    user_id: str
    principal: str
    at: int
    accepted_at: int


@dataclass(frozen=True)
class Link:
    """state: joined | unlinked | foreign. how: interaction | turn | digest | "". target: interaction and attempt."""

    state: str
    how: str = ""
    cause: str = ""
    interaction_id: str = ""
    attempt_id: str = ""


def resolve(ask: Ask, answers: Iterable[Answer], rules: Rules) -> Link:
    """The link of one feedback. answers: all that could be meant (more do no harm), in any order."""
    pool = sorted(answers, key=lambda answer: answer.key)
    if ask.interaction_id:
        named = [a for a in pool if a.interaction_id == ask.interaction_id]
        return _about("interaction", ask, named, rules) if named else Link("unlinked", cause="target_unknown")
    if ask.conversation_id and ask.turn > 0:
        placed = [a for a in pool if a.conversation_id == ask.conversation_id and a.turn == ask.turn]
        if placed:
            return _at_turn(ask, placed, rules)
    if ask.answer_digest:
        return _by_digest(ask, pool, rules)
    known = bool(ask.conversation_id and ask.turn > 0)
    return Link("unlinked", cause="turn_unknown" if known else "no_reference")


def _about(how: str, ask: Ask, answers: Sequence[Answer], rules: Rules) -> Link:
    """answers: all attempts of one interaction."""
    if ask.user_id and any(a.user_id and a.user_id != ask.user_id for a in answers):
        return Link("foreign", how, "", answers[0].interaction_id, "")
    in_time = [a for a in answers if a.accepted_at <= ask.accepted_at + micros(rules.parked_s)]
    if not in_time:
        return Link("unlinked", cause="too_late")
    target = in_time[0].interaction_id
    if ask.attempt_id:
        if any(a.attempt_id == ask.attempt_id for a in in_time):
            return Link("joined", how, "", target, ask.attempt_id)
        return Link("unlinked", cause="attempt_unknown")
    candidates = [a for a in in_time if a.status in DELIVERED] or in_time
    if len(candidates) > 1:
        return Link("joined", how, "ambiguous_attempt", target, "")
    return Link("joined", how, "", target, candidates[0].attempt_id)


def _at_turn(ask: Ask, placed: Sequence[Answer], rules: Rules) -> Link:
    if len({a.interaction_id for a in placed}) > 1 and ask.answer_digest:
        placed = [a for a in placed if a.answer_digest == ask.answer_digest] or placed
    if len({a.interaction_id for a in placed}) > 1:
        return Link("unlinked", cause="ambiguous_turn")
    return _about("turn", ask, placed, rules)


def _by_digest(ask: Ask, pool: Sequence[Answer], rules: Rules) -> Link:
    said = [
        a
        for a in pool
        if a.answer_digest == ask.answer_digest
        and (a.user_id == ask.user_id if ask.user_id else a.principal == ask.principal)
        and ask.at - micros(rules.history_s) <= a.at <= ask.at
        and not (ask.conversation_id and a.conversation_id and a.conversation_id != ask.conversation_id)
        and a.accepted_at <= ask.accepted_at + micros(rules.parked_s)
    ]
    if not said:
        return Link("unlinked", cause="digest_unknown")
    where = {a.conversation_id or a.interaction_id for a in said}
    if len(where) > 1:
        return Link("unlinked", cause="ambiguous_digest")
    last = max(said, key=lambda a: (a.at, a.interaction_id))
    return _about("digest", ask, [a for a in said if a.interaction_id == last.interaction_id], rules)


def repeat_key(ask: Ask, link: Link, name: str, other: str) -> str | None:
    """What a later feedback of this kind replaces; None where each is kept or nothing is joined.

    name: of a rating or outcome. other: the second interaction of a comparison; the pair has no direction.
    """
    if link.state != "joined":
        return None
    about = link.interaction_id
    keys: dict[str, list[str]] = {
        "rating": [about, ask.user_id, name],
        "edit": [about, ask.user_id],
        "comparison": [*sorted((about, other)), ask.user_id],
        "abandon": [about, ask.user_id],
        "outcome": [about, name],
    }
    return compact([ask.kind, *keys[ask.kind]]) if ask.kind in keys else None


@dataclass(frozen=True)
class Thread:
    """parent: interaction id it follows, "" for none. how: explicit | digest | root | unlinked."""

    parent: str
    how: str
    crossed: bool


def thread(answers: Iterable[Answer]) -> dict[str, Thread]:
    """Parent and crossing of every attempt of one conversation, by `Answer.key`.

    The order inside a conversation is that of the turns where every attempt states its number, else of time. A turn is
    crossed when an earlier one (failed attempts apart) was answered by another named version.
    """
    pool = list(answers)
    by_turn = all(a.turn > 0 for a in pool)
    pool.sort(key=lambda a: (a.turn if by_turn else a.at, a.at, a.key))
    out: dict[str, Thread] = {}
    before: set[str] = set()
    said: dict[str, Answer] = {}
    at_step: list[Answer] = []

    def close_step() -> None:
        for earlier in at_step:
            if earlier.version and earlier.status != "FAILED":
                before.add(earlier.version)
            if earlier.answer_digest:
                said[earlier.answer_digest] = earlier

    step: int | None = None
    for answer in pool:
        place = answer.turn if by_turn else answer.at
        if place != step:
            close_step()
            at_step, step = [], place
        at_step.append(answer)
        parent, how = parent_of(answer, said.get(answer.history_digest))
        out[answer.key] = Thread(parent, how, bool(answer.version and before - {answer.version}))
    return out


def parent_of(answer: Answer, said: Answer | None) -> tuple[str, str]:
    """said: the last earlier answer of the conversation with the digest found in this one's history."""
    if answer.parent_interaction_id:
        return answer.parent_interaction_id, "explicit"
    if not answer.history_digest:
        return "", "root"
    return (said.interaction_id, "digest") if said is not None else ("", "unlinked")
