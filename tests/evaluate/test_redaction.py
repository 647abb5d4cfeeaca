"""evaluate/redaction: the figures of `redact` on generated and on real texts, with controls (U23)."""

from __future__ import annotations

import json
from pathlib import Path

from rejoinder.evaluate.redaction import main, samples, scored

CONVERSATIONS = Path(__file__).parents[1] / "data" / "hh" / "excerpt.jsonl.gz"


def test_recall_and_precision_of_every_kind_hold_what_is_demanded(tmp_path: Path) -> None:
    out = tmp_path / "redaction.json"
    arguments = ["--out", str(out), "--count", "10", "--seed", "7", "--strict"]
    assert main([*arguments, "--conversations", str(CONVERSATIONS)]) == 0
    made = json.loads(out.read_text())
    assert all(row["met"] for row in made["demands"])
    assert made["real"]["messages"] > 1_000
    # What nobody claims to find is counted, and not found: the texts are no easy ones.
    assert made["kinds"]["email"]["ways"]["spelled out"] == 0.0


def test_who_finds_nothing_scores_nothing_and_who_takes_everything_is_seen() -> None:
    set_ = samples(3, 1)
    nothing = scored(lambda text: [], set_)
    assert {figures["recall"]["share"] for figures in nothing["kinds"].values()} == {0.0}
    everything = scored(lambda text: [("email", 0, len(text))], set_)
    assert everything["kinds"]["email"]["recall"]["share"] == 1.0
    assert everything["kinds"]["email"]["precision"]["share"] < 0.2
    assert everything["look_alikes"]["found"]["share"] == 1.0
