"""observe/turns: which answer answers what, in any order of arrival, and what holds a position back."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from rejoinder.core.types import FollowUp, Interaction, Role
from rejoinder.observe.events import ImportAs
from rejoinder.observe.fieldmap import FieldMap
from rejoinder.observe.mapped import Mapper, Place, Said
from rejoinder.observe.turns import Conversations, Order

MAPPER = Mapper(FieldMap({"preset": "flat"}), ImportAs(source="observe:chat"))
START = 1_700_000_000.0


def said(number: int, role: str, at: float, **more: Any) -> Said:
    record = {"conversation_id": "c", "id": f"m{number}", "role": role, "content": f"turn {number}", **more}
    found = MAPPER.read(record, Place("chat", "topic-id", 0, number, START + at)).said
    assert found is not None
    return found


def talk(turns: int, **numbering: bool) -> list[Said]:
    out = []
    for n in range(1, turns + 1):
        more: dict[str, Any] = {"turn": n} if numbering.get("numbered") else {}
        if numbering.get("parents") and n > 1:
            more["parent_id"] = f"m{n - 1}"
        out.append(said(n, "assistant" if n % 2 == 0 else "user", float(n), **more))
    return out


def settled(turns: list[Said], watermark: float, order: Order = Order(settle_s=10.0)) -> list[Any]:
    open_ = Conversations(order)
    for turn in turns:
        open_.add(turn, MAPPER)
    return [event for one in open_.settle(START + watermark) for event in one.events]


def shape(events: list[Any]) -> set[tuple[str, ...]]:
    return {
        (e.interaction_id, *(m.content for m in e.messages)) if isinstance(e, Interaction) else (e.interaction_id, "→")
        for e in events
    }


WHOLE = {
    ("m2", "turn 1"),
    ("m2", "→"),
    ("m4", "turn 1", "turn 2", "turn 3"),
    ("m4", "→"),
    ("m6", "turn 1", "turn 2", "turn 3", "turn 4", "turn 5"),
}


@pytest.mark.parametrize("numbering", ["numbered", "parents", "neither"])
def test_every_order_of_arrival_makes_the_same_events(numbering: str) -> None:
    expected = None
    turns = talk(6, **{numbering: True})
    orders = list(itertools.permutations(turns))
    for order in random.Random(1).sample(orders, 60):
        events = sorted(settled(list(order), 100.0), key=lambda event: event.event_id)
        assert shape(events) == WHOLE
        expected = expected or events
        assert events == expected


@pytest.mark.parametrize(("numbering", "at_once"), [("numbered", True), ("parents", True), ("neither", False)])
def test_what_is_known_to_be_whole_does_not_wait(numbering: str, at_once: bool) -> None:
    events = settled(talk(4, **{numbering: True}), watermark=4.0)
    assert bool(events) is at_once


def test_a_hole_is_waited_for_and_then_passed() -> None:
    turns = talk(4, numbered=True)
    late = turns.pop(1)
    open_ = Conversations(Order(settle_s=10.0))
    for turn in turns:
        open_.add(turn, MAPPER)
    # The first turn of the user follows nothing: it is settled. The two behind the hole wait.
    assert [one.said.id for one in open_.settle(START + 5.0)] == ["m1"]
    assert open_.held() == {("chat", 0): 3}
    events = [event for one in open_.settle(START + 20.0) for event in one.events]
    # A false history is worse than a short one: it begins behind the hole.
    assert shape(events) == {("m4", "turn 3")}
    assert events[0].turn == 0
    open_.add(late, MAPPER)
    assert shape([e for one in open_.settle(START + 21.0) for e in one.events]) == {("m2", "turn 1")}
    assert open_.held() == {}


def test_an_answer_without_a_question_is_told_unless_it_is_known_to_be_a_greeting() -> None:
    (lone,) = [said(2, "assistant", 2.0)]
    open_ = Conversations(Order(settle_s=1.0))
    open_.add(lone, MAPPER, tag="record")
    (one,) = open_.settle(START + 10.0)
    assert one.fault is not None
    assert (one.fault.cause, one.tag) == ("no_question", "record")
    greeting = [said(1, "assistant", 1.0, turn=1), said(2, "user", 2.0, turn=2), said(3, "assistant", 3.0, turn=3)]
    events = settled(greeting, 100.0)
    assert [event.interaction_id for event in events] == ["m3"]
    assert [m.role for m in events[0].messages] == [Role.ASSISTANT, Role.USER]


def test_another_answer_to_the_same_question_has_the_same_history() -> None:
    turns = [said(1, "user", 1.0), said(2, "assistant", 2.0), said(3, "assistant", 3.0), said(4, "user", 4.0)]
    events = settled(turns, 100.0)
    assert shape(events) == {("m2", "turn 1"), ("m3", "turn 1"), ("m3", "→")}
    assert [event.kind for event in events if not isinstance(event, Interaction)] == [FollowUp("turn 4")]


def test_where_nothing_has_a_time_messages_stand_as_they_lie() -> None:
    open_ = Conversations(Order(settle_s=0.0))
    for n, role in enumerate(("user", "assistant", "user", "assistant"), 1):
        record = {"conversation_id": "c", "id": f"m{n}", "role": role, "content": f"turn {n}"}
        message = MAPPER.read(record, Place("chat", "topic-id", 0, n)).said
        assert message is not None
        open_.add(message, MAPPER)
    events = [event for one in open_.settle(START) for event in one.events]
    assert shape(events) == {("m2", "turn 1"), ("m2", "→"), ("m4", "turn 1", "turn 2", "turn 3")}


def test_words_that_may_not_train_enter_no_answer_that_may() -> None:
    mapper = Mapper(FieldMap({"preset": "flat", "no_train": "opted_out"}), ImportAs(source="observe:chat"))
    open_ = Conversations(Order(settle_s=1.0))
    for n in range(1, 7):
        record = {"conversation_id": "c", "id": f"m{n}", "role": "user" if n % 2 else "assistant", "content": "x"}
        place = Place("chat", "topic-id", 0, n, START + n)
        message = mapper.read({**record, "opted_out": n == 3}, place).said
        assert message is not None
        open_.add(message, mapper)
    events = [event for one in open_.settle(START + 100.0) for event in one.events]
    assert {e.interaction_id: e.consent.value for e in events if isinstance(e, Interaction)} == {
        "m2": "UNSPECIFIED",
        "m4": "NO_TRAIN",
        "m6": "NO_TRAIN",
    }


def test_branches_are_told_apart_by_their_parents() -> None:
    turns = [
        said(1, "user", 1.0),
        said(2, "assistant", 2.0, parent_id="m1"),
        said(3, "user", 3.0, parent_id="m2"),
        # The first question asked anew: no follow-up of what came of the old one.
        said(4, "user", 4.0),
        said(5, "assistant", 5.0, parent_id="m4"),
    ]
    assert shape(settled(turns, 100.0)) == {("m2", "turn 1"), ("m2", "→"), ("m5", "turn 4")}


def test_a_history_reaches_back_so_far_and_no_farther() -> None:
    turns = [said(1, "user", 0.0), said(2, "assistant", 1.0), said(3, "user", 90.0), said(4, "assistant", 101.0)]
    events = settled(turns, 200.0, Order(settle_s=1.0, context_s=100.0))
    assert shape(events) == {("m2", "turn 1"), ("m2", "→"), ("m4", "turn 2", "turn 3")}


def test_a_restart_from_the_noted_moment_makes_the_same_events() -> None:
    """Whatever a kill leaves: the position is that of the first message that waits, and what came before it is read
    again from the moment that was noted."""
    turns = talk(8)
    order = Order(settle_s=3.0, context_s=50.0)
    whole = settled(turns, 100.0, order)
    for cut in range(1, len(turns)):
        first = Conversations(order)
        for turn in turns[:cut]:
            first.add(turn, MAPPER)
        watermark = turns[cut - 1].recorded_at
        done = [event for one in first.settle(watermark) for event in one.events]
        position = min(first.held().values(), default=cut + 1)
        since = first.since(watermark)
        second = Conversations(order)
        for turn in turns:
            if turn.recorded_at >= since or turn.place.offset >= position:
                second.add(turn, MAPPER, context=turn.place.offset < position)
        done += [event for one in second.settle(START + 100.0) for event in one.events]
        assert {event.event_id: event for event in done} == {event.event_id: event for event in whole}


def test_the_same_message_again_is_not_taken_twice_and_memory_is_bounded() -> None:
    open_ = Conversations(Order(settle_s=10.0, max_bytes=4040))
    (turn,) = talk(1)
    assert open_.add(turn, MAPPER)
    assert not open_.add(turn, MAPPER)
    for more in talk(12)[1:]:
        open_.add(more, MAPPER)
    open_.settle(START + 1.0)
    assert open_.hurried > 0
    # Six or seven characters each: what surrounds them counts, or short messages would be kept without a bound.
    assert sum(len(turns) for turns in open_._turns.values()) == 4


def test_what_no_number_and_no_parent_settles_is_not_looked_at_before_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each message of a busy conversation would cost as many looks as there are messages that wait."""
    looks: list[str] = []
    look = Conversations._before

    def counted(of: Conversations, message: Said) -> Any:
        looks.append(message.id)
        return look(of, message)

    monkeypatch.setattr(Conversations, "_before", counted)
    open_ = Conversations(Order(settle_s=1000.0))
    for turn in talk(40):
        open_.add(turn, MAPPER)
        open_.settle(turn.recorded_at)
    assert looks == []
    open_.settle(START + 2000.0)
    assert len(looks) == 40


def test_one_conversation_id_for_everybody_costs_no_more_with_each_message() -> None:
    open_ = Conversations(Order(settle_s=10.0, max_turns=10))
    longest = 0
    for turn in talk(400, numbered=True):
        open_.add(turn, MAPPER)
        for one in open_.settle(turn.recorded_at):
            longest = max(longest, *(len(e.messages) for e in one.events if isinstance(e, Interaction)), 0)
    assert longest == 10
    assert max(len(turns) for turns in open_._turns.values()) <= 40
    # What has lost its beginning waits like any other whose history is not known to be whole.
    assert len(open_) <= 10
