"""rounds/ranking: four arms on the same pairs, the control's sides exchanged by a coin."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rejoinder.core.errors import FailedPrecondition
from rejoinder.core.types import Candidate, Message, Preference, Role
from rejoinder.rounds.pairs.split import Split
from rejoinder.rounds.ranking import compare, exchanged
from rejoinder.rounds.recipe import Train


def pairs(count: int, start: int = 0) -> tuple[Preference, ...]:
    return tuple(
        Preference(
            f"p{i}", (Message(Role.USER, f"q{i}"),), (Candidate(f"good {i}"), Candidate(f"bad {i}")), user_id=f"u{i}"
        )
        for i in range(start, start + count)
    )


class FakeTraining:
    """Learns what it is shown: an adapter ranks right the share of "good" answers among its chosen ones."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def __call__(self, arguments: Sequence[str]) -> dict[str, Any]:
        named = dict(itertools.pairwise(arguments))
        rows = [json.loads(line) for line in Path(named["--pairs"]).read_text().splitlines()]
        out = Path(named["--out"])
        if arguments[3] == "run":
            self.settings[out.name] = json.loads(Path(named["--manifest"]).read_text())["train"]
            (out / "adapter").mkdir(parents=True)
            share = sum(row["chosen"].startswith("good") for row in rows) / len(rows)
            (out / "adapter" / "share").write_text(str(share))
            return {}
        share = float((Path(named["--adapter"]) / "share").read_text()) if "--adapter" in named else 0.5
        lines = [
            {
                "id": row["id"],
                "group": row["group"],
                "chosen_logp": -1.0 if i < share * len(rows) else -3.0,
                "rejected_logp": -2.0,
                "chosen_tokens": 3,
                "rejected_tokens": 3,
            }
            for i, row in enumerate(rows)
        ]
        out.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return {}


def test_the_objective_gains_and_its_shuffled_control_does_not(tmp_path: Path) -> None:
    cut = Split({"pairs": pairs(100), "gate": pairs(40, 200), "evaluation": pairs(40, 300)}, 0, {})
    training = FakeTraining()
    train = Train(settings={"objective": "rdpo", "anchor_weight": 1.0})
    report = compare(cut, train, tmp_path / "base", tmp_path / "work", 0, lambda name: None, training)
    gains = {name: found["summed"]["all"]["gain"]["value"] for name, found in report["arms"].items()}
    assert gains["rdpo"] == pytest.approx(0.5)
    assert abs(gains["rdpo, shuffled"]) < 0.15
    assert (report["trained_on"], report["measured_on"]) == (100, 80)
    assert training.settings["sft"]["objective"] == "sft"
    assert training.settings["rdpo-shuffled"]["objective"] == "rdpo"


def test_an_exchange_changes_sides_and_nothing_else() -> None:
    some = pairs(200)
    turned = exchanged(some, np.random.default_rng(1))
    flipped = sum(a.chosen != b.chosen for a, b in zip(some, turned, strict=True))
    assert 70 < flipped < 130
    assert [p.id for p in turned] == [p.id for p in some]


def test_without_pairs_on_both_sides_it_says_so(tmp_path: Path) -> None:
    cut = Split({"pairs": pairs(3), "gate": (), "evaluation": ()}, 0, {})
    with pytest.raises(FailedPrecondition, match="both sides"):
        compare(cut, Train(), tmp_path, tmp_path, 0, lambda name: None, FakeTraining())
