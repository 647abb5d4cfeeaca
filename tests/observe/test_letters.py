"""observe/letters: a record of theirs that was put aside lies in the ledger, is never replayed, and is erased."""

from __future__ import annotations

import time
from pathlib import Path

from rejoinder.cli.datafolder import DataFolder, erasure_key
from rejoinder.core.clock import ManualClock, SystemClock
from rejoinder.observe.letters import MAX_BYTES, Letters
from rejoinder.stream.deadletters import Replayed, replay
from rejoinder.stream.headers import event_of
from rejoinder.stream.port import Record

VALUE = b'{"user_id": "u", "said": "words of a user"}'


def record(value: bytes = VALUE, at: float | None = None) -> Record:
    # A topic of theirs under one of our names.
    return Record("feedback", 2, 7, b"", value, (), time.time() - 60.0 if at is None else at)


def test_it_lies_in_the_ledger_until_its_user_is_erased_and_is_never_replayed(tmp_path: Path) -> None:
    """F16, U11: no byte of it is left behind."""
    letter = Letters(erasure_key(tmp_path), "default", SystemClock()).record(record(), "topic-id", "EMPTY_FIELD", "u")
    with DataFolder(tmp_path, create=True) as data:
        data.log.append([letter]).result()
        data.project()
        (row,) = [row for row in data.ledger.parity() if row.topic == "deadletters" and row.read]
        assert row.stored == 1
        assert replay(data.log, {"EMPTY_FIELD"}, "test") == Replayed(theirs=1)
        data.ledger.erase("default", "u", lambda new: data.log.append([new]).result())
        data.project()
        data.ledger.keep_house()
    assert not any(b"words of a user" in path.read_bytes() for path in tmp_path.glob("ledger.db*"))


def test_what_a_user_did_before_the_erasure_is_not_put_aside_as_new(tmp_path: Path) -> None:
    """F16: a record that is read again, or late, is as old as it was when their brokers took it."""
    # Long after the erasure's grace.
    letters = Letters(erasure_key(tmp_path), "default", ManualClock(time.time() + 10 * 86_400.0))
    before, after = (
        record(at=time.time() - 3600),
        record(at=time.time() + 20 * 86_400.0),
    )
    with DataFolder(tmp_path, create=True) as data:
        data.ledger.erase("default", "u", lambda new: data.log.append([new]).result())
        data.project()
        data.log.append([letters.record(before, "topic-id", "EMPTY_FIELD", "u")]).result()
        data.project()
        data.ledger.keep_house()
        (row,) = [row for row in data.ledger.parity() if row.topic == "deadletters" and row.read]
        assert (row.stored, row.erased) == (0, 1)
    assert not any(b"words of a user" in path.read_bytes() for path in tmp_path.glob("ledger.db*"))
    # A clock ahead of ours is not believed.
    made = letters.record(after, "topic-id", "EMPTY_FIELD", "u")
    letter = event_of(Record(made.topic, 0, 0, made.key, made.value, made.headers, 0.0))
    assert letter.accepted_at <= time.time() + 10 * 86_400.0


def test_bytes_are_kept_only_where_an_erasure_could_find_them() -> None:
    clock = SystemClock()
    unkeyed = Letters(None, "default", clock).record(record(), "topic-id", "UNREADABLE", "u")
    assert b"words of a user" not in unkeyed.value
    # No user that the map finds: no subject that an erasure could look for.
    unknown = Letters(b"k" * 16, "default", clock).record(record(), "topic-id", "UNREADABLE", "")
    assert b"words of a user" not in unknown.value
    large = Letters(b"k" * 16, "default", clock).record(record(b"x" * (MAX_BYTES + 1)), "topic-id", "UNREADABLE", "u")
    assert len(large.value) < 1000


def test_a_redelivery_makes_the_same_letter_and_another_topic_another() -> None:
    letters = Letters(None, "default", SystemClock())
    made = [letters.record(record(), origin, "UNREADABLE", "") for origin in ("one", "one", "two")]
    ids = [event_of(Record(m.topic, 0, 0, m.key, m.value, m.headers, 0.0)).event_id for m in made]
    assert ids[0] == ids[1] != ids[2]
