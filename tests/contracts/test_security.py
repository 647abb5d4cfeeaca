"""SECURITY.md: each threat names tests that are there, and no source of ours runs what a model's file says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOLD = (ROOT / "SECURITY.md").read_text("utf-8")
ROWS = [line for line in TOLD.partition("## Threats")[2].splitlines() if line.startswith("| ") and "`tests/" in line]
#: Each would run a program that came with weights.
RUNS = re.compile(
    r"trust_remote_code(?!=False)|allow_pickle|torch\.load\("
    r"|\b(?:import|from)\b[^\n]*\b(?:pickle|cloudpickle|dill|joblib|marshal|shelve)\b"
)


@pytest.mark.parametrize(
    "threat", ["Poisoned feedback", "Brigading", "a judge", "a summariser", "stolen token", "model file", "import"]
)
def test_a_threat_has_tests(threat: str) -> None:
    (row,) = [row for row in ROWS if threat in row.split("|")[1]]
    assert re.findall(r"`tests/[\w/]+\.py`", row.split("|")[3])


def test_every_test_that_is_named_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+(?:\.py)?)`", TOLD)
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_no_source_unpickles_or_trusts_remote_code() -> None:
    sources = [*(ROOT / "services").rglob("*.py"), *(ROOT / "operators").rglob("*.py")]
    assert len(sources) > 300
    assert [path.name for path in sources if RUNS.search(path.read_text("utf-8"))] == []
    # The control.
    assert RUNS.search("AutoModel.from_pretrained(name, trust_remote_code=True)")
    assert RUNS.search("import json, pickle")
