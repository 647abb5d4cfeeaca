"""Forks projectors of one fixed log and kills them: `nursery.py careful|careless LEDGER KILLS SEED [PASSWORD_FILE]`.

One interpreter forks them all, so that a dozen deaths cost one start. Prints the kills that struck a projector at work,
the digest and the records read.
"""

from __future__ import annotations

import os
import random
import select
import signal
import sys
from pathlib import Path

from rejoinder.core import codec, types
from rejoinder.core.clock import ManualClock
from rejoinder.core.ids import subject_of
from rejoinder.ledger.book import Ledger
from rejoinder.ledger.intake.projector import Projector
from rejoinder.ledger.settings import Forgetting, LedgerSettings
from rejoinder.ledger.stores.dialect import Where, where_of
from rejoinder.stream.port import Record
from rejoinder.stream.topics import TOPICS

NOW = 1_700_000_000.0
rng = random.Random(5)
runs = {}


def put(topic, event):
    part = rng.randrange(3)
    run = runs.setdefault((topic, part), [])
    value = event if isinstance(event, bytes) else codec.encode(event)
    run.append(Record(topic, part, len(run), b"", value, (), NOW + len(run)))


for n in range(900):
    user, conversation = f"u{rng.randrange(20)}", f"c{n // 4}"
    answer = types.Interaction(
        tenant="t",
        event_id=f"i{n}",
        interaction_id=f"x{n}",
        attempt_id=f"a{n}",
        conversation_id=conversation,
        turn=n % 4 + 1,
        user_id=user,
        principal="app",
        response=f"answer {n}",
        accepted_at=NOW + n,
        occurred_at=NOW + n,
        served=types.Served("assist", rng.choice(["v1", "v2"])),
        status=types.AttemptStatus.COMPLETED,
    )
    said = types.Feedback(
        tenant="t",
        event_id=f"f{n}",
        interaction_id=f"x{rng.randrange(950)}",
        user_id=rng.choice([user, ""]),
        principal="app",
        occurred_at=NOW + n,
        accepted_at=NOW + n,
        kind=types.Rating(number=rng.random()),
    )
    for event, topic in ((answer, "interactions"), (said, "feedback")):
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            put(topic, event)
    if n % 50 == 0:
        put("feedback", b"poison")
for user in ("u1", "u2"):
    put("erasures", types.Erasure(subject_of(b"key", "t", user), f"ticket-{user}", NOW + 400, 0.0))


class Log:
    topics = TOPICS

    def topic_id(self, topic):
        return topic

    def end_offsets(self, topic):
        return {part: len(runs.get((topic, part), ())) for part in range(3)}

    def read(self, topic, part, offset, most=500):
        return runs.get((topic, part), [])[offset : offset + most]


class Careless(Projector):
    """Commits the positions first, the rows after."""

    def _apply(self, connection, batch, arrivals, topic_ids):
        self._advance(connection, batch, topic_ids)
        driver = connection.connection.driver_connection
        driver.execute("COMMIT")
        driver.execute("BEGIN IMMEDIATE")
        super()._apply(connection, batch, arrivals, topic_ids)


def project(where: Where, how: str, told: int, let: int) -> None:
    """A projector's life; writes a byte at the start of every batch, and reads one that lets it begin."""
    with Ledger(where, LedgerSettings(Forgetting(b"key")), ManualClock(NOW)) as ledger:
        if how == "careless":
            ledger._projector = Careless(ledger.store, ledger.settings, ManualClock(NOW))
        caught_up = False
        while not caught_up:
            os.write(told, b".")
            os.read(let, 1)
            caught_up = ledger.project_once(Log(), 37).caught_up


def life(where: Where, how: str, rng: random.Random) -> bool:
    """Forks a projector and kills it some batches and some milliseconds later; whether it was at work then.

    It is let into no batch behind that: while this process is kept waiting, as on a busy machine, the log stays unread.
    """
    (heard, told), (let, lets) = os.pipe(), os.pipe()
    batches = rng.randint(1, 5)
    os.write(lets, b"." * batches)
    pid = os.fork()
    if pid == 0:
        os.close(heard)
        os.close(lets)
        try:
            project(where, how, told, let)
        finally:
            os._exit(0)
    os.close(told)
    os.close(let)
    for _ in range(batches):
        if not os.read(heard, 1):
            break
    # The moment inside a batch: whatever comes first, the random wait or the next batch.
    select.select([heard], [], [], rng.uniform(0.0, 0.02))
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(heard)
    os.close(lets)
    return os.WIFSIGNALED(status)


def main(how: str, where: Where, kills: int, rng: random.Random) -> None:
    struck = sum(life(where, how, rng) for _ in range(kills))
    project(where, how, os.open(os.devnull, os.O_WRONLY), os.open("/dev/zero", os.O_RDONLY))
    with Ledger(where, LedgerSettings(Forgetting(b"key")), ManualClock(NOW)) as ledger:
        assert all(row.balanced for row in ledger.parity())
        print(struck, ledger.digest(), sum(row.read for row in ledger.parity()), flush=True)


if __name__ == "__main__":
    password_file = Path(sys.argv[5]) if len(sys.argv) > 5 else None
    main(sys.argv[1], where_of(sys.argv[2], password_file), int(sys.argv[3]), random.Random(int(sys.argv[4])))
