"""runtime/spool: what a caller saw completed survives the process, and a full spool says so."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from rejoinder.core.errors import LogUnavailable
from rejoinder.core.types import Interaction
from rejoinder.runtime.spool import Spool, Spools, SpoolSettings

#: Of waits that end with what they wait for.
WAIT_S = 60.0


class FakeLog:
    """Takes interactions while it is up. owns: what it took."""

    def __init__(self, up: bool = True) -> None:
        self.up = threading.Event()
        if up:
            self.up.set()
        self.taken: list[str] = []

    def send(self, interactions: Sequence[Interaction]) -> None:
        if not self.up.is_set():
            raise LogUnavailable("the log is away")
        self.taken.extend(i.event_id for i in interactions)


def spool(folder: Path, log: FakeLog, dropped: list[int], **settings: float) -> Spool:
    return Spool(folder, SpoolSettings(retry_s=0.01, **settings), log.send, dropped.append)  # type: ignore[arg-type]


def test_what_is_put_reaches_the_log_and_leaves_the_disk(tmp_path: Path) -> None:
    log, dropped = FakeLog(), []
    store = spool(tmp_path, log, dropped)
    done = [store.put(Interaction(event_id=str(i))) for i in range(50)]
    assert all(d.result(WAIT_S) for d in done)
    assert store.drain(WAIT_S)
    store.close()
    assert log.taken == [str(i) for i in range(50)]
    assert dropped == []
    assert list(tmp_path.glob("*.spool")) == []


def test_writers_and_shipper_at_full_speed_lose_and_double_nothing(tmp_path: Path) -> None:
    log, dropped = FakeLog(), []
    store = spool(tmp_path, log, dropped, segment_bytes=2_000)

    def write(name: str) -> None:
        for i in range(150):
            assert store.put(Interaction(event_id=f"{name}-{i}")).result(WAIT_S)

    writers = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert store.drain(WAIT_S)
    store.close()
    assert sorted(log.taken) == sorted(f"{name}-{i}" for name in "abcd" for i in range(150))


def test_a_log_that_is_away_gets_everything_when_it_returns(tmp_path: Path) -> None:
    log, dropped = FakeLog(up=False), []
    store = spool(tmp_path, log, dropped)
    assert all(store.put(Interaction(event_id=str(i))).result(WAIT_S) for i in range(5))
    log.up.set()
    assert store.drain(WAIT_S)
    store.close()
    assert log.taken == ["0", "1", "2", "3", "4"]


def test_a_full_spool_drops_counts_and_says_so(tmp_path: Path) -> None:
    log, dropped = FakeLog(up=False), []
    store = spool(tmp_path, log, dropped, max_bytes=100)
    kept = [store.put(Interaction(event_id=str(i), response="x" * 20)).result(WAIT_S) for i in range(10)]
    assert True in kept
    assert False in kept
    assert sum(dropped) == kept.count(False)
    log.up.set()
    assert store.drain(WAIT_S)
    assert not store.full
    store.close()
    assert len(log.taken) == kept.count(True)


def test_the_next_process_adopts_what_a_closed_one_left(tmp_path: Path) -> None:
    away, back, dropped = FakeLog(up=False), FakeLog(), []
    first = spool(tmp_path, away, dropped)
    assert all(first.put(Interaction(event_id=str(i))).result(WAIT_S) for i in range(3))
    first.close()
    second = spool(tmp_path, back, dropped)
    assert second.drain(WAIT_S)
    second.close()
    assert back.taken == ["0", "1", "2"]


def test_a_living_process_keeps_its_segment(tmp_path: Path) -> None:
    away, other, dropped = FakeLog(up=False), FakeLog(), []
    first = spool(tmp_path, away, dropped)
    assert first.put(Interaction(event_id="mine")).result(WAIT_S)
    second = spool(tmp_path, other, dropped)
    assert second.drain(WAIT_S)
    second.close()
    first.close()
    assert other.taken == []


def test_a_torn_last_record_is_cut_and_the_rest_kept(tmp_path: Path) -> None:
    away, back, dropped = FakeLog(up=False), FakeLog(), []
    first = spool(tmp_path, away, dropped)
    assert all(first.put(Interaction(event_id=str(i))).result(WAIT_S) for i in range(3))
    first.close()
    (segment,) = tmp_path.glob("*.spool")
    segment.write_bytes(segment.read_bytes()[:-1])
    second = spool(tmp_path, back, dropped)
    assert second.drain(WAIT_S)
    second.close()
    assert back.taken == ["0", "1"]


def test_a_caller_that_stops_waiting_leaves_the_writer_alive(tmp_path: Path) -> None:
    log, dropped = FakeLog(), []
    store = spool(tmp_path, log, dropped)
    assert not store.put(Interaction(event_id="left")).cancel()
    assert store.put(Interaction(event_id="next")).result(WAIT_S)
    assert store.drain(WAIT_S)
    store.close()
    assert log.taken == ["left", "next"]


def test_a_disk_that_fails_drops_and_counts_and_nobody_waits_for_ever(tmp_path: Path) -> None:
    """The folder is gone, as a volume that was unmounted: every record is answered, and the spool says it is full."""
    log, dropped = FakeLog(up=False), []
    folder = tmp_path / "spool"
    store = spool(folder, log, dropped)
    folder.rmdir()
    assert [store.put(Interaction(event_id=str(i))).result(WAIT_S) for i in range(3)] == [False] * 3
    assert sum(dropped) == 3
    assert store.full
    folder.mkdir()
    assert store.put(Interaction(event_id="after")).result(WAIT_S)
    log.up.set()
    assert store.drain(WAIT_S)
    assert not store.full
    store.close()
    assert log.taken == ["after"]


def test_a_spool_that_had_no_room_is_full_until_there_is_some_again(tmp_path: Path) -> None:
    """Between records that fit and records that do not, the canary must not come and go."""
    log, dropped = FakeLog(up=False), []
    store = spool(tmp_path, log, dropped, max_bytes=300)
    assert store.put(Interaction(event_id="small")).result(WAIT_S)
    assert not store.put(Interaction(event_id="large", response="x" * 400)).result(WAIT_S)
    assert store.full
    assert store.put(Interaction(event_id="small too")).result(WAIT_S)
    assert store.full
    log.up.set()
    assert store.drain(WAIT_S)
    assert not store.full
    store.close()
    assert log.taken == ["small", "small too"]


class StrangeLog(FakeLog):
    """Fails with what nobody expected, as a token file does while it is replaced."""

    def send(self, interactions: Sequence[Interaction]) -> None:
        if not self.up.is_set():
            raise FileNotFoundError("token")
        super().send(interactions)


def test_a_send_that_fails_for_any_cause_is_tried_again(tmp_path: Path) -> None:
    """F06: a shipper that ends loses everything behind it in silence."""
    log, dropped = StrangeLog(up=False), []
    store = spool(tmp_path, log, dropped)
    assert store.put(Interaction(event_id="1")).result(WAIT_S)
    assert not store.drain(0.1)
    log.up.set()
    assert store.drain(WAIT_S)
    store.close()
    assert (log.taken, dropped) == (["1"], [])


def test_a_record_that_cannot_be_read_is_dropped_once_and_the_rest_are_sent(tmp_path: Path) -> None:
    data = b"\xff\xff\xff"
    framed = struct.pack("<II", len(data), zlib.crc32(data)) + data
    (tmp_path / "old.spool").write_bytes(framed)
    log, dropped = FakeLog(), []
    store = spool(tmp_path, log, dropped)
    assert store.put(Interaction(event_id="1")).result(WAIT_S)
    assert store.drain(WAIT_S)
    store.close()
    assert (log.taken, dropped) == (["1"], [1])


def test_the_words_on_disk_are_for_this_user_alone(tmp_path: Path) -> None:
    log, dropped = FakeLog(up=False), []
    store = spool(tmp_path, log, dropped)
    assert store.put(Interaction(event_id="1")).result(WAIT_S)
    (segment,) = tmp_path.glob("*.spool")
    store.close()
    assert segment.stat().st_mode & 0o077 == 0


WRITER = """
import sys
from pathlib import Path
from rejoinder.core.errors import LogUnavailable
from rejoinder.core.types import Interaction
from rejoinder.runtime.spool import Spool, Spools, SpoolSettings

def send(batch):
    raise LogUnavailable("away")

spool = Spool(Path(sys.argv[1]), SpoolSettings(), send, lambda n: None)
for i in range(1_000_000):
    assert spool.put(Interaction(event_id=str(i), response="x" * 500)).result()
    print(i, flush=True)
"""


@pytest.mark.parametrize("seen", [1, 17, 60])
def test_a_killed_process_loses_nothing_that_a_caller_saw(seen: int, tmp_path: Path) -> None:
    """F06: acknowledged means on disk, whatever is killed."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(seen)]
    os.kill(process.pid, signal.SIGKILL)
    acknowledged += [line for line in process.stdout.read().split("\n")[:-1] if line]
    process.wait()
    process.stdout.close()
    log, dropped = FakeLog(), []
    store = spool(tmp_path, log, dropped)
    assert store.drain(WAIT_S)
    store.close()
    assert set(acknowledged) <= set(log.taken)
    assert len(log.taken) == len(set(log.taken))


def anns(tenant: str, user_id: str, accepted_at: float, events: Sequence[str] = ()) -> bool:
    return (tenant, user_id) == ("t", "ann") and accepted_at < 100.0


def of(user: str, number: int, at: float = 50.0) -> Interaction:
    return Interaction(event_id=f"{user}-{number}", tenant="t", user_id=user, response=f"for {user}", occurred_at=at)


def test_an_erased_user_leaves_the_spools_that_nobody_ships_any_more(tmp_path: Path) -> None:
    """F16: a replica that is gone for good leaves segments behind; a living one's are left to it, and counted."""
    log, dropped = FakeLog(up=False), []
    gone = spool(tmp_path / "policy-2", log, dropped)
    lives = spool(tmp_path / "policy", log, dropped)
    for number in range(3):
        for user in ("ann", "bob"):
            gone.put(of(user, number)).result(WAIT_S)
    gone.put(of("ann", 9, at=200.0)).result(WAIT_S)
    lives.put(of("ann", 7)).result(WAIT_S)
    gone.close()
    spools = Spools(tmp_path)
    assert spools.holds(anns) == 4
    assert spools.erase(anns) == 3
    assert spools.holds(anns) == 1, "the living process has it"
    assert len([p for p in (tmp_path / "policy-2").iterdir() if b"for ann" in p.read_bytes()]) == 1, "the one of later"
    log.up.set()
    assert lives.drain(WAIT_S)
    lives.close()
    assert spools.holds(anns) == 0
    again = spool(tmp_path / "policy-2", log, dropped)
    assert again.drain(WAIT_S)
    again.close()
    assert sorted(log.taken) == ["ann-7", "ann-9", "bob-0", "bob-1", "bob-2"]


def test_a_spool_with_nothing_of_theirs_is_not_touched(tmp_path: Path) -> None:
    log, dropped = FakeLog(up=False), []
    store = spool(tmp_path, log, dropped)
    store.put(of("bob", 1)).result(WAIT_S)
    store.close()
    (path,) = tmp_path.glob("*.spool")
    before = path.stat()
    assert Spools(tmp_path).erase(anns) == 0
    # Not when it was read.
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_size) == (before.st_ino, before.st_mtime_ns, before.st_size)


def test_a_segment_that_was_deleted_before_it_could_be_locked_is_not_adopted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever had it deletes first and lets go then: its records are elsewhere, and its name is no more."""
    log, dropped = FakeLog(up=False), []
    before = spool(tmp_path, log, dropped)
    before.put(of("bob", 1)).result(WAIT_S)
    before.close()
    (path,) = tmp_path.glob("*.spool")
    locked = fcntl.flock

    def late(file: object, how: int) -> None:
        path.unlink(missing_ok=True)
        locked(file, how)

    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", late)
        again = spool(tmp_path, log, dropped)
    log.up.set()
    assert again.waiting_bytes == 0
    again.put(of("bob", 2)).result(WAIT_S)
    assert again.drain(WAIT_S), "its shipper lives"
    again.close()
    assert log.taken == ["bob-2"]
