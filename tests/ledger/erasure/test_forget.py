"""ledger/forget, marks and erase: a user is forgotten everywhere, whichever was read first (F16, U11, U17, U23)."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest
from rejoinder.core import codec, types
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import Aborted, NotFound
from rejoinder.ledger.erasure.erase import covering
from rejoinder.ledger.erasure.forget import Forgetter
from rejoinder.ledger.intake.projector import Projector
from rejoinder.ledger.intake.replay import compare, replay
from rejoinder.ledger.stores import snapshot
from rejoinder.ledger.stores.dialect import address
from rejoinder.ledger.stores.schema import dead_letters, erasure_stores, feedback, interactions, set_aside, tombstones
from rejoinder.ledger.stores.store import read_meta
from rejoinder.stream.deadletters import DeadLetters
from rejoinder.stream.port import Record
from sqlalchemy import func, select

SECRET = "my name is Ann and I live in Harbour Street"


def count(ledger, table) -> int:
    with ledger.store.reading() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def bytes_of(bench) -> bytes:
    """What lies on disk of the bench's ledgers; of a database its tables and indexes, not the server's own log."""
    folders = [bench.root] if bench.server is None else bench.server.folders(bench.databases)
    return b"".join(path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file())


def a_life(bench) -> Sequence[object]:
    """What one user left: an answered question, words, a parked comment, a conflict, nameless words; and another's."""
    mine = bench.answer("x1", conversation_id="c", response=SECRET)
    return [
        mine,
        bench.said("f1", "x1", kind=types.Comment(SECRET)),
        bench.said("parked", "unknown", kind=types.Comment(SECRET)),
        bench.said("f1", "x1", kind=types.Comment(f"{SECRET}, twice")),
        bench.said("nameless", "x1", user_id="", kind=types.Edit(SECRET)),
        bench.said("also-nameless", "", conversation_id="c", turn=1, user_id="", kind=types.Comment(SECRET)),
        bench.signal("f1", "x1"),
        bench.answer("y1", user_id="bob"),
        bench.said("g1", "y1", user_id="bob"),
    ]


def test_an_erased_user_is_in_no_table_and_in_no_byte_of_its_files(bench) -> None:
    log, ledger = bench.of(*a_life(bench)), bench.ledger()
    ledger.project(log)
    if bench.server is not None:
        # As its housekeeping does now and then: what it samples lies in the catalogue until it samples anew.
        with bench.server.connect(str(address(ledger.store.where.url).database)) as session:
            session.execute("ANALYZE")
    assert SECRET.encode() in bytes_of(bench)
    ledger.erase("t", "ann", log.append)
    ledger.project(log)
    assert (count(ledger, interactions), count(ledger, feedback), count(ledger, set_aside)) == (1, 1, 0)
    # Whoever comes after a process that ended here goes on: it is noted what is still to be written anew.
    ledger.close()
    ledger = bench.again(ledger.store.where)
    ledger.keep_house()
    assert SECRET.encode() not in bytes_of(bench)
    assert sum(row.erased for row in ledger.parity()) == 7
    assert all(row.balanced for row in ledger.parity())


def test_a_rebuilt_ledger_that_reads_the_erasure_first_has_the_same_digest(bench) -> None:
    log, ledger = bench.of(*a_life(bench)), bench.ledger()
    ledger.project(log)
    before = ledger.digest()
    ledger.erase("t", "ann", log.append)
    ledger.project(log)
    rebuilt = replay(log, bench.place(), ledger.settings, bench.clock)
    assert rebuilt == ledger.digest() != before


def test_a_late_record_of_before_is_dropped_and_a_returning_user_counts_again(bench) -> None:
    log, ledger = bench.log(), bench.ledger()
    ticket = ledger.erase("t", "ann", log.append)
    grace = ledger.settings.forgetting.grace_s
    log.put(bench.answer("late", after=grace - 1.0))
    log.put(bench.answer("again", after=grace + 1.0))
    ledger.project(log)
    with ledger.store.reading() as connection:
        assert connection.execute(select(interactions.c.interaction_id)).scalars().all() == ["again"]
    assert ticket.raw_copy_ends_at == bench.now + grace + ledger.settings.forgetting.log_retention_s


def test_words_that_an_ordinary_batch_takes_out_are_in_no_byte_of_its_files(bench) -> None:
    """A late record of before the erasure takes what names nobody with it."""
    log, ledger = bench.log(), bench.ledger()
    log.put(bench.said("f", "late", user_id="", kind=types.Comment(SECRET)))
    ledger.erase("t", "ann", log.append)
    ledger.project(log)
    assert count(ledger, feedback) == 1
    log.put(bench.answer("late"))
    ledger.project(log)
    ledger.keep_house()
    assert count(ledger, feedback) == 0
    assert SECRET.encode() not in bytes_of(bench)


def test_asked_twice_the_ticket_is_the_same_until_its_grace_is_over(bench) -> None:
    log, ledger = bench.of(bench.answer("x1")), bench.ledger()
    first = ledger.erase("t", "ann", log.append)
    ledger.project(log)
    assert ledger.erase("t", "ann", log.append) == first
    bench.clock.advance(ledger.settings.forgetting.grace_s + 1)
    assert ledger.erase("t", "ann", log.append).ticket != first.ticket


def test_the_erasure_on_the_log_names_nobody(bench) -> None:
    log, ledger = bench.log(), bench.ledger()
    ledger.erase("t", "ann", log.append)
    assert b"ann" not in log.everything()[0].value.replace(b"tenant", b"")


def test_of_a_conflict_the_other_users_body_takes_the_place_of_the_erased_one(bench) -> None:
    one = bench.said("f1", "", kind=types.Comment("first"))
    log, ledger = bench.of(one, replace(one, user_id="bob", kind=types.Comment("second"))), bench.ledger()
    ledger.project(log)
    ledger.erase("t", "ann", log.append)
    ledger.project(log)
    with ledger.store.reading() as connection:
        assert connection.execute(select(feedback.c.user_id)).scalars().all() == ["bob"]


def batched(bench, *batches: Sequence[Record]):
    """A ledger that took these batches, each in its own transaction; its digest, counters and marks."""
    ledger = bench.ledger()
    projector = Projector(ledger.store, ledger.settings, bench.clock)
    for batch in batches:
        with ledger.store.writing() as connection:
            projector.apply(connection, batch, {record.topic: "id" for record in batch})
    with ledger.store.reading() as connection:
        marks = set(connection.execute(select(tombstones)).all())
    return ledger.digest(), [replace(row, position=0) for row in ledger.parity()], marks


def test_of_two_erasures_that_reach_one_record_either_may_be_read_first(bench) -> None:
    """What names only that record goes with whoever's erasure covers it, whichever took the record."""
    shared = {"conversation_id": "c"}
    log = bench.of(
        bench.answer("a", **shared),
        bench.answer("b", user_id="bob", **shared),
        bench.answer("r", user_id="", **shared),
        bench.said("t", "r", after=500, user_id=""),
        bench.erasure("ann", after=100),
        bench.erasure("bob", after=1000),
    )
    events = [record for record in log.everything() if record.topic != "erasures"]
    ann, bob = ([record] for record in log.runs["erasures", 0])
    first = batched(bench, events, ann, bob)
    assert sum(row.erased for row in first[1]) == 4
    for order in ((events, bob, ann), (ann, bob, events), (bob, events, ann), (ann, events, bob)):
        assert batched(bench, *order) == first


def test_an_expired_copy_that_names_nobody_goes_with_what_it_names(bench) -> None:
    log = bench.log()
    log.put(bench.answer("a"))
    log.put(bench.said("f", "a", after=5, user_id="", kind=types.Comment(SECRET)), at=bench.now + 60 * 86_400)
    log.put(bench.erasure("ann", after=100))
    answer, late, erasure = (log.runs[topic, 0] for topic in ("interactions", "feedback", "erasures"))
    first = batched(bench, erasure, answer, late)
    assert sum(row.erased for row in first[1]) == 2
    for order in ((answer, late, erasure), (late, erasure, answer), (erasure, [*answer, *late])):
        assert batched(bench, *order) == first


def test_an_erasure_leaves_alone_what_names_nobody_else(bench) -> None:
    """Feedback that is taken out and put back gets a new number, and its readers see it again."""
    others = (bench.answer("n", user_id=""), bench.said("f", "n", user_id=""))
    log, ledger = bench.of(*others, bench.answer("a")), bench.ledger()
    ledger.project(log)
    before = [piece.number for piece in ledger.evidence("reader", 0, 10)]
    # The second one holds all that names nobody against the marks that the first one left.
    for after in (100, 200):
        log.put(bench.erasure("ann", after=after))
        ledger.project(log)
        assert [piece.number for piece in ledger.evidence("reader", 0, 10)] == before != []


class Pairs:
    """A set of pairs beyond the ledger: (tenant, user, accepted), or one that cannot be reached."""

    name = "pair_sets"

    def __init__(self, rows: Sequence[tuple[str, str, float]]) -> None:
        self.rows = list(rows)
        self.broken = False

    def erase(self, covers) -> int:
        if self.broken:
            raise OSError("the bucket is away")
        kept = [row for row in self.rows if not covers(*row)]
        removed = len(self.rows) - len(kept)
        self.rows = kept
        return removed

    def holds(self, covers) -> int:
        return sum(covers(*row) for row in self.rows)


def states(ledger, ticket: str) -> dict[str, str]:
    with ledger.store.reading() as connection:
        query = select(erasure_stores.c.store, erasure_stores.c.state).where(erasure_stores.c.ticket == ticket)
        return dict(connection.execute(query).all())


def test_every_store_is_listed_done_or_pending_and_a_broken_one_is_tried_again(bench) -> None:
    pairs = Pairs([("t", "ann", bench.now), ("t", "bob", bench.now)])
    log, ledger = bench.of(bench.answer("x1")), bench.ledger(others=(pairs,))
    ticket = ledger.erase("t", "ann", log.append).ticket
    ledger.project(log)
    pairs.broken = True
    assert ledger.finish_erasures(log) == {"pair_sets": "OSError"}
    assert states(ledger, ticket)["pair_sets"] == "pending"
    pairs.broken = False
    assert ledger.finish_erasures(log) == {}
    assert [user for _, user, _ in pairs.rows] == ["bob"]
    assert states(ledger, ticket)["pair_sets"] == "pending"  # late records may still come
    bench.clock.advance(ledger.settings.forgetting.grace_s + 1)
    ledger.finish_erasures(log)
    assert states(ledger, ticket)["ledger_files"] == "pending"
    ledger.keep_house()
    ledger.finish_erasures(log)
    found = states(ledger, ticket)
    assert found.pop("log") == "pending"  # by the log's own time, its records are as old as the ledger's
    assert found == dict.fromkeys(("ledger", "parked", "dead_letters", "windows", "ledger_files", "pair_sets"), "done")
    told = {node.id for node in ledger.trace("t", ticket) if node.kind == "store"}
    assert told - {"backups"} == {*found, "log"}


def with_snapshots(bench):
    """A ledger that writes one at each round, and their folder."""
    folder = bench.root / "snapshots"
    return bench.ledger(replace(bench.settings(), snapshots=folder)), folder


def round_of(ledger, number: int) -> None:
    ledger.window("assist", number, "", ledger.cut())
    ledger.keep_house()


def test_a_snapshot_forgets_too_and_restores_to_the_erased_ledger(bench) -> None:
    ledger, folder = with_snapshots(bench)
    log = bench.of(*a_life(bench))
    ledger.project(log)
    round_of(ledger, 1)
    (old,) = folder.iterdir()
    assert SECRET.encode() in gzip.decompress(old.read_bytes())
    ledger.erase("t", "ann", log.append)
    ledger.project(log)
    assert ledger.finish_erasures(log) == {}
    (left,) = folder.iterdir()
    assert left != old
    assert SECRET.encode() not in gzip.decompress(left.read_bytes())
    assert compare(ledger.store, log, bench.place(), ledger.settings, bench.clock, snapshot=left).equal


def test_words_in_a_snapshot_go_by_marks_that_were_left_after_it_was_written(bench) -> None:
    """They name nobody, and what they are about came later and was erased."""
    ledger, folder = with_snapshots(bench)
    log = bench.of(bench.said("f", "late", user_id="", kind=types.Comment(SECRET)))
    ledger.project(log)
    round_of(ledger, 1)
    log.put(bench.answer("late"))
    ledger.erase("t", "ann", log.append)
    ledger.project(log)
    ledger.finish_erasures(log)
    (left,) = folder.iterdir()
    assert SECRET.encode() not in gzip.decompress(left.read_bytes())
    assert compare(ledger.store, log, bench.place(), ledger.settings, bench.clock, snapshot=left).equal


def test_the_newest_snapshots_stay_and_what_a_killed_writer_left_goes(bench) -> None:
    ledger, folder = with_snapshots(bench)
    log = bench.of(bench.answer("x0"))
    for number in range(1, 5):
        log.put(bench.answer(f"x{number}"))
        ledger.project(log)
        round_of(ledger, number)
    assert len(list(folder.iterdir())) == ledger.settings.snapshots_kept == 2
    (folder / ".writing-torn").write_text(SECRET)
    (folder / ".writing-copy").mkdir()
    (folder / ".writing-copy" / "ledger.db").write_text(SECRET)
    ledger.erase("t", "ann", log.append)
    ledger.project(log)
    ledger.finish_erasures(log)
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_an_erasure_that_is_read_while_stores_are_looked_at_reaches_a_snapshot_the_next_time(bench) -> None:
    """A round asks for a look while the projector reads on."""
    log = bench.of(bench.answer("b", user_id="bob", response=SECRET))

    class Meanwhile(Pairs):
        def erase(self, covers) -> int:
            if not log.runs["erasures", 0][1:]:
                ledger.erase("t", "bob", log.append)
                ledger.project(log)
            return 0

    folder = bench.root / "snapshots"
    ledger = bench.ledger(replace(bench.settings(), snapshots=folder), others=(Meanwhile([]),))
    ledger.project(log)
    round_of(ledger, 1)
    ledger.erase("t", "carl", log.append)
    ledger.project(log)
    for _ in range(2):
        assert ledger.finish_erasures(log) == {}
    (left,) = folder.iterdir()
    assert SECRET.encode() not in gzip.decompress(left.read_bytes())


class Telling:
    """A lock that tells when somebody has to wait for it."""

    def __init__(self) -> None:
        self.waited = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            self.waited.set()
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_a_snapshot_that_is_being_written_is_not_taken_for_what_a_killed_process_left(bench, monkeypatch) -> None:
    """A round asks for a look while housekeeping writes that of the round before."""
    ledger, folder = with_snapshots(bench)
    log = bench.of(*a_life(bench))
    ledger.project(log)
    ledger.erase("t", "ann", log.append)
    ledger.project(log)
    ledger.finish_erasures(log)
    ledger._snapshots._one = telling = Telling()
    looking = threading.Thread(target=ledger.finish_erasures, args=(log,))
    lines = snapshot._lines

    def slowly(store):
        looking.start()
        assert telling.waited.wait(60), "the look goes on beside the writer"
        yield from lines(store)

    with monkeypatch.context() as patched:
        patched.setattr(snapshot, "_lines", slowly)
        round_of(ledger, 1)
    looking.join(60)
    assert [path.suffix for path in folder.iterdir()] == [".gz"]


def test_those_whom_a_snapshot_had_forgotten_cost_no_scan_of_it(bench, monkeypatch) -> None:
    ledger, folder = with_snapshots(bench)
    users = [f"user-{number}" for number in range(6)]
    log = bench.of(
        *(bench.answer(f"x-{user}", user_id=user) for user in users),
        *(bench.said(f"f-{user}", f"x-{user}", user_id="") for user in users),
        bench.answer("nobody's", user_id=""),
    )
    ledger.project(log)
    for user in users[1:]:
        ledger.erase("t", user, log.append)
        ledger.project(log)
    round_of(ledger, 1)
    ledger.erase("t", users[0], log.append)
    ledger.project(log)
    scans: list[object] = []
    scan = Forgetter._without_user
    monkeypatch.setattr(Forgetter, "_without_user", lambda self, limit: (scans.append(limit), scan(self, limit)))
    assert ledger.finish_erasures(log) == {}
    (left,) = folder.iterdir()
    assert f"x-{users[0]}".encode() not in gzip.decompress(left.read_bytes())
    assert len(scans) < len(users), "none for each whom it had forgotten"


def test_a_snapshot_with_nothing_of_theirs_is_not_made_into_a_ledger(bench, monkeypatch) -> None:
    """Its rounds name nobody either."""
    ledger, _ = with_snapshots(bench)
    log = bench.of(bench.answer("y1", user_id="bob"), types.RoundEvent(tenant="t", event_id="r1", policy="p", number=1))
    ledger.project(log)
    round_of(ledger, 1)
    ledger.erase("t", "ann", log.append)
    ledger.project(log)
    monkeypatch.setattr(snapshot, "restore", None)
    assert ledger.finish_erasures(log) == {}


def test_a_snapshot_that_cannot_be_written_is_tried_again_and_ends_nothing(bench) -> None:
    ledger, folder = with_snapshots(bench)
    ledger.project(bench.of(bench.answer("x1")))
    folder.write_text("no folder")
    with pytest.raises(Aborted):
        round_of(ledger, 1)
    folder.unlink()
    bench.clock.advance(61.0)
    ledger.keep_house()
    assert len(list(folder.iterdir())) == 1


def test_what_a_ticket_says_already_is_not_written_again(bench) -> None:
    """It waits for the log for a month: a look at that must not cost a line a ticket."""
    log, ledger = bench.of(bench.answer("x1")), bench.ledger(others=(Pairs([]),))
    ledger.erase("t", "ann", log.append)
    ledger.project(log)
    ledger.keep_house()
    ledger.finish_erasures(log)

    def commits() -> int:
        with ledger.store.reading() as connection:
            return read_meta(connection, "commits")

    before = commits()
    ledger.finish_erasures(log)
    assert commits() == before
    bench.clock.advance(ledger.settings.forgetting.grace_s + 1)
    ledger.finish_erasures(log)
    assert commits() == before + 2, "ledger_files and pair_sets are done"


def test_what_was_said_before_is_dropped_however_late_it_comes(bench) -> None:
    """U11: a spool that was cut off for longer than the grace, a worker that sets a record aside days later."""
    log, ledger = bench.log(), bench.ledger()
    ledger.erase("t", "ann", log.append)
    late = ledger.settings.forgetting.grace_s + 86_400.0
    said = bench.answer("x1", after=-5.0, response=SECRET)
    letters = DeadLetters(ledger.settings.forgetting.key, ManualClock(bench.now + late), "tests")
    source = bench.of(said).everything()[0]
    for event in (
        replace(said, accepted_at=bench.now + late),
        codec.decode(letters.record(source, "UNREADABLE").value, types.DeadLetter),
        bench.answer("back", after=late),
    ):
        log.put(event)
    ledger.project(log)
    with ledger.store.reading() as connection:
        assert connection.execute(select(interactions.c.interaction_id)).scalars().all() == ["back"]
    assert count(ledger, dead_letters) == 0
    assert sum(row.erased for row in ledger.parity()) == 2
    assert replay(log, bench.place(), ledger.settings, bench.clock) == ledger.digest()


def test_a_dead_letter_of_words_that_name_nobody_goes_with_what_they_are_about(bench) -> None:
    letters = DeadLetters(bench.key, bench.clock, "tests")
    said = bench.of(bench.said("f", "x1", user_id="", kind=types.Comment(SECRET))).everything()[0]
    letter = codec.decode(letters.record(said, "UNREADABLE").value, types.DeadLetter)
    other = bench.of(bench.said("g", "y1", user_id="")).everything()[0]
    kept = codec.decode(letters.record(replace(other, offset=7), "UNREADABLE").value, types.DeadLetter)
    log = bench.of(bench.answer("x1"), bench.answer("y1", user_id="bob"), letter, kept, bench.erasure("ann", after=100))
    answers, dead, erasure = (log.runs[topic, 0] for topic in ("interactions", "deadletters", "erasures"))
    first = batched(bench, erasure, answers, dead)
    assert sum(row.erased for row in first[1]) == 2
    for order in ((answers, dead, erasure), (dead, erasure, answers), (erasure, [*dead, *answers])):
        assert batched(bench, *order) == first


def test_a_pair_that_names_nobody_goes_with_the_event_it_was_made_of(bench) -> None:
    log, ledger = bench.of(*a_life(bench)), bench.ledger()
    ledger.project(log)
    ledger.erase("t", "ann", log.append)
    ledger.project(log)
    covers = covering(ledger.store, bench.key)
    assert covers("t", "", bench.now, ("nameless",))
    assert not covers("t", "", bench.now, ("g1",))
    assert not covers("other", "", bench.now, ("nameless",))


def test_the_log_is_done_with_a_ticket_once_all_that_it_has_came_later(bench) -> None:
    """One erasure after the other must not keep the first one open."""
    log, ledger = bench.of(bench.answer("x1")), bench.ledger()
    first = ledger.erase("t", "ann", log.append)
    ledger.project(log)
    later = ledger.settings.forgetting.grace_s + 10.0
    bench.clock.advance(later)
    ledger.finish_erasures(log)
    assert states(ledger, first.ticket)["log"] == "pending"
    log.expire()
    log.put(bench.answer("y1", after=later, user_id="bob"))
    second = ledger.erase("t", "bob", log.append)
    ledger.project(log)
    ledger.finish_erasures(log)
    assert states(ledger, first.ticket)["log"] == "done"
    assert states(ledger, second.ticket)["log"] == "pending"
    (node,) = (n for n in ledger.trace("t", first.ticket) if n.id == "log")
    assert float(node.facts["ends_at"]) == first.raw_copy_ends_at


def test_a_ticket_says_what_is_known_of_copies_that_nobody_here_can_reach(bench) -> None:
    for kept, said in ((None, "unknown"), (100.0, "done"), (1e6, "pending")):
        log = bench.of(bench.answer("x1"))
        with bench.ledger(replace(bench.settings(), backups_s=kept)) as ledger:
            ticket = ledger.erase("t", "ann", log.append).ticket
            ledger.project(log)
            bench.clock.advance(200.0)
            found = {n.id: n for n in ledger.trace("t", ticket) if n.kind == "store"}
            if kept is None and bench.server is None:
                assert "backups" not in found
            else:
                assert said in (found["backups"].state, found["backups"].facts["ends_at"])


def test_nobody_of_that_name_is_no_trace(bench) -> None:
    with pytest.raises(NotFound):
        bench.ledger().trace("t", "nothing")


@pytest.mark.parametrize("slow", [0.0, 600.0, 3 * 3600.0])
def test_a_slow_clock_costs_a_returning_user_as_much_as_it_is_slow_and_nothing_after(bench, slow: float) -> None:
    """What holds: accepted after the grace *and* said to have happened after the request. Words said before the request
    that an application delivers days later must stay away, and nobody but the client says when they were said. So a
    clock that is slower than the grace loses what it is slower by; what says no time counts by its acceptance."""
    log, ledger = bench.of(bench.answer("x1")), bench.ledger()
    ledger.erase("t", "ann", log.append)
    grace = ledger.settings.forgetting.grace_s
    lost = max(grace, slow)
    for name, after in (("in-grace", grace - 1.0), ("lost", lost - 1.0), ("kept", lost + 1.0)):
        log.put(bench.answer(name, occurred_at=bench.now + after - slow, accepted_at=bench.now + after))
    log.put(bench.answer("untimed", occurred_at=None, accepted_at=bench.now + grace + 1.0))
    ledger.project(log)
    stored = {name for name in ("in-grace", "lost", "kept", "untimed") if count_of(ledger, name)}
    assert stored == {"kept", "untimed"}
    assert sum(row.erased for row in ledger.parity()) == 3


def count_of(ledger, name: str) -> int:
    with ledger.store.reading() as connection:
        query = select(func.count()).select_from(interactions).where(interactions.c.interaction_id == name)
        return connection.execute(query).scalar_one()
