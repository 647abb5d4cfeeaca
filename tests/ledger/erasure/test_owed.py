"""ledger/owed: a ticket is not done while a file is too large to be written anew; it says which, and until when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rejoinder.ledger.book import Ledger

from tests.ledger.conftest import Bench
from tests.ledger.erasure.test_forget import SECRET, a_life, bytes_of, states
from tests.postgresql import Server

DAY = 86_400.0


@pytest.fixture
def world(postgres: Server, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, postgres)
    yield made
    made.close()


def files(ledger: Ledger, ticket: str) -> tuple[str, str, str]:
    """State, what is left, until when."""
    (node,) = (n for n in ledger.trace("t", ticket) if n.id == "ledger_files")
    return node.state, node.facts.get("left", ""), node.facts.get("ends_at", "")


def test_a_day_too_large_to_be_written_anew_keeps_its_ticket_open_and_is_named(world: Bench) -> None:
    """U11, F16: nothing is called done of which bytes are there. A raised limit ends it at the next start."""
    where = world.place()
    log = world.of(*a_life(world))
    with world.again(replace(where, rewrite_bytes=0)) as ledger:
        ledger.project(log)
        ticket = ledger.erase("t", "ann", log.append).ticket
        ledger.project(log)
        ledger.keep_house()
        world.clock.advance(ledger.settings.forgetting.grace_s + 1.0)
        ledger.finish_erasures(log)
        state, left, ends = files(ledger, ticket)
        assert (state, ends) == ("pending", "unknown")
        assert left == "feedback 2023-11-14, interactions 2023-11-14, signals 2023-11-14"
        assert SECRET.encode() in bytes_of(world), "the control: vacuumed, and there all the same"
        ledger.keep_house()
        assert files(ledger, ticket)[1] == left
    kept = replace(world.settings(), retention_s=40 * DAY)
    with world.again(replace(where, rewrite_bytes=0), kept) as ledger:
        assert float(files(ledger, ticket)[2]) == 1_700_006_400.0 + 40 * DAY
    with world.again(where) as ledger:
        ledger.keep_house()
        ledger.finish_erasures(log)
        assert states(ledger, ticket)["ledger_files"] == "done"
        assert files(ledger, ticket)[1] == ""
        assert SECRET.encode() not in bytes_of(world)


def test_a_day_that_was_left_is_owed_no_more_once_it_is_dropped(world: Bench) -> None:
    where, log = world.place(), world.of(*a_life(world))
    kept = replace(world.settings(), retention_s=40 * DAY)
    with world.again(replace(where, rewrite_bytes=0), kept) as ledger:
        ledger.project(log)
        ticket = ledger.erase("t", "ann", log.append).ticket
        ledger.project(log)
        ledger.keep_house()
        world.clock.advance(60 * DAY)
        log.put(world.answer("later", after=60 * DAY, user_id="bob"))
        ledger.project(log)
        ledger.keep_house()
        ledger.finish_erasures(log)
        assert states(ledger, ticket)["ledger_files"] == "done"
