"""rounds/ablation: one part at a time, what ran is not run again, and nothing is compared that is not alike."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rejoinder.core.arms import Salts, population, unit_id
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import BadFile, BadSettings, ClaimTaken, FailedPrecondition, NoSuchHead
from rejoinder.core.types import Choice, Comparison, Feedback, Interaction, Message, Role, Sampling
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.registry.datasets import PairSets, read
from rejoinder.registry.reviews import REJECTED, pair_digest
from rejoinder.rounds.ablation import FOLDER, MEASURES, Ablation, Grid, alone, cells_of, figures, kind_of, pinned
from rejoinder.rounds.cellpairs import Bench
from rejoinder.rounds.overlays import BASE, Level
from rejoinder.rounds.pairs.context import Context, Likelihood, Sampled

RECIPE: dict[str, Any] = {
    "name": "short",
    "builders": ["comparisons"],
    "train": {"min_pairs": 2, "settings": {"objective": "dpo", "lr": 0.01, "max_steps": 3}},
}
NOISY = Level("data", "noisy", {"train": {"swap_share": 0.5}})
COPY = Level("data", "copy")
SFT = Level("algorithm", "sft", {"train": {"settings": {"objective": "sft"}}})
SAMPLED = Level("data", "sampled", {"builders": [{"row": "best_worst", "params": {"n": 2, "min_margin": 0.0}}]})


def grid(*levels: Level, **more: Any) -> Grid:
    slots: dict[str, list[Level]] = {}
    for level in levels:
        slots.setdefault(level.slot, [Level(level.slot, BASE)]).append(level)
    return Grid(slots, **more)


def answer(number: int, text: str, side: str) -> Interaction:
    asked = (Message(Role.USER, f"will you help with matter {number}"),)
    return Interaction("t", f"e{side}{number}", f"i{side}{number}", messages=asked, response=text, user_id=f"u{number}")


def people(count: int) -> list[Evidence]:
    """Each prefers the answer that says "good", and none is of the holdout."""
    found = []
    for number in range(count):
        if population(unit_id("t", f"u{number}", ""), Salts(), 0.05) == "holdout":
            continue
        one, other = answer(number, f"good {number}", "a"), answer(number, f"bad {number}", "b")
        said = Feedback(
            "t",
            f"f{number}",
            one.interaction_id,
            user_id=f"u{number}",
            kind=Comparison(other.interaction_id, choice=Choice.THIS),
        )
        found.append(Evidence(f"f{number}", "t", said, one, None, other))
    return found


class FakeTraining:
    """Learns what it is shown: an adapter ranks right the share of "good" answers among its chosen ones, and half of
    that by SFT. owns: what it was asked. stops: it dies at so many runs; unmeasured: it dies measuring that one."""

    def __init__(self, stops: int | None = None, unmeasured: int | None = None) -> None:
        self.runs: list[dict[str, Any]] = []
        self.shown: list[list[dict[str, Any]]] = []
        self.asked = Counter[str]()
        self._stops, self._unmeasured = stops, unmeasured

    def __call__(self, arguments: Sequence[str]) -> dict[str, Any]:
        named = dict(itertools.pairwise(arguments))
        self.asked[arguments[3]] += 1
        rows = [json.loads(line) for line in Path(named["--pairs"]).read_text().splitlines()]
        if arguments[3] == "count":
            return {"tokens": 10 * len(rows)}
        out = Path(named["--out"])
        if arguments[3] == "run":
            if len(self.runs) == self._stops:
                raise KeyboardInterrupt
            if out.exists():
                return {}
            settings = json.loads(Path(named["--manifest"]).read_text())["train"]
            self.runs.append(settings)
            self.shown.append(rows)
            (out / "adapter").mkdir(parents=True)
            share = sum(row["chosen"].startswith("good") for row in rows) / len(rows)
            (out / "adapter" / "share").write_text(str(share / (2 if settings["objective"] == "sft" else 1)))
            told = {"pairs": {"trained": len(rows)}, "cpu_seconds": 1.5, "learnt_tokens": settings["token_budget"]}
            (out / "metrics.json").write_text(json.dumps(told))
            return {}
        if len(self.runs) == self._unmeasured:
            raise KeyboardInterrupt
        share = float((Path(named["--adapter"]) / "share").read_text())
        lines = [
            {
                "id": row["id"],
                "group": row["group"],
                "chosen_logp": -1.0 if i < share * len(rows) else -3.0,
                "rejected_logp": -2.0,
                "chosen_tokens": 3,
                "rejected_tokens": 3,
                "kl_to_original": share,
            }
            for i, row in enumerate(rows)
        ]
        out.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return {}


class Policy:
    """Says something good and something bad to whatever it is asked, three tokens each. owns: what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def sample(self, messages: Sequence[Message], sampling: Sampling, n: int, version: str) -> list[Sampled]:
        self.asked.append(messages[-1].content)
        about = messages[-1].content.split()[-1]
        return [Sampled(f"{how} answer about {about}", -1.0, 3) for how in ("good", "bad")][:n]

    def likelihood(self, messages: Sequence[Message], continuations: Sequence[str], version: str) -> list[Likelihood]:
        raise AssertionError("nothing asks for it")


class Heads:
    """Two heads: the default likes what is good, `weak` likes what is bad."""

    def __init__(self, head: str = "") -> None:
        self._head = head

    def score(self, messages: Sequence[Message], responses: Sequence[str]) -> list[float]:
        sign = -1.0 if self._head == "weak" else 1.0
        return [sign * text.startswith("good") for text in responses]

    def heads(self) -> dict[str, str]:
        return {"": "d1", "default": "d1", "weak": "d2"}

    def under(self, head: str) -> Heads:
        return Heads(head)


class World:
    """A folder, its people and a trainer that is a fake. owns: the folder."""

    def __init__(self, folder: Path, count: int = 120) -> None:
        self.folder = folder
        self.evidence = people(count)
        self.verdicts: dict[str, str] = {}
        self.training = FakeTraining()
        self.context = Context("assist", "", 0, 0, workers=1)
        (folder / "base").mkdir(parents=True)
        (folder / "base" / "config.json").write_text("{}")

    def ablation(self) -> Ablation:
        bench = Bench(
            self.folder / "rounds" / FOLDER,
            self.folder / "base",
            b"salt",
            self.context,
            self.training,
            ManualClock(),
            lambda: {(piece.tenant, piece.id) for piece in self.evidence},
            verdicts=self.verdicts,
        )
        return Ablation(bench, self.evidence)

    def run(self, wanted: Grid, recipe: dict[str, Any] | None = None) -> dict[str, Any]:
        return self.ablation().run(cells_of(recipe or RECIPE, wanted), wanted)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def effect(report: dict[str, Any], level: str) -> dict[str, Any]:
    return next(found for found in report["effects"] if found["level"] == level)


def without_taken(report: dict[str, Any]) -> dict[str, Any]:
    cells = [
        {**cell, "runs": [{k: v for k, v in run.items() if k != "taken"} for run in cell["runs"]]}
        for cell in report["cells"]
    ]
    return {**report, "cells": cells}


def test_each_part_is_told_from_the_others_and_an_identical_copy_is_nothing_and_costs_nothing(world: World) -> None:
    report = world.run(grid(NOISY, COPY, SFT))
    assert len(report["cells"]) == 6
    assert len(world.training.runs) == 4, "the copies were not trained again"
    noisy, sft = (effect(report, name)["measures"]["ranking_accuracy"] for name in ("noisy", "sft"))
    assert noisy["high"] < -0.15
    assert sft["high"] < -0.15
    copy = effect(report, "copy")
    assert copy["comparisons"] == 2
    assert all(figure == {"value": 0.0, "low": 0.0, "high": 0.0} for figure in copy["measures"].values())
    assert set(copy["cost"].values()) == {0.0}
    hashes = {tuple(cell["levels"].values()): cell["runs"][0]["hash"] for cell in report["cells"]}
    assert hashes["copy", BASE] == hashes[BASE, BASE]
    assert len(set(hashes.values())) == 4


def test_every_run_starts_alike_learns_as_many_tokens_and_differs_in_what_is_varied_alone(world: World) -> None:
    report = world.run(grid(NOISY, SFT, seeds=(0, 1)))
    runs = world.training.runs
    assert {run["token_budget"] for run in runs} == {report["token_budget"]} == {10 * report["cells"][0]["trained_on"]}
    assert {(run["init"], run["reference"]) for run in runs} == {("original", "original")}
    assert Counter((run["objective"], run["seed"]) for run in runs) == dict.fromkeys(
        itertools.product(("dpo", "sft"), (0, 1)), 2
    )
    same = [{name: value for name, value in run.items() if name not in ("objective", "seed")} for run in runs]
    assert all(one == same[0] for one in same)
    assert same[0]["max_steps"] is None, "the budget ends a run, not the steps of the recipe"


def test_what_has_run_is_not_run_again_and_its_figures_are_the_same(world: World) -> None:
    first = world.run(grid(NOISY, SFT))
    asked = world.training.asked.copy()
    again = world.run(grid(NOISY, SFT))
    assert world.training.asked == asked
    assert without_taken(again) == without_taken(first)
    assert all(run["taken"] for cell in again["cells"] for run in cell["runs"])
    world.run(grid(NOISY))
    assert world.training.asked == asked, "a smaller grid has no new cell"


def test_a_hash_that_is_run_elsewhere_gives_the_same_figures(world: World, tmp_path: Path) -> None:
    other = World(tmp_path / "other")
    assert other.run(grid(NOISY, SFT)) == world.run(grid(NOISY, SFT))


def test_stopped_in_the_middle_it_goes_on_with_the_cells_that_are_missing(world: World, tmp_path: Path) -> None:
    world.training = FakeTraining(stops=2)
    with pytest.raises(KeyboardInterrupt):
        world.run(grid(NOISY, SFT))
    world.training = FakeTraining()
    report = world.run(grid(NOISY, SFT))
    assert len(world.training.runs) == 2
    assert without_taken(report) == without_taken(World(tmp_path / "other").run(grid(NOISY, SFT)))


def test_stopped_between_training_and_measuring_it_measures_what_was_trained(world: World, tmp_path: Path) -> None:
    world.training = FakeTraining(unmeasured=2)
    with pytest.raises(KeyboardInterrupt):
        world.run(grid(NOISY, SFT))
    world.training = FakeTraining()
    report = world.run(grid(NOISY, SFT))
    assert len(world.training.runs) == 2
    assert without_taken(report) == without_taken(World(tmp_path / "other").run(grid(NOISY, SFT)))
    assert not any((world.folder / "rounds" / FOLDER / "work").iterdir())


def test_an_unfinished_one_goes_on_with_the_evidence_that_it_began_with(tmp_path: Path) -> None:
    before, later = people(20), people(30)
    one, other = kind_of({}, "", grid(NOISY)), kind_of({}, "", grid(NOISY, seeds=(0, 1)))
    found, as_of, begun = pinned(tmp_path, one, before, 5.0)
    assert (found, as_of) == (before, 5.0)
    assert pinned(tmp_path, one, later, 6.0)[1] == 5.0
    assert kind_of({}, "", grid(COPY)) != one, "other levels are another call"
    assert pinned(tmp_path, one, later, 6.0)[0] == before
    assert pinned(tmp_path, one, later[3:], 6.0)[0] == [piece for piece in before if piece in later[3:]], "erased"
    assert pinned(tmp_path, other, later, 6.0)[0] == later
    begun.unlink()
    assert pinned(tmp_path, one, later, 6.0)[0] == later


def test_all_cells_are_measured_on_the_base_recipes_pairs_of_other_users(world: World) -> None:
    report = world.run(grid(NOISY))
    units = {unit_id("t", f"u{i}", ""): i for i in range(120)}
    sides = Counter(population(unit, Salts(), 0.05) for unit in units)
    assert report["measured_on"] == report["users"] == sides["gate"] + sides["evaluation"]
    assert report["cells"][0]["trained_on"] == sides["pairs"]


def test_one_level_at_a_time_has_as_many_cells_as_levels_and_the_base(world: World) -> None:
    report = world.run(grid(NOISY, COPY, SFT, full=False))
    assert len(report["cells"]) == 4
    assert {found["comparisons"] for found in report["effects"]} == {1}


def test_more_runs_than_allowed_are_refused_before_anything_is_done(world: World) -> None:
    with pytest.raises(BadSettings, match="4 cells by 5 seeds are 20 runs, more than 16"):
        cells_of(RECIPE, grid(NOISY, SFT, seeds=(0, 1, 2, 3, 4)))
    with pytest.raises(BadSettings, match="two levels have one name"):
        cells_of(RECIPE, grid(NOISY, NOISY))
    assert not world.training.asked


def test_a_part_that_no_builder_reads_is_refused(tmp_path: Path) -> None:
    weak = Level("reward", "weak", {"reward": {"head": "weak"}})
    with pytest.raises(BadSettings, match="reward: no builder of any cell reads it; best_worst, ranked would"):
        cells_of(RECIPE, grid(weak))
    with pytest.raises(BadSettings, match="reward: no builder"):
        cells_of(RECIPE, grid(SAMPLED, weak, full=False))
    missing = Level("prompts", "own", {"prompts": {"file": "none.jsonl"}}, tmp_path)
    with pytest.raises(BadFile):
        cells_of(RECIPE, grid(SAMPLED, missing))


def test_a_builder_whose_service_is_away_is_refused_and_not_left_out(world: World) -> None:
    with pytest.raises(FailedPrecondition, match="a builder needs a sampler, a scorer"):
        world.run(grid(SAMPLED))


def test_reward_and_prompts_change_what_is_sampled_and_what_that_costs_is_told(world: World, tmp_path: Path) -> None:
    policy = Policy()
    world.context = replace(world.context, sampler=policy, scorer=Heads())
    (tmp_path / "own.jsonl").write_text(
        "".join(
            json.dumps({"id": f"q{i}", "prompt": [{"role": "user", "content": f"tell me of {i} and {7 * i}"}]}) + "\n"
            for i in range(30)
        )
    )
    weak = Level("reward", "weak", {"reward": {"head": "weak"}})
    own = Level("prompts", "own", {"prompts": {"file": "own.jsonl"}}, tmp_path)
    report = world.run(grid(SAMPLED, weak, own))
    cells = {tuple(cell["levels"].values()): cell for cell in report["cells"]}
    people_alone, sampled = cells[BASE, BASE, BASE], cells["sampled", BASE, BASE]
    assert people_alone["cost"]["samples"] == 0
    assert sampled["cost"] | {"pairs_s": 0} == {
        "cpu_s": 1.5,
        "tokens": report["token_budget"],
        "samples": 2 * len(world.evidence),
        "sampled_tokens": 6 * len(world.evidence),
        "scored": 2 * len(world.evidence),
        "pairs_s": 0,
    }
    assert cells["sampled", BASE, "own"]["cost"]["samples"] == 60
    assert cells["sampled", BASE, "own"]["trained_on"] == 30, "a prompt that is nobody's is learnt from"
    assert effect(report, "weak")["measures"]["ranking_accuracy"]["value"] == pytest.approx(-1.0)
    assert effect(report, "weak")["comparisons"] == 2, "people's pairs read no reward, and say nothing of it"
    for name in ("weak", "own"):
        unread = [cell for levels, cell in cells.items() if levels[0] == BASE and name in levels]
        assert {cell["runs"][0]["hash"] for cell in unread} == {people_alone["runs"][0]["hash"]}
    assert len(policy.asked) == 2 * (len(world.evidence) + 30), "once for a pair set, whoever reads it"


def test_an_unknown_head_is_refused_by_name(world: World) -> None:
    world.context = replace(world.context, sampler=Policy(), scorer=Heads())
    with pytest.raises(NoSuchHead, match="no head called strong; it has default, weak"):
        world.run(grid(SAMPLED, Level("reward", "strong", {"reward": {"head": "strong"}})))


def test_no_word_outlives_its_pair_set_and_erasure_finds_those(world: World) -> None:
    """F16."""
    world.run(grid(NOISY))
    root = world.folder / "rounds"
    holding = [path for path in root.rglob("*") if path.is_file() and b"will you help" in path.read_bytes()]
    assert {path.name for path in holding} == {"rows.jsonl"}
    sets = PairSets(root)
    assert sets.erase(lambda tenant, user, at, events=(): user == "u3") == 1
    world.evidence = [piece for piece in world.evidence if piece.id != "f3"]
    world.run(grid(NOISY))
    assert not any(b'matter 3"' in path.read_bytes() for path in root.rglob("rows.jsonl"))


def test_who_is_erased_between_two_seeds_is_in_no_later_run(world: World) -> None:
    """F16. The first run is on all, every other on who is left, under another hash."""
    sets = PairSets(world.folder / "rounds")
    learner = next(i for i in range(120) if population(unit_id("t", f"u{i}", ""), Salts(), 0.05) == "pairs")

    class Erasing(FakeTraining):
        def __call__(self, arguments: Sequence[str]) -> dict[str, Any]:
            found = super().__call__(arguments)
            if arguments[3] == "likelihood" and len(self.runs) == 1:
                assert sets.erase(lambda tenant, user, at, events=(): user == f"u{learner}") == 1
            return found

    world.training = Erasing()
    report = world.run(grid(NOISY, seeds=(0, 1)))
    words = [
        any(f"good {learner}" in (row["chosen"], row["rejected"]) for row in rows) for rows in world.training.shown
    ]
    assert words[0]
    assert not any(words[1:])
    assert not any((world.folder / "rounds" / FOLDER / "work").iterdir()), "nor is its adapter left"
    assert len({run["hash"] for cell in report["cells"] for run in cell["runs"]}) == 4


def test_who_is_erased_before_the_file_is_read_is_in_no_run(world: World) -> None:
    """F16: the eraser took the trainer's file, and the pairs of somebody in it."""
    sets = PairSets(world.folder / "rounds")
    learner = next(i for i in range(120) if population(unit_id("t", f"u{i}", ""), Salts(), 0.05) == "pairs")

    class Late(FakeTraining):
        def __call__(self, arguments: Sequence[str]) -> dict[str, Any]:
            if arguments[3] == "run" and self.asked["run"] == 0:
                self.asked["run"] += 1
                sets.erase(lambda tenant, user, at, events=(): user == f"u{learner}")
            return super().__call__(arguments)

    world.training = Late()
    world.run(grid(NOISY))
    assert len(world.training.shown) == 2
    assert not any(f"good {learner}" in row["chosen"] for rows in world.training.shown for row in rows)


def test_an_erasure_among_those_who_are_measured_ends_it(world: World) -> None:
    sets = PairSets(world.folder / "rounds")
    other = next(i for i in range(120) if population(unit_id("t", f"u{i}", ""), Salts(), 0.05) == "gate")

    class Erasing(FakeTraining):
        def __call__(self, arguments: Sequence[str]) -> dict[str, Any]:
            sets.erase(lambda tenant, user, at, events=(): user == f"u{other}")
            return super().__call__(arguments)

    world.training = Erasing()
    with pytest.raises(FailedPrecondition, match="who is measured was erased"):
        world.run(grid(NOISY))
    assert not any((world.folder / "rounds" / FOLDER / "work").glob("*.jsonl"))


def test_a_file_that_a_killed_call_left_goes_with_the_next_call_and_with_any_erasure(world: World) -> None:
    """F16: its pair set may have been emptied since, so that no row tells whose words these are."""
    left = world.folder / "rounds" / FOLDER / "work" / "0123456789abcdef.jsonl"
    left.parent.mkdir(parents=True)
    for take in (lambda: PairSets(world.folder / "rounds").erase(lambda *of: False), world.ablation):
        left.write_text("{}\n")
        take()
        assert not left.exists()


def test_what_a_person_rejected_is_neither_learnt_from_nor_measured_on(world: World) -> None:
    first = world.run(grid(NOISY))
    found = {pair.user_id: pair for path in world.folder.rglob("rows.jsonl") for pair in read(path.parent)}
    on = {
        side: [u for u in found if population(unit_id("t", u, ""), Salts(), 0.05) == side] for side in ("pairs", "gate")
    }
    world.verdicts = {pair_digest(found[on[side][0]]): REJECTED for side in on}
    again = world.run(grid(NOISY))
    assert again["measured_on"] == first["measured_on"] - 1
    assert again["cells"][0]["trained_on"] == first["cells"][0]["trained_on"] - 1
    assert again["cells"][0]["runs"][0]["hash"] != first["cells"][0]["runs"][0]["hash"]


def test_feedback_that_is_called_as_a_files_prompt_is_still_its_users(world: World) -> None:
    report = world.run(grid(NOISY))
    world.folder = world.folder / "named"
    (world.folder / "base").mkdir(parents=True)
    world.evidence = [replace(piece, id=f"prompt:{piece.id}") for piece in world.evidence]
    named = world.run(grid(NOISY))
    assert named["measured_on"] == report["measured_on"]
    assert named["cells"][0]["trained_on"] == report["cells"][0]["trained_on"]


def test_one_call_at_a_time_holds_the_folder(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(ClaimTaken, match="another ablation is under way"), alone(tmp_path):
        raise AssertionError("two at once")
    with alone(tmp_path):
        pass


def test_too_few_pairs_are_refused_with_the_cell_that_has_them(world: World) -> None:
    short = Level("data", "short", {"guards": {"min_length_ratio": 1.0}})
    with pytest.raises(FailedPrecondition, match="data=short: 0 pairs to learn from, 2 are needed"):
        world.run(grid(short))
    with pytest.raises(FailedPrecondition, match="users who only measure"):
        World(world.folder / "few", 1).run(grid(NOISY))


def test_what_is_measured_of_a_pair() -> None:
    """Right per token, right as a whole, the longer one likelier: a half where both are as long."""

    def row(chosen: float, rejected: float, lengths: tuple[int, int]) -> dict[str, Any]:
        sides = {"chosen_logp": chosen, "rejected_logp": rejected}
        return sides | {
            "id": "p",
            "group": "g",
            "chosen_tokens": lengths[0],
            "rejected_tokens": lengths[1],
            "kl_to_original": 0.25,
        }

    found = figures([row(-10, -8, (10, 4)), row(-8, -10, (10, 4)), row(-1, -2, (3, 3)), row(-9, -8, (4, 10))])
    assert list(found) == list(MEASURES)
    assert found["pair_accuracy"].tolist() == [1.0, 1.0, 1.0, 0.0]
    assert found["ranking_accuracy"].tolist() == [0.0, 1.0, 1.0, 0.0]
    assert found["longer_likelier"].tolist() == [0.0, 1.0, 0.5, 1.0]
    assert found["kl"].tolist() == [0.25] * 4
