"""A record of somebody else's as our events, by a field map; pure, so that the same record always makes the same.

Ids. What has an id of the caller's own is called by it, in its source (a topic's name): the same event in a topic that
was filled anew is the same event. What has none is called by where it lies, and a topic's own id is part of that. A
follow-up found in a history is called by conversation and history, so that an answer that was generated twice has its
follow-up before it counted once (F07).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from rejoinder.core.ids import answer_digest, derived_id
from rejoinder.core.types import (
    Abandon,
    AttemptStatus,
    Choice,
    Click,
    Comment,
    Comparison,
    Consent,
    Copy,
    Edit,
    Feedback,
    FollowUp,
    Interaction,
    Kind,
    Message,
    Outcome,
    Rating,
    Regenerate,
    Role,
    Served,
)
from rejoinder.observe.conversation import Conversation, Exchange, Turn, chain
from rejoinder.observe.events import ImportAs, events_of, exchanged, named
from rejoinder.observe.fieldmap import KINDS, FieldMap, Reaction, number
from rejoinder.observe.formats import fields
from rejoinder.observe.paths import Unmapped

Event = Interaction | Feedback


def found_in_a_history(event: Event) -> bool:
    """Whether it is a follow-up, told by the words of the answer before it: two histories may hold the same one."""
    return isinstance(event, Feedback) and isinstance(event.kind, FollowUp) and bool(event.answer_digest)


_CHOICES = {
    "this": Choice.THIS,
    "other": Choice.OTHER,
    "tie": Choice.TIE,
    "both_bad": Choice.BOTH_BAD,
}


@dataclass(frozen=True)
class Place:
    """Where a record lies. source: what the caller's own ids are unique in (a topic's name); origin: a name that is
    another when the source was made anew. at: when their log took it, seconds since the epoch, None where unknown."""

    source: str
    origin: str
    partition: int
    offset: int
    at: float | None = None


@dataclass(frozen=True)
class Said:
    """One message of a conversation whose messages are records of their own. id: of the message, unique in the source.
    recorded_at: when their log took it; occurred_at: as the map finds it. parent: "" where the map names none. number:
    its place in the conversation, None where the map has none."""

    place: Place
    id: str
    conversation: str
    role: Role
    text: str
    recorded_at: float
    occurred_at: float | None = None
    parent: str = ""
    number: float | None = None
    user: str = ""
    model: str = ""
    consent: Consent = Consent.UNSPECIFIED
    reactions: tuple[Feedback, ...] = ()


@dataclass(frozen=True)
class Found:
    """What a record held. skipped: the map's `where` leaves it out, or it has none of the reactions."""

    events: tuple[Event, ...] = ()
    said: Said | None = None
    skipped: bool = False


def held(value: Any) -> str:
    """The name of a record that lies nowhere: what it holds."""
    return derived_id("record", json.dumps(value, sort_keys=True))


class Reads(Protocol):
    """How records are understood: a `Mapper`, or a `formatted.Formatted`."""

    @property
    def form(self) -> str: ...
    def read(self, record: Any, place: Place) -> Found: ...
    def user_of(self, record: Any) -> str:
        """Whom a record is about, "" where it does not say."""


class Mapper:
    """One source's records as events. owns: nothing."""

    def __init__(self, of: FieldMap, target: ImportAs) -> None:
        self.map = of
        self.source = target.source
        self._as = target

    def read(self, record: Any, place: Place) -> Found:
        """Raises Unmapped, and Unfit where an object in the record is none."""
        if not self.map.takes(record):
            return Found(skipped=True)
        match self.map.form:
            case "exchange":
                return Found(tuple(self._exchange(record, place)))
            case "conversation":
                return Found(tuple(self._conversation(record, place)))
            case "turns":
                return Found(said=self._said(record, place))
        events = tuple(self._reactions(record, place, self._about(record)))
        return Found(events, skipped=not events)

    @property
    def form(self) -> str:
        return self.map.form

    def user_of(self, record: Any) -> str:
        """Whom a record is about, "" where the map has nobody. Raises Unmapped."""
        return self.map.identity("user", record)

    def answered(self, said: Said, history: tuple[Said, ...], whole: bool) -> Interaction:
        """The interaction of an assistant's turn. history: what stood before it, oldest first; whole: from the
        conversation's first turn on."""
        answers = [turn for turn in history if turn.role is Role.ASSISTANT]
        asked = [turn for turn in history if turn.role is Role.USER]
        return Interaction(
            tenant=self._as.tenant,
            event_id=self._id("answer", said.id),
            interaction_id=said.id,
            conversation_id=said.conversation,
            conversation_started_at=history[0].occurred_at if whole else None,
            parent_interaction_id=answers[-1].id if answers else "",
            turn=len(answers) + 1 if whole else 0,
            user_id=said.user or asked[-1].user,
            messages=tuple(Message(turn.role, turn.text) for turn in history),
            response=said.text,
            served=Served(policy=self._as.policy, version=said.model),
            status=AttemptStatus.COMPLETED,
            occurred_at=said.occurred_at,
            accepted_at=said.place.at,
            # Whoever said one of these words may have asked that nothing is trained with them.
            consent=Consent.NO_TRAIN if any(t.consent is Consent.NO_TRAIN for t in (*history, said)) else said.consent,
            source=self._as.source,
        )

    def followed(self, said: Said, answer: Said) -> Feedback:
        """The follow-up that a user's turn is. answer: the assistant's turn before it."""
        about = {"interaction_id": answer.id, "conversation_id": said.conversation}
        event_id = self._id("follow_up", said.id)
        return self._feedback(
            event_id, FollowUp(said.text), said.place, said.occurred_at, said.user, said.consent, about
        )

    # -- One record, one answered request.

    def _exchange(self, record: Any, place: Place) -> Iterator[Event]:
        conversation, user = (self.map.identity(name, record) for name in ("conversation", "user"))
        messages = tuple(self._messages(record))
        self.map.need("response", record)
        one = Exchange(
            id=self.map.identity("id", record),
            messages=messages,
            response=self.map.content("response", record),
            conversation=conversation,
            user=user,
            model=self.map.identity("model", record),
            at=self.map.moment("at", record),
        )
        target = replace(self._as, consent=self._consent(record))
        events = tuple(exchanged(one, target, partial(self._placed, place=place), place.at))
        yield from events
        about = {"interaction_id": events[0].interaction_id, "conversation_id": conversation}
        yield from self._reactions(record, place, about)

    def _messages(self, record: Any) -> Iterator[Message]:
        found = self.map.need("messages", record)
        if not isinstance(found, list):
            raise Unmapped("unusable", "messages")
        if not found:
            raise Unmapped("missing", "messages")
        for item in found:
            yield Message(self.map.role(item), self.map.content("content", item))

    # -- One record, one conversation.

    def _conversation(self, record: Any, place: Place) -> Iterator[Event]:
        user, model = (self.map.identity(name, record) for name in ("user", "model"))
        found = self.map.need("messages", record)
        if not isinstance(found, list):
            raise Unmapped("unusable", "messages")
        turns = [self._turn(item, model) for item in found]
        if not turns:
            raise Unmapped("missing", "messages")
        identity = self.map.identity("id", record) or self._placed("conversation", place)
        for event in events_of(Conversation(identity, chain(turns), user), self._as):
            # A conversation that grows is logged again: what a record's own time would change must not be in the body.
            yield replace(event, accepted_at=place.at, consent=self._consent(record))

    def _turn(self, item: Any, model: str) -> Turn:
        role = self.map.role(item)
        return Turn(
            id=self.map.identity("message_id", item),
            parent="",
            role=role,
            text=self.map.content("content", item),
            at=self.map.moment("message_at", item),
            model=model if role is Role.ASSISTANT else "",
        )

    # -- One record, one message.

    def _said(self, record: Any, place: Place) -> Said:
        role = self.map.role(record)
        conversation = self.map.identity("conversation", record, needed=True)
        self.map.need("content", record)
        turn = self.map.find("turn", record)
        identity = self.map.identity("id", record) or self._placed("turn", place)
        about = {"interaction_id": identity, "conversation_id": conversation}
        return Said(
            place=place,
            id=identity,
            conversation=conversation,
            role=role,
            text=self.map.content("content", record),
            recorded_at=place.at or 0.0,
            occurred_at=self.map.moment("at", record),
            parent=self.map.identity("parent", record),
            number=None if turn is None else number(turn, "turn"),
            user=self.map.identity("user", record),
            model=self.map.identity("model", record) if role is Role.ASSISTANT else "",
            consent=self._consent(record),
            reactions=tuple(self._reactions(record, place, about)) if role is Role.ASSISTANT else (),
        )

    # -- What people did.

    def _about(self, record: Any) -> dict[str, Any]:
        """What a reaction's record says that it is about."""
        about: dict[str, Any] = {
            "interaction_id": self.map.identity("interaction", record),
            "conversation_id": self.map.identity("conversation", record),
        }
        turn, answer = self.map.find("turn", record), self.map.find("answer", record)
        if turn is not None:
            about["turn"] = int(number(turn, "turn"))
        if answer is not None:
            about["answer_digest"] = answer_digest(self.map.content("answer", record))
        if not any(about.get(name) for name in ("interaction_id", "conversation_id", "answer_digest")):
            raise Unmapped("missing", "interaction")
        return about

    def _reactions(self, record: Any, place: Place, about: dict[str, Any]) -> Iterator[Feedback]:
        own = self.map.identity("id", record)
        for index, reaction in enumerate(self.map.reactions):
            if reaction.when is not None and not reaction.when.holds(record):
                continue
            kind = _kind(reaction, record)
            if kind is None:
                continue
            name = f"reaction-{index}"
            event_id = self._id(name, own) if own else self._placed(name, place)
            at, user = self.map.moment("at", record), self.map.identity("user", record)
            yield self._feedback(event_id, kind, place, at, user, self._consent(record), about)

    def _feedback(
        self,
        event_id: str,
        kind: Kind,
        place: Place,
        at: float | None,
        user: str,
        consent: Consent,
        about: dict[str, Any],
    ) -> Feedback:
        return Feedback(
            tenant=self._as.tenant,
            event_id=event_id,
            user_id=user,
            occurred_at=at,
            accepted_at=place.at,
            consent=consent,
            source=self._as.source,
            kind=kind,
            **about,
        )

    # -- What all have.

    def _consent(self, record: Any) -> Consent:
        return Consent.NO_TRAIN if self.map.find("no_train", record) else self._as.consent

    def _id(self, *parts: str) -> str:
        return named(self._as, *parts)

    def _placed(self, name: str, place: Place) -> str:
        return derived_id("observed-at", place.origin, str(place.partition), str(place.offset), name)


def _kind(reaction: Reaction, record: Any) -> Kind | None:
    """The feedback that a record holds, None where what it must have is not there and no `when` said that it is."""
    found = {name: expression.find(record) for name, expression in reaction.fields.items()}
    needed = [name for name in KINDS[reaction.kind][0] if found.get(name) in (None, "")]
    if needed:
        if reaction.when is None:
            return None
        raise Unmapped("missing", needed[0])
    match reaction.kind:
        case "rating":
            low, high = reaction.scale
            return Rating(_name(found, "name"), number(found["number"], "number"), None, low, high)
        case "category":
            return Rating(_name(found, "name"), None, _text(found, "category"), 0.0, 0.0, reaction.categories)
        case "comment":
            return Comment(_text(found, "text"))
        case "follow_up":
            return FollowUp(_text(found, "text"))
        case "edit":
            return Edit(_text(found, "text"))
        case "comparison":
            choice = _CHOICES.get(str(found["choice"]).lower())
            if choice is None:
                raise Unmapped("unusable", "choice")
            return Comparison(_name(found, "other"), "", choice)
        case "click":
            return Click(_name(found, "candidate"), int(number(found["position"], "position")))
        case "copy":
            return Copy(int(number(found.get("characters") or 0, "characters")))
        case "regenerate":
            return Regenerate(_name(found, "new"))
        case "abandon":
            after = found.get("after")
            return Abandon(None if after is None else number(after, "after"))
    return Outcome(_name(found, "name"), number(found["value"], "value"))


def _name(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    text = fields.identity(value)
    if value not in (None, "") and not text:
        raise Unmapped("unusable", name)
    return text


def _text(found: dict[str, Any], name: str) -> str:
    try:
        return fields.text(found[name], name)
    except fields.Unfit:
        raise Unmapped("unusable", name) from None
