"""What tests of several rooms share."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.postgresql import Server

# The same examples in every run and no limit on time: neither a draw that nobody can repeat nor a pause of the machine
# fails a test. `--hypothesis-profile=default` draws anew.
settings.register_profile(
    "same", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")

# Servers are started with a hook between fork and exec. gRPC's own handlers there start its threads anew in the child
# and end it now and then ("epoll_wait error: Bad file descriptor"); it reads this as it is loaded, later than here.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# Hundreds of lines about brokers that a test has killed would stand where a failure's own words should.
logging.getLogger("kafka").propagate = False


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server for the session; the first test that asks starts it."""
    from tests.postgresql import running

    with running() as server:
        yield server
