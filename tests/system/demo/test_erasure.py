"""Erasure while everything runs: a user of a learnt version is forgotten by command, then the next round is run."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from rejoinder.cli.demo.world import Population, World
from rejoinder.core.types import Preference
from rejoinder.registry import datasets
from rejoinder.registry.embedded import folder_of
from rejoinder.simulate import phrases
from rejoinder.simulate.reading import load_topics

from tests.system.commands import rejoinder

MODELS = Path(__file__).parents[3] / "build" / "models"
pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

#: As the demonstration's recipe makes pairs; one quick epoch, because what is learnt is another test's matter.
RECIPE = """
name: short
builders:
  - row: wildfeedback
    params: {regenerate: revision, choose: guidance, min_confidence: 0.5}
guards: {near_duplicate: 1.0}
train: {min_pairs: 10, settings: {epochs: 1, max_steps: 5, probe_pairs: 0, tokens_per_batch: 2048}}
gate: {samples: 20, measures: [parity]}
"""


def pairs_of(data: Path, number: int) -> list[Preference]:
    """Of all sides of a round."""
    sets = sorted((data / "rounds" / "assist" / f"{number:06d}").glob(f"*/{datasets.MANIFEST}"))
    return [pair for manifest in sets for pair in datasets.read(manifest.parent)]


def test_who_is_erased_beside_running_services_is_in_no_later_window_and_in_no_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F16, U11: pairs go from the sets of earlier rounds too, and the ticket names the versions that had used them."""
    monkeypatch.setenv("REJOINDER_MODELS", str(MODELS))
    rejoinder("models", "build")
    data = tmp_path / "data"
    recipe = tmp_path / "short.yaml"
    recipe.write_text(RECIPE)
    topics = list(load_topics(folder_of("base") / "facts.json"))
    # So few people that each comes twice: whoever is erased has spoken before the first round and after it.
    who = Population(topics, phrases.load(), 120, 11)
    # Whom a round would learn of is known before it trains: the second asks for more pairs than there are.
    pairs_only = tmp_path / "pairs-only.yaml"
    pairs_only.write_text(RECIPE.replace("min_pairs: 10", "min_pairs: 100000"))
    run = ("round", "run", "--data", str(data), "--evidence", "assist", "--recipe")
    with World(data, "assist", who) as world:
        world.traffic(120)
        world.quiet()
        first = rejoinder(*run, str(recipe))
        assert first["outcome"] == "published", first["reasons"]
        used = Counter(pair.user_id for pair in pairs_of(data, 1))
        gone, kept = sorted(used, key=lambda user: (-used[user], user))[:2]

        world.traffic(120)
        world.quiet()
        ticket = rejoinder("erase", gone, "--data", str(data))["ticket"]
        # At once: the round itself has to wait until they are forgotten everywhere.
        second = rejoinder(*run, str(pairs_only))
        assert (second["number"], second["outcome"]) == (2, "refused"), second["reasons"]
        assert len(pairs_of(data, 2)) > 0, second["reasons"]
        assert gone not in {pair.user_id for pair in pairs_of(data, 1)}
        users = {pair.user_id for pair in pairs_of(data, 1) + pairs_of(data, 2)}
        assert gone not in users
        assert kept in users, "the control: another user of the first round is still there"
        told = json.dumps(rejoinder("trace", ticket, "--data", str(data)))
        assert first["version"] in told, "the ticket names the version that had used them"
        assert gone not in told
