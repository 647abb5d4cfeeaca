from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.gateway.upstream import Upstream, serving
from tests.system.gateway.world import World


@pytest.fixture(scope="package")
def upstream() -> Iterator[Upstream]:
    with serving(Upstream()) as made:
        yield made


@pytest.fixture(scope="package")
def world(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One gateway for all tests that need nothing of their own."""
    made = World(
        tmp_path_factory.mktemp("world"), upstream, {"SERVER__METRICS_PORT": "0", "UPSTREAM__ALIASES": '["gpt-4o"]'}
    )
    try:
        yield made.start()
    finally:
        made.close()
