"""What tests of several rooms share."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.postgresql import Server

# Hundreds of lines about brokers that a test has killed would stand where a failure's own words should.
logging.getLogger("kafka").propagate = False


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server for the session; the first test that asks starts it."""
    from tests.postgresql import running

    with running() as server:
        yield server
