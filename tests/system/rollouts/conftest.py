from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.rollouts.town import Town


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    # Whom the lease would leave to stable while the machine stands still, the drawn people do not make up for.
    made = Town(tmp_path_factory.mktemp("town"), ("r41", "r42", "r43", "r44", "r45", "r46"), lease_ttl_s=60.0)
    yield made
    made.close()
