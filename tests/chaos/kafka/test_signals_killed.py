"""Signal workers that die or sleep inside their step: nothing of it is seen, readers wait no longer than they must, and
whoever wakes too late is refused."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest
from rejoinder.core.types import Signal
from rejoinder.stream.headers import event_of, record_of
from rejoinder.stream.kafka.settings import KafkaSettings

from tests.brokers import shared
from tests.chaos.harness import wait_until
from tests.system.kafka.reading import Keeping, Slot, arrive, joined_count, shares, stored, told
from tests.system.kafka.world import admin_of, settings
from tests.system.logs import everything

pytestmark = pytest.mark.chaos

ROOT = Path(__file__).parents[3]
#: The longest that a dead worker may delay readers, as the contract has it.
DELAY_S = 10.0
COUNT = 30

#: A worker of its own process that says where it is and waits there to be told: "reading" inside its step, or "inside"
#: its transaction, with its signals written and its positions sent. It ends with its standard input.
WORKER = """
import sys, threading
from pathlib import Path
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import RejoinderError
from rejoinder.ledger.stores.store import Store
from rejoinder.signals.step import SignalStep, shared_worker
from rejoinder.stream.consumer import StopFlag
from rejoinder.stream.kafka import transaction
from rejoinder.stream.kafka.log import KafkaLog
from rejoinder.stream.kafka.settings import KafkaSettings
from tests.system.kafka.reading import Direct, extractors

fields, path, slot, where = eval(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
flag, go, ending = StopFlag(), threading.Event(), threading.Event()

def listen():
    for _ in sys.stdin:
        go.set()
    flag.ask(), go.set(), ending.set()

def hold(name):
    if name == where and not go.is_set():
        print(name, flush=True)
        go.wait()

class Held(Direct):
    def fetch_evidence(self, reader, references):
        found = super().fetch_evidence(reader, references)
        hold("reading")
        return found

finish = transaction.finish_transaction

def finishing(producer, commit, timeout_s):
    if commit:
        producer.flush()
        hold("inside")
    finish(producer, commit, timeout_s)

transaction.finish_transaction = finishing
threading.Thread(target=listen, daemon=True).start()
log = KafkaLog(KafkaSettings(**fields), appends=False)
step = SignalStep(Held(Store(Path(path), read_only=True)), extractors())
worker = shared_worker(log, step, extractors(), slot, SystemClock(), flag, ending.wait, poll_s=0.1)
error = ""
try:
    worker.run()
except RejoinderError as why:
    error = why.reason
log.close()
print(f"ended produced={worker.counts.produced} error={error}", flush=True)
"""


class Apart:
    """A worker in a process of its own, held at a place of its step. owns: the process."""

    def __init__(self, of: KafkaSettings, folder: Path, slot: str, where: str) -> None:
        command = [sys.executable, "-c", WORKER, repr(asdict(of)), str(folder / "ledger.db"), slot, where]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True, bufsize=1
        )
        try:
            assert self.said() == where
        except BaseException:
            self.close()
            raise

    def said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def sleep(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Where it was, and with nothing to wait for any more."""
        assert self.process.stdin is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write("go\n")

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def killed(self) -> float:
        """SIGKILL; when it died."""
        self.process.kill()
        self.process.wait()
        return time.monotonic()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()


@contextmanager
def apart(of: KafkaSettings, folder: Path, slot: str, where: str) -> Iterator[Apart]:
    """Such a worker, once it is at the place."""
    worker = Apart(of, folder, slot, where)
    try:
        yield worker
    finally:
        worker.close()


@pytest.fixture
def of(request: pytest.FixtureRequest) -> KafkaSettings:
    return settings(shared(), **getattr(request, "param", {}))


@pytest.fixture
def keeping(of: KafkaSettings, tmp_path: Path) -> Iterator[Keeping]:
    made = Keeping(of, tmp_path)
    arrive(made.log, range(COUNT))
    wait_until(lambda: joined_count(made.store) == COUNT, "joined evidence")
    wait_until(lambda: len(everything(made.log, "evidence")) == COUNT, "told evidence")
    yield made
    made.close()


def behind(keeping: Keeping) -> set[str]:
    """Somebody else's signals, appended now on every partition of the topic; durable on return."""
    others = [
        Signal(event_id=f"other{n}", source_event_id=f"f{n}", interaction_id=f"i{n}", extractor="x")
        for n in range(COUNT)
    ]
    taken = keeping.log.append([record_of(other, "/test") for other in others]).result(30)
    assert {one.coordinate.partition for one in taken} == {0, 1, 2}
    return {other.event_id for other in others}


def all_once(keeping: Keeping, besides: Collection[str] = ()) -> None:
    """Every signal is in the ledger as one worker makes it, and lies on the log once."""
    wanted = told(keeping.ledger.evidence)

    def there() -> bool:
        return {name: said for name, said in stored(keeping.store).items() if name not in besides} == wanted

    wait_until(there, "the signals of one worker")
    lying = [event_of(record).event_id for record in everything(keeping.log, "signals")]
    assert sorted(lying) == sorted([*wanted, *besides])


@pytest.mark.parametrize("of", [{"transaction_s": 3.0}], indirect=True)
def test_a_worker_killed_inside_its_transaction_is_not_seen_and_delays_readers_by_its_timeout(
    of: KafkaSettings, keeping: Keeping, tmp_path: Path
) -> None:
    """F06, F07: nobody takes its slot; another goes on with its partitions and makes what it had made."""
    with apart(of, tmp_path, "0", "inside") as worker:
        died = worker.killed()
    others = behind(keeping)
    wait_until(lambda: len(stored(keeping.store)) == len(others), "what lies behind the dead worker's transaction")
    delay = time.monotonic() - died
    assert set(stored(keeping.store)) == others, "something of a step that was never taken was seen"
    assert delay <= DELAY_S
    print(f"readers waited {delay:.1f} s")
    with Slot(of, keeping.direct, "1"):
        all_once(keeping, others)


@pytest.mark.parametrize("of", [{"transaction_s": 120.0}], indirect=True)
def test_the_successor_in_the_slot_of_a_killed_worker_ends_its_transaction_at_once(
    of: KafkaSettings, keeping: Keeping, tmp_path: Path
) -> None:
    """By itself the transaction would hold readers for two minutes, twice as long as this test waits for anything."""
    with apart(of, tmp_path, "0", "inside") as worker:
        worker.killed()
    others = behind(keeping)
    with Slot(of, keeping.direct, "0"):
        all_once(keeping, others)
    twice = next(record for record in everything(keeping.log, "signals") if event_of(record).event_id not in others)
    # The control: a signal that lies there twice, though the ledger counts it once, is found.
    keeping.log.append([record_of(event_of(twice), "/test")]).result(10)
    with pytest.raises(AssertionError):
        all_once(keeping, others)


@pytest.mark.parametrize("of", [{"transaction_s": 4.0}], indirect=True)
def test_a_worker_stopped_inside_its_transaction_past_its_session_is_fenced_when_it_wakes(
    of: KafkaSettings, keeping: Keeping, tmp_path: Path
) -> None:
    """F07: its partitions went to another, the brokers undid its step; its commit is refused and it ends."""
    with apart(of, tmp_path, "0", "inside") as worker:
        worker.sleep()
        with Slot(of, keeping.direct, "1"):
            all_once(keeping)
            worker.wake()
            assert worker.said() == "ended produced=0 error=FENCED"
            all_once(keeping)


def test_a_worker_stopped_in_its_step_past_its_session_is_refused_and_goes_on_as_a_member(
    of: KafkaSettings, keeping: Keeping, tmp_path: Path
) -> None:
    """F07: what it had read was read by another meanwhile; its step is refused, and it shares the work that is left."""
    with apart(of, tmp_path, "0", "reading") as worker:
        worker.sleep()
        with Slot(of, keeping.direct, "1"):
            all_once(keeping)
            worker.wake()
            with admin_of(of.bootstrap) as admin:
                wait_until(lambda: shares(admin, of) in ([1, 2], [2, 1]), "two members again")
            arrive(keeping.log, range(COUNT, 4 * COUNT))
            wait_until(lambda: len(stored(keeping.store)) == 4 * COUNT, "the signals of both")
            worker.end()
            assert worker.said().startswith("ended produced=")
            all_once(keeping)
