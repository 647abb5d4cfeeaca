"""A projector killed at any moment goes on where it was: the ledger is that of a run nobody killed.

Guards: F06, F07, U01, U02. Control: a projector that commits its positions before its rows loses records, and the same
comparison finds it out.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rejoinder.ledger.stores.dialect import Postgres

from tests.postgresql import Server

pytestmark = pytest.mark.chaos

NURSERY = Path(__file__).with_name("nursery.py")
KILLS, SEED = 14, 20_251


def run(how: str, ledger: Path | Postgres, kills: int) -> tuple[int, str, int]:
    """Kills that struck at work, digest, records read."""
    place, password_file = (ledger.url, [str(ledger.password_file)]) if isinstance(ledger, Postgres) else (ledger, [])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, str(NURSERY), how, str(place), str(kills), str(SEED), *password_file]
    found = subprocess.run(command, capture_output=True, text=True, timeout=110, env=environment, check=True)
    struck, digest, read = found.stdout.split()
    return int(struck), digest, int(read)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, int]:
    """Digest and records read where nobody is killed."""
    _, digest, read = run("careful", tmp_path_factory.mktemp("quiet") / "ledger.db", 0)
    return digest, read


def test_a_ledger_whose_projector_was_killed_is_that_of_one_nobody_killed(
    tmp_path: Path, quiet: tuple[str, int]
) -> None:
    struck, *after = run("careful", tmp_path / "killed.db", KILLS)
    assert struck >= 10
    assert tuple(after) == quiet


def test_a_projector_of_a_database_killed_leaves_its_lock_to_the_next(quiet: tuple[str, int], postgres: Server) -> None:
    where = postgres.database()
    struck, *after = run("careful", where, KILLS // 2)
    postgres.give_back(where)
    assert struck >= 5
    assert tuple(after) == quiet


def test_positions_committed_before_the_rows_lose_records_and_are_found_out(
    tmp_path: Path, quiet: tuple[str, int]
) -> None:
    digest, read = quiet
    struck, after, read_after = run("careless", tmp_path / "careless.db", KILLS)
    assert struck >= 10
    assert after != digest
    assert read_after < read
