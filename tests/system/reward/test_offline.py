"""The shipped head over real pairs that it was not trained on, through the path of `rejoinder reward evaluate`."""

from __future__ import annotations

import json

import pytest
from rejoinder.core.clock import SystemClock
from rejoinder.core.types import Message, Role
from rejoinder.reward.offline import evaluate_file, scores
from rejoinder.reward.settings import RewardSettings
from rejoinder.runtime.batching.textmodel import ModelSettings

pytestmark = pytest.mark.system

#: Obvious cases: whatever a head has learnt of people's preferences, it knows these.
PAIRS = [
    (
        "How do I boil an egg?",
        "Put it in boiling water for seven minutes, then cool it in cold water and peel it.",
        "No.",
    ),
    ("What is a good book on Rome?", "You might enjoy SPQR by Mary Beard, a readable history of ancient Rome.", "I"),
    ("Can you help me plan a trip?", "Of course! Where would you like to go, and for how many days?", ""),
    ("Why is the sky blue?", "Air scatters blue light more than red light, so blue reaches us from everywhere.", "??"),
]


async def test_the_figures_of_a_file_come_with_head_digest_and_speed(models, tmp_path):
    records = [
        {"id": str(i), "group": str(i), "messages": [{"role": "user", "text": asked}], "a": a, "b": b, "pref": 1.0}
        for i, (asked, a, b) in enumerate(PAIRS)
    ]
    records += [{**r, "id": r["id"] + "-", "a": r["b"], "b": r["a"], "pref": 0.0} for r in records]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    settings = RewardSettings(model=ModelSettings(folder=models / "bt-v1", threads=1))
    figures = await evaluate_file(path, settings, SystemClock())
    assert (figures["n"], figures["head"]) == (8, "bt")
    assert figures["digest"] == (models / "bt-v1" / "digest").read_text().strip()
    assert figures["accuracy"] >= 0.75
    assert figures["auc"] >= 0.75
    assert figures["pairs_per_s"] > 0


async def test_answers_are_scored_one_by_one_in_their_order(models):
    settings = RewardSettings(model=ModelSettings(folder=models / "bt-v1", threads=1))
    asked = [((Message(Role.USER, question),), text) for question, a, b in PAIRS for text in (a, b)]
    told = []
    found = await scores(asked, settings, SystemClock(), told.append)
    assert found.shape == (len(asked),)
    assert (found[::2] > found[1::2]).mean() >= 0.75
    assert told == [len(asked)]
