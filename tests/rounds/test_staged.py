"""rounds/staged: a round whose train stage is somebody else's process ends as one that trained by itself."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import FailedPrecondition
from rejoinder.registry.store import read_json
from rejoinder.rounds import recipe as recipes
from rejoinder.rounds.runner import Ports
from rejoinder.rounds.staged import OPTIONS, finish, prepare
from rejoinder.rounds.stages import TRAINING

from tests.rounds.test_runner import PEOPLE, FakeTraining, World

TRAIN = "rounds/assist/000001/train.json"


def ports(world: World, training: FakeTraining) -> Ports:
    return Ports(world.store, world.artefacts, world.ledger, lambda event: None, ManualClock(), run=training)


def test_a_round_in_three_stages_is_the_round_in_one(tmp_path: Path) -> None:
    world, training, chosen = World(tmp_path), FakeTraining(), recipes.of(PEOPLE)
    assert prepare(world.loop, chosen, ports(world, training), 1) is None
    assert "run" not in training.commands
    paths = read_json(world.store, TRAIN)
    assert sorted(paths) == sorted(OPTIONS)
    with pytest.raises(FailedPrecondition):
        finish(world.loop, chosen, ports(world, training))
    command = [*TRAINING, "run", *itertools.chain(*((f"--{name}", str(tmp_path / paths[name])) for name in OPTIONS))]
    training(command)
    report = finish(world.loop, chosen, ports(world, training))
    alone = World(tmp_path / "alone").run(FakeTraining())
    assert (report.outcome, report.version) == (alone.outcome, alone.version) == ("published", "assist-r0001")
    assert report.stages["pairs"]["digest"] == alone.stages["pairs"]["digest"]
    assert training.commands.count("run") == 1


def test_prepared_again_it_asks_for_the_same(tmp_path: Path) -> None:
    world, chosen = World(tmp_path), recipes.of(PEOPLE)
    prepare(world.loop, chosen, ports(world, FakeTraining()), 1)
    first = read_json(world.store, TRAIN)
    prepare(world.loop, chosen, ports(world, FakeTraining()), 1)
    assert read_json(world.store, TRAIN) == first


def test_a_number_is_not_prepared_for_another_training(tmp_path: Path) -> None:
    """The round's object was deleted and its loop edited: the trainer would be told the old recipe's paths."""
    world = World(tmp_path)
    prepare(world.loop, recipes.of(PEOPLE), ports(world, FakeTraining()), 1)
    other = recipes.of({**PEOPLE, "train": {**PEOPLE["train"], "settings": {"lr": 0.5}}})
    with pytest.raises(FailedPrecondition, match="another training"):
        prepare(world.loop, other, ports(world, FakeTraining()), 1)


def test_a_round_that_is_refused_before_it_trains_asks_for_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    chosen = recipes.of({**PEOPLE, "train": {"min_pairs": 100_000}})
    report = prepare(world.loop, chosen, ports(world, FakeTraining()), 1)
    assert report is not None
    assert report.outcome == "refused"
    assert not world.store.exists(TRAIN)
