"""observe/follow: files that grow, rotate, break off and come back, through the observer itself: each line once."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import BadFile, BadSettings, FailedPrecondition, Unavailable
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import Interaction, RecordOutcome
from rejoinder.observe.events import ImportAs, events_of
from rejoinder.observe.fieldmap import FieldMap
from rejoinder.observe.follow import FileMember, placed
from rejoinder.observe.formats import FORMATS
from rejoinder.observe.formatted import Formatted
from rejoinder.observe.letters import Letters
from rejoinder.observe.mapped import Event, Mapper, Reads
from rejoinder.observe.observer import Manner, Observer
from rejoinder.observe.positions import Positions
from rejoinder.observe.settings import ObserveSettings
from rejoinder.observe.turns import Order
from rejoinder.stream.headers import event_of
from rejoinder.stream.port import NewRecord, Record

from tests.observe.formats.test_contract import SAMPLES
from tests.system.ingest.serving import Lines

OPENAI = Mapper(FieldMap({"preset": "openai"}), ImportAs(source="observe:files"))


class Log:
    """What arrives, as ingest knows it: by id. owns: that, and how often each came."""

    def __init__(self) -> None:
        self.events: dict[str, Event] = {}
        self.came: Counter[str] = Counter()
        self.letters: list[NewRecord] = []
        self.away = False

    def record(self, topic: str, events: Sequence[Event]) -> Sequence[tuple[RecordOutcome, str]]:
        out = []
        if self.away:
            raise Unavailable("as a test wants it")
        for event in events:
            self.came[event.event_id] += 1
            known = self.events.setdefault(event.event_id, event)
            assert known == event, "another body under one id"
            out.append((RecordOutcome.RECORDED if known is event else RecordOutcome.DUPLICATE, ""))
        return out

    def bury(self, letters: Sequence[NewRecord]) -> None:
        self.letters += letters

    @property
    def answers(self) -> list[str]:
        return [event.response for event in self.events.values() if isinstance(event, Interaction)]


class Follower:
    """The observer over files, a turn at a time. owns: the member."""

    def __init__(
        self,
        folder: Path,
        log: Log,
        *paths: str,
        reads: Reads = OPENAI,
        batch: int = 500,
        works: type[Observer] = Observer,
        **more: Any,
    ) -> None:
        self.clock = ManualClock(0.0)
        self.metrics = Metrics()
        given = {"max_line_bytes": 100_000, "look_s": 1.0, "most": 50, **more}
        self.lines = Lines()
        named = {"files": [str(folder / path) for path in paths]}
        state = Positions(folder / "state")
        self.member = FileMember(named, state, clock=self.clock, log=self.lines.log, wait=lambda s: None, **given)
        self._observer = works(
            member=self.member,
            sink=log,
            mappers={"files": reads},
            ids={},
            letters=Letters(None, "default", self.clock),
            order=Order(),
            manner=Manner(batch=batch, poison_limit=5),
            clock=self.clock,
            metrics=self.metrics,
            log=self.lines.log,
            wait=lambda seconds: None,
            placed=placed,
            lag="observe_lag_bytes",
        )

    def turns(self, count: int = 6) -> None:
        for _ in range(count):
            self.clock.advance(1.0)
            self._observer.turn()

    def close(self) -> None:
        self.member.close()


@contextmanager
def following(folder: Path, log: Log, *paths: str, **more: Any) -> Iterator[Follower]:
    made = Follower(folder, log, *(paths or ("app.jsonl",)), **more)
    try:
        yield made
    finally:
        made.close()


def line(number: int, answer: str | None = None) -> bytes:
    """A turn without an id of its own."""
    said = {"messages": [{"role": "user", "content": "q"}], "answer": answer or f"a{number}", "created": 1.6e9 + number}
    return json.dumps(said).encode() + b"\n"


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_what_is_there_and_what_comes_is_read_once_and_a_restart_goes_on_where_it_stood(tmp_path: Path) -> None:
    log, path = Log(), tmp_path / "app.jsonl"
    append(path, line(0) + b"\n  \n" + line(1))
    with following(tmp_path, log) as one:
        one.turns()
        append(path, line(2))
        one.turns()
        assert log.answers == ["a0", "a1", "a2"]
        assert one.metrics["observe_lag_bytes"]._value.get() == 0
    append(path, line(3))
    with following(tmp_path, log) as one:
        one.turns()
    assert log.answers == ["a0", "a1", "a2", "a3"]
    assert set(log.came.values()) == {1}


def test_lines_alike_are_as_many_as_there_are_and_read_anew_they_are_the_same(tmp_path: Path) -> None:
    """Two people say the same; and the positions are lost."""
    log, path = Log(), tmp_path / "app.jsonl"
    append(path, line(0) + line(0) + line(1))
    with following(tmp_path, log) as one:
        one.turns()
    (tmp_path / "state" / "positions.json").unlink()
    with following(tmp_path, log) as one:
        one.turns()
    assert log.answers == ["a0", "a0", "a1"]
    assert set(log.came.values()) == {2}


def test_a_last_line_waits_for_its_end_or_until_it_is_whole(tmp_path: Path) -> None:
    log, path = Log(), tmp_path / "app.jsonl"
    whole = line(0)
    append(path, whole[:-10])
    with following(tmp_path, log) as one:
        one.turns()
        assert not log.answers
        append(path, whole[-10:] + line(1)[:-1])
        one.turns()
        assert log.answers == ["a0", "a1"]
        append(path, b"\n" + line(2))
        one.turns()
    assert log.answers == ["a0", "a1", "a2"]
    assert not log.letters
    assert set(log.came.values()) == {1}


def test_renamed_away_it_is_read_to_its_end_and_its_successor_from_its_beginning(tmp_path: Path) -> None:
    log, path = Log(), tmp_path / "app.jsonl"
    append(path, line(0))
    with following(tmp_path, log) as one:
        one.turns()
        append(path, line(1))
        path.rename(tmp_path / "app.jsonl.1")
        append(path, line(2))
        append(tmp_path / "app.jsonl.1", line(3))
        one.turns()
    assert sorted(log.answers) == ["a0", "a1", "a2", "a3"]
    assert set(log.came.values()) == {1}


def test_renamed_twice_while_nobody_read_nothing_is_missed(tmp_path: Path) -> None:
    log, path = Log(), tmp_path / "app.jsonl"
    append(path, line(0))
    with following(tmp_path, log) as one:
        one.turns()
    append(path, line(1))
    path.rename(tmp_path / "app.jsonl.2")
    append(path, line(2))
    path.rename(tmp_path / "app.jsonl.1")
    append(path, line(3))
    with following(tmp_path, log) as one:
        one.turns()
    assert sorted(log.answers) == ["a0", "a1", "a2", "a3"]
    assert set(log.came.values()) == {1}


def test_copied_and_truncated_what_was_not_read_is_found_in_the_copy(tmp_path: Path) -> None:
    """The copy goes on where the original stood; also where the original has grown beyond that since."""
    log, path = Log(), tmp_path / "app.jsonl"
    append(path, line(0))
    with following(tmp_path, log) as one:
        one.turns()
        for first, most in ((1, 2), (3, 30)):
            append(path, line(first))
            (tmp_path / f"app.jsonl.{first}").write_bytes(path.read_bytes())
            os.truncate(path, 0)
            append(path, b"".join(line(100 * first + n) for n in range(most)))
            one.turns(12)
    wanted = ["a0", "a1", "a3", *(f"a{100 + n}" for n in range(2)), *(f"a{300 + n}" for n in range(30))]
    assert sorted(log.answers) == sorted(wanted)
    assert set(log.came.values()) == {1}


LONG = line(0, "a0 " + "x" * 2000)


def refill(path: Path, data: bytes) -> None:
    """As copytruncate does; the new content is longer than the old one."""
    path.with_name("app.jsonl.1").write_bytes(path.read_bytes())
    os.truncate(path, 0)
    append(path, data)


def test_another_content_with_the_same_beginning_that_is_longer_by_now_is_read_whole(tmp_path: Path) -> None:
    log, path = Log(), tmp_path / "app.jsonl"
    append(path, LONG + line(1) + line(2))
    with following(tmp_path, log) as one:
        one.turns()
        refill(path, LONG + b"".join(line(10 + n) for n in range(6)))
        one.turns()
    assert log.answers[1:] == ["a1", "a2", *(f"a{10 + n}" for n in range(6))]


@pytest.mark.parametrize("when", ["rejoinder.observe.follow._first_line", "tests.observe.test_follow.Log.record"])
def test_replaced_while_it_is_read_or_before_it_is_committed_both_contents_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    log, path = Log(), tmp_path / "app.jsonl"
    append(path, LONG + line(1) + line(2))
    works, done = resolve_name(when), []

    def late(*given: Any) -> Any:
        if not done:
            done.append(True)
            refill(path, LONG + b"".join(line(10 + n) for n in range(6)))
        return works(*given)

    monkeypatch.setattr(when, late)
    with following(tmp_path, log) as one:
        one.turns(8)
    assert done
    assert sorted(log.answers)[1:] == sorted(["a1", "a2", *(f"a{10 + n}" for n in range(6))])


def test_a_copy_that_a_pattern_names_as_well_doubles_nothing(tmp_path: Path) -> None:
    log, path = Log(), tmp_path / "app.jsonl"
    append(path, line(0) + line(1))
    with following(tmp_path, log, "app*") as one:
        one.turns()
        append(path, line(2))
        (tmp_path / "app-old.jsonl").write_bytes(path.read_bytes())
        one.turns()
    assert log.answers == ["a0", "a1", "a2"]


def test_what_was_rotated_before_the_first_look_is_passed_and_packed_files_always(tmp_path: Path) -> None:
    log = Log()
    append(tmp_path / "app.jsonl.1", line(0))
    append(tmp_path / "app.jsonl", line(1))
    append(tmp_path / "app.jsonl.2.gz", b"\x1f\x8b not looked at\n")
    for _ in range(2):
        with following(tmp_path, log) as one:
            one.turns()
    append(tmp_path / "app.jsonl.3", line(2))
    with following(tmp_path, log) as one:
        one.turns()
    assert log.answers == ["a1", "a2"]


def test_rotated_away_before_it_was_ever_seen_it_is_read(tmp_path: Path) -> None:
    """The observer was there first."""
    log, path = Log(), tmp_path / "app.jsonl"
    with following(tmp_path, log) as one:
        one.turns()
        append(path, line(0))
        path.rename(tmp_path / "app.jsonl.1")
        one.turns()
        append(path, line(1))
        one.turns()
    assert log.answers == ["a0", "a1"]


def test_deleted_while_it_is_open_it_is_read_to_its_end_and_let_go(tmp_path: Path) -> None:
    log, path = Log(), tmp_path / "app.jsonl"
    append(path, line(0))
    with following(tmp_path, log) as one:
        one.turns()
        append(path, line(1))
        path.unlink()
        one.turns(4)
        assert len(one.member.assignment()) == 1
        one.turns(20)
        assert not one.member.assignment()
    assert log.answers == ["a0", "a1"]


@pytest.mark.parametrize("last", [line(1)[:-9], line(1)[:-1], b"x" * 2000])
def test_deleted_with_a_last_line_without_its_end_it_is_let_go(tmp_path: Path, last: bytes) -> None:
    log, path = Log(), tmp_path / "app.jsonl"
    append(path, line(0))
    with following(tmp_path, log, max_line_bytes=1024) as one:
        one.turns()
        append(path, last)
        path.unlink()
        one.turns(30)
        assert not one.member.assignment()
    assert log.answers == (["a0", "a1"] if last == line(1)[:-1] else ["a0"])


def test_a_poll_is_bounded_in_bytes_over_all_files(tmp_path: Path) -> None:
    for name in "ab":
        append(tmp_path / f"{name}.jsonl", (b"x" * (1 << 20) + b"\n") * 20)
    with following(tmp_path, Log(), "*.jsonl", max_line_bytes=2 << 20) as one:
        assert not one.member.poll(0.0)
        assert [len(one.member.poll(0.0)) for _ in range(3)] == [32, 8, 0]


def test_letters_of_two_machines_are_as_many_as_their_lines(tmp_path: Path) -> None:
    """The same source, serial, offset and reason; and read anew, it is the same letter."""
    ids = []
    for folder, said in (("a", b"one\n"), ("b", b"two\n"), ("a", b"")):
        log, at = Log(), tmp_path / folder
        at.mkdir(exist_ok=True)
        append(at / "app.jsonl", said)
        (at / "state" / "positions.json").unlink(missing_ok=True)
        with following(at, log) as one:
            one.turns()
        ids += [event_of(Record(m.topic, 0, 0, m.key, m.value, m.headers, 0.0)).event_id for m in log.letters]
    assert ids[0] == ids[2] != ids[1]
    assert len(ids) == 3


def test_several_files_take_turns_and_each_keeps_its_order(tmp_path: Path) -> None:
    log = Log()
    for name in "abc":
        append(tmp_path / f"{name}.jsonl", b"".join(line(n, f"{name}{n}") for n in range(40)))
    with following(tmp_path, log, "*.jsonl", batch=7) as one:
        one.turns(8)
        assert {answer[0] for answer in log.answers} == {"a", "b", "c"}
        one.turns(20)
    assert len(log.answers) == 120
    assert [a for a in log.answers if a[0] == "b"] == [f"b{n}" for n in range(40)]


def test_a_line_above_the_limit_is_put_aside_unread_and_the_next_is_taken(tmp_path: Path) -> None:
    log, path = Log(), tmp_path / "app.jsonl"
    append(path, line(0) + b'{"a": "' + b"x" * 700_000)
    with following(tmp_path, log, max_line_bytes=1024) as one:
        one.turns()
        assert log.answers == ["a0"]
        append(path, b'"}\n' + line(1) + b"\xff\xfe\n" + b"[" * 900 + b"\n" + line(2))
        one.turns()
        assert log.answers == ["a0", "a1", "a2"]
        assert len(log.letters) == 3
        assert "xxx" not in one.lines.text


def test_a_short_limit_holds_for_lines_that_are_read_at_one_look(tmp_path: Path) -> None:
    log, path = Log(), tmp_path / "app.jsonl"
    append(path, line(0) + LONG + line(1))
    with following(tmp_path, log, max_line_bytes=1024) as one:
        one.turns()
    assert log.answers == ["a0", "a1"]
    assert len(log.letters) == 1


def test_a_format_of_the_import_makes_the_events_that_the_import_makes(tmp_path: Path) -> None:
    log, path = Log(), tmp_path / "app.jsonl"
    append(path, b"".join(json.dumps(sample).encode() + b"\n" for sample in SAMPLES.values()))
    target = lambda name: ImportAs(source=f"import:{name}")  # noqa: E731
    with following(tmp_path, log, reads=Formatted("auto", target)) as one:
        one.turns()
    made = [e for n in FORMATS for c in FORMATS[n].make(SAMPLES[n]) for e in events_of(c, target(n))]
    assert sorted(log.events) == sorted(event.event_id for event in made)


def test_at_seeded_moments_of_writing_rotating_and_restarting_each_line_counts_once(tmp_path: Path) -> None:
    rng, log, path = random.Random(7), Log(), tmp_path / "app.jsonl"
    written, rest, follower = 0, b"", Follower(tmp_path, log, "app.jsonl", batch=5)
    for step in range(200):
        match rng.randrange(8):
            case 0 | 1 | 2:
                more = rng.randint(1, 4)
                data = rest + b"".join(line(written + n) for n in range(more))
                cut = rng.randint(1, len(data))
                append(path, data[:cut])
                rest, written = data[cut:], written + more
            case 3 if not rest:
                if path.exists():
                    path.rename(tmp_path / f"app.jsonl.{step}")
            case 4 if not rest and path.exists():
                (tmp_path / f"app.jsonl.{step}").write_bytes(path.read_bytes())
                os.truncate(path, 0)
            case 5:
                follower.close()
                follower = Follower(tmp_path, log, "app.jsonl", batch=5)
            case _:
                follower.turns(rng.randint(1, 4))
    append(path, rest)
    follower.turns(written // 5 + 20)
    follower.close()
    assert not log.letters
    assert Counter(log.answers) == Counter(f"a{n}" for n in range(written))


class Hasty(Observer):
    """The control: commits before the log has it."""

    def _deliver(self) -> None:
        self._commit()
        super()._deliver()


@pytest.mark.parametrize(("works", "lost"), [(Observer, 0), (Hasty, 2)])
def test_killed_while_the_log_is_away_nothing_is_lost_and_who_commits_too_early_is_found_out(
    tmp_path: Path, works: type[Observer], lost: int
) -> None:
    log = Log()
    append(tmp_path / "app.jsonl", line(0) + line(1))
    log.away = True
    with following(tmp_path, log, works=works) as one, pytest.raises(Unavailable):
        one.turns()
    log.away = False
    with following(tmp_path, log) as one:
        one.turns()
    assert len(log.answers) == 2 - lost


def test_positions_belong_to_one_process_and_are_ours(tmp_path: Path) -> None:
    held = Positions(tmp_path)
    with pytest.raises(FailedPrecondition, match="another observer"):
        Positions(tmp_path)
    held.close()
    for broken in (
        b"[]",
        b"{",
        b'{"version": 2}',
        b'{"version": 1, "next_serial": 1, "begun": [], "streams": [{}]}',
        b"\xff",
    ):
        (tmp_path / "positions.json").write_bytes(broken)
        with pytest.raises(BadFile, match="is not a file of positions"):
            Positions(tmp_path)


def test_too_many_files_end_it_and_settings_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    for name in "abc":
        append(tmp_path / f"{name}.jsonl", line(0))
    with following(tmp_path, Log(), "*.jsonl", most=2) as one, pytest.raises(FailedPrecondition, match=r"files\.most"):
        one.turns()
    for bad, told in (
        ({"paths": ["x"], "map": {"preset": "flat"}}, "form: turns needs a topic"),
        ({"paths": ["x"], "format": "opanai"}, "format must be one of auto"),
    ):
        of = ObserveSettings.model_validate({"files": {"follow": [bad]}})
        with pytest.raises(BadSettings, match=told):
            of.followed()
