"""observe/mapped: a record of theirs as our events, the same every time it is read."""

from __future__ import annotations

from typing import Any

import pytest
from rejoinder.core.ids import answer_digest
from rejoinder.core.types import (
    Abandon,
    Choice,
    Click,
    Comparison,
    Consent,
    Copy,
    Edit,
    Feedback,
    FollowUp,
    Interaction,
    Outcome,
    Rating,
    Regenerate,
    Role,
)
from rejoinder.observe.events import ImportAs
from rejoinder.observe.fieldmap import FieldMap
from rejoinder.observe.mapped import Event, Mapper, Place
from rejoinder.observe.paths import Unmapped

AT = 1_700_000_000.0


def place(offset: int = 0, origin: str = "topic-id", at: float | None = AT) -> Place:
    return Place("chat", origin, 0, offset, at)


def read(of: Any, record: Any, where: Place | None = None) -> tuple[Event, ...]:
    return Mapper(FieldMap(of), ImportAs("t", "assist", "observe:chat")).read(record, where or place()).events


def exchange(identity: str | None, *said: str, answer: str = "20 C", **more: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(said)]
    response = {"choices": [{"message": {"role": "assistant", "content": answer}}], "created": AT - 60}
    request = {"messages": messages, "model": "m", "user": "u"}
    return {"request": request, "response": {**response, "id": identity}, **more}


def test_an_exchange_is_an_answer_and_the_follow_up_of_the_one_before() -> None:
    record = exchange("r2", "How warm?", "68 F", "in Celsius", conversation_id="c")
    answer, followed = read({"preset": "openai"}, record)
    assert isinstance(answer, Interaction)
    assert isinstance(followed, Feedback)
    assert (answer.interaction_id, answer.conversation_id, answer.user_id) == ("r2", "c", "u")
    assert (answer.response, answer.served.version if answer.served else "") == ("20 C", "m")
    assert (answer.occurred_at, answer.accepted_at) == (AT - 60, AT)
    assert [m.role for m in answer.messages] == [Role.USER, Role.ASSISTANT, Role.USER]
    assert followed.kind == FollowUp("in Celsius")
    assert (followed.answer_digest, followed.conversation_id) == (answer_digest("68 F"), "c")
    # Said before the answer to it, so that this answer is none that it could be about.
    assert followed.occurred_at is not None
    assert followed.occurred_at < AT - 60


def test_ids_are_the_callers_or_follow_from_the_place() -> None:
    of = {"preset": "openai"}
    own = [read(of, exchange("r1", "q"), place(n, origin))[0].event_id for n, origin in ((0, "a"), (7, "b"))]
    assert own[0] == own[1]
    places = ((0, "a"), (0, "a"), (1, "a"), (0, "b"))
    placed = [read(of, exchange(None, "q"), place(n, origin))[0].event_id for n, origin in places]
    assert placed[0] == placed[1]
    assert len(set(placed)) == 3


def test_a_regenerated_answer_counts_the_follow_up_before_it_once() -> None:
    """F07."""
    of, said = {"preset": "openai"}, ("q", "a", "no")
    first, second = (read(of, exchange(i, *said, conversation_id="c"), place(n))[1] for n, i in enumerate(("r1", "r2")))
    assert first.event_id == second.event_id
    # Without a conversation two people may well say the same.
    first, second = (read(of, exchange(i, *said), place(n))[1] for n, i in enumerate(("r1", "r2")))
    assert first.event_id != second.event_id


def test_a_conversation_that_grew_repeats_what_was_there() -> None:
    turns = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}, {"from": "human", "value": "thanks"}]
    short = read({"preset": "sharegpt"}, {"id": "c", "conversations": turns[:2]}, place(0))
    long = read({"preset": "sharegpt"}, {"id": "c", "conversations": turns}, place(9))
    assert short == long[:1]
    assert [event.kind for event in long[1:] if isinstance(event, Feedback)] == [FollowUp("thanks")]


REACTED: list[tuple[dict[str, Any], Any]] = [
    ({"kind": "rating", "number": "v", "scale": [0, 5]}, Rating("", 4.0, None, 0.0, 5.0)),
    ({"kind": "rating", "number": "up", "scale": [0, 1], "name": "'thumb'"}, Rating("thumb", 1.0, None, 0.0, 1.0)),
    (
        {"kind": "category", "category": "w", "categories": ["bad", "good"]},
        Rating("", None, "good", 0.0, 0.0, ("bad", "good")),
    ),
    ({"kind": "edit", "text": "w"}, Edit("good")),
    ({"kind": "comparison", "other": "o", "choice": "'this'"}, Comparison("i2", "", Choice.THIS)),
    ({"kind": "click", "candidate": "o", "position": "v"}, Click("i2", 4)),
    ({"kind": "copy"}, Copy(0)),
    ({"kind": "regenerate", "new": "o"}, Regenerate("i2")),
    ({"kind": "abandon", "after": "v"}, Abandon(4.0)),
    ({"kind": "outcome", "name": "'sale'", "value": "v"}, Outcome("sale", 4.0)),
]


@pytest.mark.parametrize(("reaction", "kind"), REACTED, ids=[row[0]["kind"] for row in REACTED])
def test_every_kind_of_reaction(reaction: dict[str, Any], kind: Any) -> None:
    of = {"form": "reaction", "interaction": "i", "id": "id", "reactions": [reaction]}
    (event,) = read(of, {"i": "i1", "id": 5, "v": 4, "up": True, "w": "good", "o": "i2"})
    assert isinstance(event, Feedback)
    assert (event.interaction_id, event.kind) == ("i1", kind)


def test_reactions_that_are_not_there_are_passed_and_those_that_cannot_be_meant_are_told() -> None:
    thumb = {"kind": "rating", "when": "kind == 'thumb'", "number": "value", "scale": [0, 1]}
    mapper = Mapper(FieldMap({"form": "reaction", "interaction": "i", "reactions": [thumb]}), ImportAs())
    assert mapper.read({"i": "1", "kind": "scroll"}, place()).skipped
    for record, field in (({"i": "1", "kind": "thumb"}, "number"), ({"kind": "thumb", "value": 1}, "interaction")):
        with pytest.raises(Unmapped) as fault:
            mapper.read(record, place())
        assert (fault.value.cause, fault.value.field) == ("missing", field)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"id": "\ud800"}, "id"),
        ({"user": "\ud800"}, "user"),
        ({"conversation_id": "c\udfff"}, "conversation"),
        ({"created": 10**400}, "at"),
        ({"created": "0001-01-01T00:00:00+14:00"}, "at"),
        ({"created": "9999-12-31T23:59:59-14:00"}, "at"),
    ],
)
def test_what_json_can_say_and_nobody_can_store_is_a_fault_of_the_record(given: dict[str, Any], field: str) -> None:
    """An id of half a character and a time of a thousand digits: told as any other field that cannot be meant."""
    said = {"messages": [{"role": "user", "content": "q"}], "choices": [{"message": {"content": "a"}}]}
    with pytest.raises(Unmapped) as fault:
        read({"preset": "openai"}, {**said, **given})
    assert (fault.value.cause, fault.value.field) == ("unusable", field)


def test_records_that_are_none_of_ours_are_passed_and_consent_is_kept() -> None:
    of = {"preset": "openai", "where": "type != 'probe'", "no_train": "opted_out"}
    mapper = Mapper(FieldMap(of), ImportAs())
    assert mapper.read(exchange("r", "q", type="probe"), place()).skipped
    (kept,) = mapper.read(exchange("r", "q", opted_out=True), place()).events
    (other,) = mapper.read(exchange("r", "q", opted_out=False), place()).events
    assert (kept.consent, other.consent) == (Consent.NO_TRAIN, Consent.UNSPECIFIED)
