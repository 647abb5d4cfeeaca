"""The short form of `make chaos`: one of its planted faults, on a PostgreSQL and the session's own broker; in the long
form of the tests also one of its rows, on three."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.brokers import shared
from tests.chaos.scenarios import brokers, planted
from tests.chaos.scenarios.site import Site
from tests.postgresql import Server

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(280)]

EVENTS = 600


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, postgres: Server) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), postgres) as made:
        yield made


@pytest.mark.proof
def test_the_leading_broker_of_three_dies_twice_and_ledger_and_worker_go_on(site: Site) -> None:
    """F06, F07, U02, U19: nothing is lost or doubled of the shared topics, nor of a tenant's own."""
    outcome = brokers.leader_killed(site, EVENTS)
    print(outcome)
    assert outcome.clean
    assert outcome.acknowledged >= EVENTS
    tenants = outcome.evidence["tenants"]
    assert set(tenants) == {"default", brokers.OWNER}
    for found in tenants.values():
        assert found["acknowledged"]
        assert (found["lost"], found["duplicated"]) == (0, 0)


def test_an_acknowledgement_before_the_write_is_found_out(site: Site) -> None:
    """F06: the control of the counting, on Kafka's path."""
    outcome = planted.ack_before_the_write(site, EVENTS, address=shared(), replication=1, min_insync=1)
    print(outcome)
    assert outcome.lost > 0
