"""observe/replay: what was put aside is read again by the mended map, once however often it is asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import LogUnavailable
from rejoinder.core.ids import subject_of
from rejoinder.core.types import Coordinate, Erasure, Feedback, FollowUp, Interaction, RecordOutcome
from rejoinder.observe.events import ImportAs
from rejoinder.observe.fieldmap import FieldMap
from rejoinder.observe.letters import Letters
from rejoinder.observe.mapped import Event, Mapper
from rejoinder.observe.replay import Again, Replay
from rejoinder.observe.turns import Order
from rejoinder.stream.headers import record_of
from rejoinder.stream.memory import MemoryLog
from rejoinder.stream.port import Record

NOW = 1_700_000_000.0
KEY = b"k" * 16
RATED = {
    "form": "reaction",
    "id": "id",
    "interaction": "about",
    "user": "user_id",
    "reactions": [{"kind": "rating", "number": "stars", "scale": [1, 5]}],
}


class Theirs:
    """Topics of theirs as lists of one partition. start: what retention has left begins there."""

    def __init__(self, **topics: Sequence[Any]) -> None:
        self.start = 0
        self.runs = {
            topic: [
                Record(topic, 0, n, b"", v if isinstance(v, bytes) else json.dumps(v).encode(), (), NOW + n)
                for n, v in enumerate(values)
            ]
            for topic, values in topics.items()
        }

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        return {0: len(self.runs[topic])}

    def offsets_at(self, topic: str, moment: float) -> Mapping[int, int]:
        return {0: next((r.offset for r in self.runs[topic] if r.timestamp >= moment), len(self.runs[topic]))}

    def read(self, topic: str, partition: int, offset: int, max_records: int) -> Sequence[Record]:
        # A few at a time, so that runs meet their ends.
        return self.runs[topic][max(offset, self.start) :][: min(3, max_records)]


class Service:
    """Takes an id once. owns: what it took."""

    def __init__(self) -> None:
        self.taken: dict[str, Event] = {}

    def record(self, topic: str, events: Sequence[Event]) -> Sequence[tuple[RecordOutcome, str]]:
        return [self._take(event) for event in events]

    def _take(self, event: Event) -> tuple[RecordOutcome, str]:
        before = self.taken.setdefault(event.event_id, event)
        if before is event:
            return RecordOutcome.RECORDED, ""
        return (RecordOutcome.DUPLICATE, "") if before == event else (RecordOutcome.REJECTED, "EVENT_ID_CONFLICT")

    def bury(self, letters: Sequence[Any]) -> None:
        raise AssertionError("what does not fit yet is put aside already")


class Bench:
    """Our log with dead letters of their records, and the service. owns: both."""

    def __init__(self, theirs: Theirs, maps: Mapping[str, Any], key: bytes | None = KEY) -> None:
        self.clock = ManualClock(NOW + 1_000.0)
        self.log = MemoryLog(self.clock)
        self.service = Service()
        self.theirs = theirs
        self.key = key
        self.maps = dict(maps)

    def bury(self, topic: str, *offsets: int, reason: str = "EMPTY_FIELD", user: str = "", of: str = "id-") -> None:
        letters = Letters(self.key, "t", self.clock)
        for offset in offsets:
            self.log.append([letters.record(self.theirs.runs[topic][offset], f"{of}{topic}", reason, user)]).result()

    def replay(self, *reasons: str, at: Coordinate | None = None) -> Again:
        mappers = {
            topic: Mapper(FieldMap(of), ImportAs("t", source=f"observe:{topic}")) for topic, of in self.maps.items()
        }
        ids = {topic: f"id-{topic}" for topic in self.maps}
        made = Replay(self.theirs, self.service, mappers, ids, Order(), self.key, "t", self.clock)
        return made.run(self.log, reasons, at)


def stars(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": f"r{number}", "about": "x", "stars": 4, **fields}


def test_what_fits_the_mended_map_is_recorded_once_and_nothing_else_is_touched() -> None:
    """F06, F07."""
    bench = Bench(Theirs(stars=[stars(n) for n in range(12)], other=[stars(99)]), {"stars": RATED})
    bench.bury("stars", 1, 4, 11)
    bench.bury("stars", 4, reason="INVALID_ARGUMENT")
    bench.bury("other", 0)
    assert bench.replay("EMPTY_FIELD") == Again(taken=3, recorded=3, elsewhere=1)
    assert bench.replay() == Again(taken=3, before=3, elsewhere=1)
    assert sorted(event.interaction_id for event in bench.service.taken.values()) == ["x"] * 3
    # As old as its record: an erasure that came later has it too.
    assert sorted(event.accepted_at for event in bench.service.taken.values()) == [NOW + 1, NOW + 4, NOW + 11]


def test_one_that_was_broken_off_goes_on_where_it_was_when_it_is_asked_for_again() -> None:
    bench = Bench(Theirs(stars=[stars(n) for n in range(1_200)]), {"stars": RATED})
    bench.bury("stars", *range(1_200))
    record, calls = bench.service.record, iter(range(9))

    def breaks_off(topic: str, events: Sequence[Event]) -> Sequence[tuple[RecordOutcome, str]]:
        if next(calls) == 1:
            raise LogUnavailable("as a test wants it")
        return record(topic, events)

    bench.service.record = breaks_off  # type: ignore[method-assign]
    with pytest.raises(LogUnavailable):
        bench.replay()
    assert bench.replay() == Again(taken=1_200, before=500, recorded=700)


def test_one_may_be_named_by_its_place() -> None:
    bench = Bench(Theirs(stars=[stars(n) for n in range(3)]), {"stars": RATED})
    bench.bury("stars", 0, 1, 2)
    assert bench.replay(at=Coordinate("observe:stars", 0, 1)) == Again(taken=1, recorded=1)


def test_what_does_not_fit_yet_or_is_left_out_now_is_told() -> None:
    bench = Bench(Theirs(stars=[b"no json", stars(1, kind="x"), stars(2)]), {"stars": {**RATED, "where": "!kind"}})
    bench.bury("stars", 0, 1, 2)
    assert bench.replay() == Again(taken=1, recorded=1, unmapped=1, passed=1)


def test_what_retention_took_is_read_out_of_the_dead_letter_where_that_has_it() -> None:
    bench = Bench(Theirs(stars=[stars(0, user_id="ann"), stars(1), stars(2)]), {"stars": RATED})
    bench.bury("stars", 0, user="ann")
    bench.bury("stars", 1, 2)
    bench.theirs.start = 2
    assert bench.replay() == Again(taken=2, recorded=2, gone=1)
    assert sorted(event.user_id for event in bench.service.taken.values()) == ["", "ann"]


def test_a_place_on_a_topic_that_was_made_anew_is_another_records() -> None:
    bench = Bench(Theirs(stars=[stars(0)]), {"stars": RATED})
    bench.bury("stars", 0, of="old-")
    assert bench.replay() == Again(anew=1)


@pytest.mark.parametrize("user", ["ann", ""], ids=["found then", "found only now"])
def test_what_an_erased_user_said_stays_away(user: str) -> None:
    """F16."""
    bench = Bench(Theirs(stars=[stars(0, user_id="ann"), stars(1, user_id="bob")]), {"stars": RATED})
    bench.bury("stars", 0, user=user)
    bench.bury("stars", 1, user="bob")
    bench.log.append([record_of(Erasure(subject_of(KEY, "t", "ann"), "ticket", NOW + 500.0, 0.0), "/t")]).result()
    done = bench.replay()
    assert (done.recorded, done.erased) == (1, 1)
    assert [event.user_id for event in bench.service.taken.values()] == ["bob"]


def test_a_message_finds_its_place_in_its_conversation_and_what_was_said_behind_it() -> None:
    """An answer was put aside: its question lies before it, the follow-up on it behind; another conversation's message
    is left alone, and so is what was taken meanwhile."""

    def said(conversation: str, number: int, who: str) -> dict[str, Any]:
        return {
            "conversation_id": conversation,
            "id": f"{conversation}{number}",
            "role": who,
            "content": f"words {number}",
            "user_id": "u",
        }

    talk = [said("c", n, ("user", "assistant")[n % 2]) for n in range(6)]
    talk[1] = {**talk[1], "role": "Agent"}
    other = [said("d", n, ("user", "assistant")[n % 2]) for n in range(3)]
    bench = Bench(Theirs(chat=[*talk, *other]), {"chat": {"preset": "flat"}})
    bench.bury("chat", 1, reason="INVALID_ARGUMENT")
    assert bench.replay() == Again(unmapped=1)
    bench.maps["chat"] = {
        "preset": "flat",
        "role": {"of": "role", "is": {"Agent": "assistant", "assistant": "assistant", "user": "user"}},
    }
    assert bench.replay() == Again(taken=1, recorded=2)
    (answer,) = [event for event in bench.service.taken.values() if isinstance(event, Interaction)]
    assert (answer.interaction_id, [message.content for message in answer.messages]) == ("c1", ["words 0"])
    (followed,) = [event for event in bench.service.taken.values() if isinstance(event, Feedback)]
    assert (followed.interaction_id, followed.kind) == ("c1", FollowUp("words 2"))
    assert bench.replay() == Again(taken=1, before=2)
    # What is known otherwise stays as it was.
    bench.service.taken[followed.event_id] = bench.service.taken[answer.event_id]
    assert bench.replay() == Again(taken=1, before=1, refused={"EVENT_ID_CONFLICT": 1})


def test_a_message_of_a_long_conversation_has_the_history_that_stood_before_it() -> None:
    """One conversation id for a whole channel: far more is said behind a message than a history holds."""
    talk = [
        {"conversation_id": "c", "id": f"c{n}", "role": ("user", "assistant")[n % 2], "content": f"words {n}"}
        for n in range(900)
    ]
    for n in (3, 899):
        talk[n]["role"] = "Agent"
    bench = Bench(Theirs(chat=talk), {"chat": {"preset": "flat"}})
    bench.bury("chat", 3, 899, reason="INVALID_ARGUMENT")
    bench.maps["chat"] = {
        "preset": "flat",
        "role": {"of": "role", "is": {"Agent": "assistant", "assistant": "assistant", "user": "user"}},
    }
    assert bench.replay().taken == 2
    answers = {event.interaction_id: event for event in bench.service.taken.values() if isinstance(event, Interaction)}
    assert [message.content for message in answers["c3"].messages] == ["words 0", "words 1", "words 2"]
    assert answers["c899"].messages[-1].content == "words 898"
