"""How many events a second the projector stores: `pytest tests/ledger/intake/test_projector_speed.py -m proof -s`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rejoinder.core import types
from rejoinder.ledger.stores.dialect import Where
from sqlalchemy import event as hooks

from tests.ledger.conftest import Bench, ListLog
from tests.postgresql import Server

EVENTS = 10_000
DAY_S = 86_400


def events(bench: Bench, count: int, days: int) -> Iterator[types.Interaction | types.Feedback]:
    """Conversations of four turns over some days: half the events are answers of 400 characters, half are replies."""
    for n in range(count // 2):
        after = n * days * DAY_S / (count / 2)
        conversation, user = f"c{n // 4}", f"u{n % 997}"
        yield bench.answer(
            f"x{n}", after=after, conversation_id=conversation, turn=n % 4 + 1, user_id=user, response="w" * 400
        )
        yield bench.said(f"f{n}", f"x{n}", after=after + 9, user_id=user, kind=types.FollowUp("no, in Celsius please"))


def traffic(bench: Bench, count: int, days: int) -> ListLog:
    log = bench.log(4)
    for n, event in enumerate(events(bench, count, days)):
        log.put(event, (n // 8) % 4)
    return log


@contextmanager
def counted(bench: Bench, where: Where) -> Iterator[tuple[Callable[[ListLog], float], list[int]]]:
    """A projection with its time, and how many statements it sent."""
    ledger, statements = bench.again(where), [0]

    def count(*_: object) -> None:
        statements[0] += 1

    hooks.listen(ledger.store._engine, "before_cursor_execute", count)

    def project(log: ListLog) -> float:
        began = time.perf_counter()
        assert ledger.project(log) == len(log.everything())
        return time.perf_counter() - began

    yield project, statements
    ledger.close()


@pytest.mark.proof
@pytest.mark.parametrize("days", [1, 30])
def test_both_stores_take_a_backlog_in_few_statements(postgres: Server, tmp_path: Path, days: int) -> None:
    rates, per_batch = {}, {}
    for name, server in (("sqlite", None), ("postgres", postgres)):
        bench = Bench(tmp_path, server)
        log = traffic(bench, EVENTS, days)
        with counted(bench, bench.place()) as (project, statements):
            rates[name] = EVENTS / project(log)
            per_batch[name] = statements[0] * bench.settings().batch / EVENTS
        bench.close()
        print(f"\n{name} days={days} events/s={rates[name]:.0f} statements/batch of 2000={per_batch[name]:.0f}")
    # A statement a row would be thousands.
    assert max(per_batch.values()) < 200
    assert rates["postgres"] > 200
