from __future__ import annotations

import pytest

from tests.system.models import built


@pytest.fixture(scope="session")
def models():
    """build/models/heads with bt-v1 and minilm: the exports of the shipped weights."""
    return built()
