"""ledger/postgres: a server that dies, sessions that are cut, deadlocks and a second owner cost nothing that was stored
and double nothing (F06, F07, U01, U02)."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from rejoinder.core.errors import Aborted, BadSettings, Fenced, RejoinderError, StoreOwned, StoreUnavailable
from rejoinder.ledger.book import KEEP_AGAIN_S, Ledger
from rejoinder.ledger.intake import projector as projecting
from rejoinder.ledger.intake.projector import Projector
from rejoinder.ledger.service import follow
from rejoinder.ledger.stores import partitions
from rejoinder.ledger.stores.dialect import Postgres, address
from rejoinder.ledger.stores.store import Store
from sqlalchemy import event as hooks
from sqlalchemy.exc import DBAPIError

from tests.chaos.harness import wait_until
from tests.ledger.conftest import Bench, ListLog
from tests.postgresql import Server, _lives

BATCH = 40


@pytest.fixture
def world(postgres: Server, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, postgres)
    yield made
    made.close()


def a_log(bench: Bench, count: int = 120) -> ListLog:
    log = bench.log()
    for n in range(count):
        log.put(bench.answer(f"x{n}", after=n, conversation_id=f"c{n % 7}"), part=n % 2)
        log.put(bench.said(f"f{n}", f"x{(n * 7) % count}", after=n + 5), part=(n + 1) % 2)
        if n % 9 == 0:
            log.put(bench.said(f"f{n // 2}", f"x{(n // 2 * 7) % count}", after=n // 2 + 5), part=n % 2)
    return log


def cleanly(bench: Bench, log: ListLog) -> tuple[str, list[object]]:
    """What a ledger in a file that was never disturbed makes of a log."""
    with Ledger(bench.root / "clean.db", bench.settings(BATCH), bench.clock) as ledger:
        ledger.project(log)
        return ledger.digest(), list(ledger.parity())


def strike(ledger: Ledger, moment: int | str, blow: Callable[[], None]) -> None:
    """Does something at a moment of the next transactions: before their nth statement, or before a COMMIT."""
    count = 0
    struck = False

    def before(*_: object) -> None:
        nonlocal count, struck
        count += 1
        if not struck and (moment == "commit" or count == moment):
            struck = True
            blow()

    hooks.listen(ledger.store._engine, "commit" if moment == "commit" else "before_cursor_execute", before)


def mortal(server: Server) -> None:
    assert server.ours, "the test kills its server: unset REJOINDER_TEST_POSTGRES"


MOMENTS = (2, 9, 21, 40, "commit")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_server_killed_in_the_middle_of_a_batch_and_started_again(world: Bench, moment: int | str) -> None:
    mortal(world.server)
    log, ledger = a_log(world), world.ledger(world.settings(BATCH))
    ledger.project_once(log)
    strike(ledger, moment, world.server.kill)
    with pytest.raises(StoreUnavailable):
        ledger.project(log)
    with pytest.raises(StoreUnavailable, match="takes no connection"):
        ledger.project(log)
    world.server.restart()
    ledger.project(log)
    assert (ledger.digest(), list(ledger.parity())) == cleanly(world, log)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_session_cut_in_the_middle_of_a_batch(world: Bench, moment: int | str) -> None:
    log, ledger = a_log(world), world.ledger(world.settings(BATCH))
    ledger.project_once(log)
    strike(ledger, moment, lambda: world.server.cut(ledger.store.where))
    with pytest.raises(StoreUnavailable):
        ledger.project(log)
    ledger.project(log)
    assert (ledger.digest(), list(ledger.parity())) == cleanly(world, log)


async def test_a_running_projector_finds_its_server_again_by_itself(world: Bench) -> None:
    mortal(world.server)
    log, ledger = a_log(world), world.ledger(world.settings(BATCH))
    stop, heard = asyncio.Event(), []
    follower = asyncio.create_task(follow(ledger, log, 0.02, stop, lambda error: heard.append(error.reason)))
    await asyncio.to_thread(wait_until, lambda: bool(ledger.parity()), "the first batch")
    world.server.kill()
    await asyncio.to_thread(wait_until, lambda: "STORE_UNAVAILABLE" in heard, "the projector to notice")
    late = world.answer("late", after=500)
    log.put(late)
    world.server.restart()

    def read() -> int:
        try:
            return sum(row.read for row in ledger.parity())
        except StoreUnavailable:
            return 0

    await asyncio.to_thread(wait_until, lambda: read() == len(log.everything()), "the rest of the log")
    stop.set()
    await follower
    assert (ledger.digest(), list(ledger.parity())) == cleanly(world, log)


def test_a_reader_that_keeps_a_table_keeps_no_batch_and_no_housekeeping(
    world: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a backup does for hours: new days lie among the others until it is gone, erased bytes stay noted."""
    # All that is tried beside the reader ends by it.
    monkeypatch.setattr(partitions, "MOMENT_MS", 50)
    log, ledger = a_log(world), world.ledger()
    name = str(address(ledger.store.where.url).database)
    rewritten = "SELECT count(*) FROM meta WHERE name LIKE 'owed %'"
    with world.server.connect(name) as reader:
        with reader.transaction():
            reader.execute("LOCK TABLE interactions_other, set_aside IN ACCESS SHARE MODE")
            ledger.project(log)
            assert reader.execute("SELECT count(*) FROM interactions_other").fetchone() == (120,)
            ledger.erase("t", "ann", log.append)
            ledger.project(log)
            with pytest.raises(Aborted):
                ledger.keep_house()
            assert reader.execute(rewritten).fetchone() == (2,)
        ledger.keep_house()  # not again at once
        assert reader.execute(rewritten).fetchone() == (2,)
        world.clock.advance(KEEP_AGAIN_S)
        ledger.keep_house()
        assert reader.execute(rewritten).fetchone() == (0,)


def test_too_many_locks_say_what_to_raise(world: Bench) -> None:
    refused = DBAPIError("", {}, psycopg.errors.OutOfMemory())
    assert "max_locks_per_transaction" in str(world.ledger().store.database.meaning(refused))


def test_a_killed_test_run_leaves_no_server() -> None:
    script = (
        "import sys; from tests.postgresql import Server; server = Server(); server._make(); server.restart();"
        "print(server._process.pid, server.folder, flush=True); sys.stdin.read()"
    )
    run = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pid, folder = run.stdout.readline().split()
    run.kill()
    run.communicate()
    wait_until(lambda: not _lives(int(pid)), "the server to end")
    shutil.rmtree(folder)


def deadlocked(world: Bench, ledger: Ledger, log: ListLog) -> None:
    """Projects while another session holds what the batch wants, and wants what the batch holds; the batch is given
    up by the server, as the other does not look for deadlocks."""
    name = str(address(ledger.store.where.url).database)
    with world.server.connect(name) as other, other.transaction():
        other.execute("SET LOCAL deadlock_timeout = '1h'")
        other.execute("LOCK TABLE parity IN EXCLUSIVE MODE")
        errors: list[BaseException] = []

        def project() -> None:
            try:
                ledger.project(log)
            except StoreUnavailable as error:
                errors.append(error)

        thread = threading.Thread(target=project)
        thread.start()
        waits = "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
        with world.server.connect("postgres") as watch:
            wait_until(lambda: watch.execute(waits, [name]).fetchone() is not None, "the batch to wait")
        other.execute("UPDATE meta SET value = value WHERE name = 'commits'")
    thread.join(60)
    if errors:
        raise errors[0]


def test_a_deadlock_is_tried_again(world: Bench) -> None:
    log, ledger = a_log(world), world.ledger(world.settings(BATCH))
    deadlocked(world, ledger, log)
    assert (ledger.digest(), list(ledger.parity())) == cleanly(world, log)


def test_a_batch_that_is_given_up_for_good_is_not_stored_and_says_so(
    world: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: with no second try the deadlock shows."""
    monkeypatch.setattr(projecting, "TRIES", 1)
    log, ledger = a_log(world), world.ledger(world.settings(BATCH))
    with pytest.raises(StoreUnavailable, match="gave up the same batch 1 times"):
        deadlocked(world, ledger, log)
    assert ledger.parity() == []


def test_whoever_lost_its_session_to_another_owner_writes_no_more(world: Bench) -> None:
    log, where = a_log(world), world.place()
    first = world.again(replace(where, wait_s=0.1), world.settings(BATCH))
    first.project_once(log)
    world.server.cut(where)
    second = world.again(where, first.settings)
    second.project_once(log)
    for _ in range(2):
        with pytest.raises((StoreUnavailable, StoreOwned)) as caught:
            first.project(log)
    assert caught.type is StoreOwned
    assert "owns the ledger in 127.0.0.1" in caught.value.message
    second.project(log)
    assert (second.digest(), list(second.parity())) == cleanly(world, log)


def test_a_waiting_process_takes_over_when_the_owner_ends(world: Bench) -> None:
    log, first = a_log(world), world.ledger(world.settings(BATCH))
    first.project_once(log)
    made: list[Store] = []
    patient = replace(first.store.where, wait_s=60.0)
    thread = threading.Thread(target=lambda: made.append(Store(patient)))
    thread.start()
    waits = "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND wait_event = 'advisory'"
    with world.server.connect("postgres") as watch:
        name = [str(address(patient.url).database)]
        wait_until(lambda: watch.execute(waits, name).fetchone() is not None, "the second to wait")
    first.close()
    thread.join(60)
    assert len(made) == 1
    made[0].close()


def test_a_batch_that_another_has_written_meanwhile_is_fenced(world: Bench) -> None:
    """As behind a pooler that gives sessions away, where the lock protects nobody."""
    log, ledger = a_log(world), world.ledger(world.settings(BATCH))
    projector = Projector(ledger.store, ledger.settings, world.clock)
    batch = log.read("feedback", 0, 0, 10)
    projector._write(batch, {}, {"feedback": "feedback"})
    before = ledger.digest()
    with pytest.raises(Fenced, match="another projector has read feedback, partition 0 up to 10"):
        projector._write(batch, {}, {"feedback": "feedback"})
    assert ledger.digest() == before


def test_the_password_is_read_anew_and_stands_in_no_error(world: Bench, tmp_path: Path) -> None:
    where = world.place()
    right = where.password_file.read_text() if where.password_file else ""
    file = tmp_path / "password"
    file.write_text("not-the-password\nsecond line")
    wrong = Postgres(where.url, file, 1.0)
    with pytest.raises(StoreUnavailable, match="password authentication failed") as caught:
        Store(wrong)
    assert "not-the-password" not in repr(caught.value) + repr(caught.value.metadata)
    file.write_text(right + "\n")
    Store(wrong).close()
    with pytest.raises(BadSettings, match="cannot be read"):
        Store(replace(wrong, password_file=tmp_path / "missing"))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://rejoinder:hunter2@localhost/ledger",
        "postgresql+psycopg://rejoinder@localhost/ledger?password=hunter2",
        "mysql://rejoinder@localhost/hunter2",
        "postgresql+psycopg://hunter2",
        "hunter2",
    ],
)
def test_an_address_that_is_none_or_holds_a_password_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(BadSettings) as caught:
        address(url)
    assert "hunter2" not in str(caught.value)


def test_no_error_of_the_database_quotes_a_users_word(world: Bench) -> None:
    ledger = world.ledger()
    with ledger.store.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE feedback ADD CONSTRAINT odd CHECK (event_id <> 'f1')")
    log = world.of(world.answer("x1"), world.said("f1", "x1"))
    with pytest.raises(RejoinderError, match="23514, CheckViolation") as caught:
        ledger.project(log)
    assert "Celsius" not in "".join(traceback.format_exception(caught.value))
    with ledger.store.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE feedback DROP CONSTRAINT odd")
