"""rounds/runner: killed anywhere it goes on, refused is a legal end, the chain of digests is complete."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import ClaimTaken
from rejoinder.core.ids import digest_of
from rejoinder.core.types import (
    Choice,
    Comparison,
    Feedback,
    FollowUp,
    Interaction,
    Message,
    Polarity,
    Preference,
    Role,
    RoundEvent,
    Sampling,
    Served,
    Signal,
)
from rejoinder.ledger.reading.cut import Cut
from rejoinder.ledger.reading.windows import Evidence, Leaving, Manifest, Window
from rejoinder.registry import datasets
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.claims import claim_round, claims
from rejoinder.registry.reviews import REJECTED, Review, pair_digest, record
from rejoinder.registry.store import FolderStore
from rejoinder.rounds import recipe
from rejoinder.rounds.pairs.context import Likelihood, Sampled
from rejoinder.rounds.runner import Loop, Ports, Report, Round


class Killed(BaseException):
    """What kill -9 looks like from inside: nothing after it runs."""


def compared(number: int) -> Evidence:
    asked = (Message(Role.USER, f"Question {number} of many {number * 7}?"),)
    this = Interaction("t", f"e{number}", f"i{number}", f"a{number}", messages=asked, response=f"good answer {number}")
    this = replace(this, user_id=f"u{number}", conversation_id=f"c{number}", served=Served(version="m"))
    other = replace(this, interaction_id=f"o{number}", response=f"bad answer {number}")
    said = Feedback("t", f"f{number}", kind=Comparison(f"o{number}", "", Choice.THIS))
    return Evidence(f"f{number}", "t", said, this, None, other)


def complained(number: int) -> Evidence:
    piece = compared(number)
    said = Feedback("t", f"f{number}", kind=FollowUp("Bullets, not a paragraph."))
    return replace(piece, feedback=said, signal=Signal("t", f"s{number}", polarity=Polarity.DSAT), other=None)


class FakeLedger:
    """Windows of made-up evidence. owns: how much there is now."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.complaints = 0
        self.asked: list[int] = []

    def cut(self) -> Cut:
        return Cut()

    def window(self, loop: str, number: int, policy: str, cut: Cut, leaving: Leaving | None = None) -> Window:
        self.asked.append(number)
        evidence = [compared(i) for i in range((number - 1) * 1000, (number - 1) * 1000 + self.count)]
        evidence += [complained(i) for i in range(5000, 5000 + self.complaints)]
        evidence = (
            [e for e in evidence if not leaving.held_out("t", e.interaction.user_id, "")] if leaving else evidence
        )
        digests = tuple(e.id for e in evidence)
        counts = {"evidence": len(evidence)}
        return Window(Manifest(loop, number, policy, cut, 100.0, counts, f"window-{number}", digests), evidence)


class FakeTraining:
    """Keeps the stage contract without torch. owns: the commands it ran. dies_in: the one that kills the process."""

    def __init__(self, dies_in: str = "", parity: float = 1e-5) -> None:
        self.commands: list[str] = []
        self.seen: dict[str, list[dict[str, Any]]] = {}
        self.dies_in = dies_in
        self.parity = parity

    def __call__(self, arguments: Sequence[str]) -> dict[str, Any]:
        name = arguments[3] if "-m" in arguments else arguments[0]
        self.commands.append(name)
        if name == self.dies_in:
            raise Killed
        named = dict(itertools.pairwise(arguments))
        out = Path(named.get("--out", "."))
        if "--pairs" in named:
            pairs = Path(named["--pairs"])
            self.seen[pairs.stem] = [json.loads(line) for line in pairs.read_text().splitlines()]
        if name in ("run", "my-trainer"):
            (out / "adapter").mkdir(parents=True, exist_ok=True)
            (out / "adapter" / "adapter_model.safetensors").write_bytes(Path(named["--pairs"]).read_bytes())
            figures = {"after": {"kl_to_original_per_token": 0.05}, "pairs": {}}
            (out / "metrics.json").write_text(json.dumps(figures))
        elif name == "export-adapter":
            out.write_bytes(b"onnx" + (Path(named["--adapter"]) / "adapter_model.safetensors").read_bytes())
        elif name == "parity":
            return {"prompts": 8, "tokens": 20, "greedy_equal": 8, "max_logp_difference": self.parity, "ok": True}
        elif name == "likelihood":
            better = "--adapter" in named
            rows = [json.loads(line) for line in Path(named["--pairs"]).read_text().splitlines()]
            lines = [
                {
                    "id": row["id"],
                    "group": row["group"],
                    "chosen_logp": -5.0 if better else -12.0,
                    "rejected_logp": -10.0,
                    "chosen_tokens": 5,
                    "rejected_tokens": 5,
                    "kl_to_original": 0.05 * better,
                }
                for row in rows
            ]
            out.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return {}


class World:
    """A registry, a base, a ledger; what survives a kill."""

    def __init__(self, tmp_path: Path, count: int = 400) -> None:
        self.store = FolderStore(tmp_path / "registry")
        self.artefacts = Artefacts(self.store, tmp_path / "artefacts")
        base = tmp_path / "base-export"
        base.mkdir(parents=True)
        (base / "genai_config.json").write_text("{}")
        self.loop = Loop("assist", "loop-a", tmp_path / "rounds", tmp_path / "base-hf", self.artefacts.put(base))
        self.ledger = FakeLedger(count)
        self.events: dict[str, RoundEvent] = {}
        self.told: list[tuple[str, str]] = []

    def run(self, training: FakeTraining, **changes: Any) -> Report:
        chosen = recipe.of({**PEOPLE, **changes.pop("recipe", {})})
        ports = Ports(
            self.store,
            self.artefacts,
            self.ledger,
            lambda event: self.events.__setitem__(event.event_id, event),
            ManualClock(),
            changes.pop("sampler", None),
            changes.pop("scorer", None),
            told=lambda stage, how: self.told.append((stage, how)),
            run=training,
        )
        return Round(replace(self.loop, **changes), chosen, ports).run()


class FakeSampler:
    """Answers that say which version wrote them."""

    def sample(self, messages: Sequence[Message], sampling: Sampling, n: int, version: str) -> list[Sampled]:
        return [Sampled(version, -1.0, 4)] * n

    def likelihood(self, messages: Sequence[Message], continuations: Sequence[str], version: str) -> list[Likelihood]:
        raise AssertionError("no builder of this recipe asks")


@dataclass
class FakeHeads:
    """A reward service of two heads, of which the builders' likes every new version."""

    head: str = ""
    asked: list[str] = field(default_factory=list)

    def score(self, messages: Sequence[Message], responses: Sequence[str]) -> list[float]:
        self.asked.append(self.head)
        likes = 1.0 if self.head == "" else -1.0
        return [likes * bool(response) for response in responses]

    def heads(self) -> Mapping[str, str]:
        return {"": "one", "bt": "one", "gate": "two"}

    def under(self, head: str) -> FakeHeads:
        return FakeHeads(head, self.asked)


PEOPLE: dict[str, Any] = {
    "name": "people",
    "builders": ["comparisons"],
    "train": {"min_pairs": 20},
    "gate": {"samples": 0, "measures": [{"row": "pair_accuracy", "params": {"min_n": 30}}, "kl", "parity"]},
}


def test_a_round_publishes_a_version_whose_manifest_names_its_round_and_data(tmp_path: Path) -> None:
    """U07: version → round → data set → window."""
    world = World(tmp_path)
    report = world.run(FakeTraining())
    assert (report.outcome, report.version) == ("published", "assist-r0001")
    version = world.artefacts.version("assist", "assist-r0001")
    assert version.round == 1
    assert version.dataset_digest == report.stages["pairs"]["digest"]
    assert version.facts["window"] == "window-1"
    assert [c.outcome for c in claims(world.store, "assist")] == ["published"]
    assert [e.stage for e in world.events.values()] == ["window", "pairs", "train", "export", "gate", "publish"]
    assert version.facts["sets"] == [f"000001/pairs-{report.stages['pairs']['key'][:12]}"]
    assert world.run(FakeTraining()).version == "assist-r0002"
    later = world.artefacts.version("assist", "assist-r0002").facts["sets"]
    assert [place.split("/")[0] for place in later] == ["000002", "000001"], "what earlier rounds had is trained on too"


def test_evaluation_users_wishes_stand_beside_the_gates_measures(tmp_path: Path) -> None:
    """User-guided evaluation: told with the round, and no part of what the gate decides."""
    world = World(tmp_path)
    world.ledger.complaints = 200
    gate = world.run(FakeTraining()).stages["gate"]
    assert 10 < gate["wishes"]["said"] < 60, "some 14 of 100 users are evaluation's"
    assert gate["wishes"]["checkable"] == 1.0
    assert gate["wishes"]["n"] == 0, "no policy service stands behind this round"
    assert "wishes" not in {measure["name"] for measure in gate["measures"]}
    assert "rewards" not in gate, "nobody's answers were there to be compared"


def test_two_heads_that_share_no_user_are_told_beside_the_gates_measures_and_decide_nothing(tmp_path: Path) -> None:
    """The gate's digest is over its measures alone; a round that was killed in its gate says the same."""
    told = {"recipe": {"gate": {**PEOPLE["gate"], "samples": 200}}, "sampler": FakeSampler()}
    found = World(tmp_path / "whole").run(FakeTraining(), **told).stages["gate"]
    assert found["rewards"]["stable"] == ""
    assert (found["rewards"]["train"]["n"], found["rewards"]["gate"]["n"]) == (found["rewards"]["gate"]["pairs"],) * 2
    assert found["rewards"]["train"]["pairs"] > 200
    assert "are below 200" in found["rewards"]["gate"]["why"]
    assert {m["name"] for m in found["measures"]} == {"pair_accuracy", "kl", "parity"}
    decided = {name: found[name] for name in ("passed", "reasons", "measures")}
    assert found["digest"] == digest_of(json.loads(json.dumps(decided)))
    killed = World(tmp_path / "killed")
    with pytest.raises(Killed):
        killed.run(FakeTraining("likelihood"), **told)
    assert killed.run(FakeTraining(), **told).stages["gate"] == found


@pytest.mark.parametrize("dies_in", ["run", "export-adapter", "parity", "likelihood"])
def test_a_round_killed_in_any_stage_goes_on_and_ends_as_if_it_had_not_been(dies_in: str, tmp_path: Path) -> None:
    whole = World(tmp_path / "whole").run(FakeTraining())
    world = World(tmp_path / "killed")
    with pytest.raises(Killed):
        world.run(FakeTraining(dies_in))
    world.told.clear()
    report = world.run(FakeTraining())
    assert (report.number, report.outcome, report.version) == (whole.number, whole.outcome, whole.version)
    assert report.stages["pairs"]["digest"] == whole.stages["pairs"]["digest"]
    assert ("pairs", "taken") in world.told
    assert len({(e.stage, e.digest) for e in world.events.values()}) == len(world.events) == 6


def test_a_resumed_round_keeps_the_cut_of_the_first_runner(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(Killed):
        world.run(FakeTraining("run"))
    report = world.run(FakeTraining())
    assert set(world.ledger.asked) == {1}
    assert report.stages["window"]["cut"] == Cut().to_json()


@pytest.mark.parametrize(
    ("head", "outcome", "asked"), [("", "unmeasured", set()), ("bt", "unmeasured", set()), ("gate", "fail", {"gate"})]
)
def test_the_builders_head_never_judges_what_it_taught(
    tmp_path: Path, head: str, outcome: str, asked: set[str]
) -> None:
    """The control: by its own teacher the version would win every time."""
    scorer = FakeHeads()
    gate = {"samples": 20, "head": head, "measures": [{"row": "win_rate", "params": {"min_n": 10}}]}
    report = World(tmp_path).run(FakeTraining(), recipe={"gate": gate}, sampler=FakeSampler(), scorer=scorer)
    (found,) = report.stages["gate"]["measures"]
    assert (found["outcome"], set(scorer.asked)) == (outcome, asked)
    assert bool(found["why"]) == (outcome == "unmeasured")


def test_another_loop_cannot_run_beside(tmp_path: Path) -> None:
    """U13: single flight."""
    world = World(tmp_path)
    claim_round(world.store, "assist", "loop-b", 0.0)
    with pytest.raises(ClaimTaken):
        world.run(FakeTraining())


def test_too_few_pairs_are_a_refused_round_with_its_reason(tmp_path: Path) -> None:
    world = World(tmp_path, count=5)
    training = FakeTraining()
    report = world.run(training)
    assert report.outcome == "refused"
    assert report.reasons[0].startswith("pairs:")
    assert training.commands == []
    assert [c.outcome for c in claims(world.store, "assist")] == ["refused"]


def test_a_failed_veto_refuses_the_version_and_keeps_its_number(tmp_path: Path) -> None:
    """F12: an export that differs from what was trained is not rolled out."""
    world = World(tmp_path)
    report = world.run(FakeTraining(parity=0.3))
    assert report.outcome == "refused"
    assert report.reasons == ("parity:fail",)
    assert world.run(FakeTraining()).version == "assist-r0002"


def test_pairs_of_earlier_rounds_are_kept_unless_told_otherwise(tmp_path: Path) -> None:
    world = World(tmp_path)
    one, two, three = FakeTraining(), FakeTraining(), FakeTraining()
    world.run(one)
    world.run(two)
    assert len(two.seen["pairs"]) > 1.8 * len(one.seen["pairs"])
    world.run(three, recipe={"keep_earlier": False})
    assert len(three.seen["pairs"]) < 1.2 * len(one.seen["pairs"])


CHARTER = {"version": "7", "norms": [{"id": "no-nines", "text": "t", "owner": "o", "forbid": r"answer \d*9\b"}]}


def test_pairs_that_break_the_charter_are_learnt_from_in_no_round_the_earlier_ones_among_them(tmp_path: Path) -> None:
    """F01: counted by norm; a version that breaks it more often does not pass; the report has the charter's digest."""
    world = World(tmp_path)
    before, after = FakeTraining(), FakeTraining()
    world.run(before)
    gate = {**PEOPLE["gate"], "measures": [*PEOPLE["gate"]["measures"], "norms"]}
    report = world.run(after, recipe={"charter": CHARTER, "gate": gate})
    ends = {row["chosen"][-1] for row in after.seen["pairs"]}
    assert "9" in {row["chosen"][-1] for row in before.seen["pairs"]}
    assert "9" not in ends
    assert report.stages["pairs"]["counts"]["dropped.comparisons.norm.no-nines"] > 10
    told = report.stages["charter"]
    assert (told["version"], told["earlier"]["pairs"]["no-nines"] > 5) == ("7", True)
    (measure,) = (m for m in report.stages["gate"]["measures"] if m["name"] == "norms")
    assert (measure["outcome"], measure["facts"]["charter"]) == ("unmeasured", told["digest"])
    assert report.reasons == ("norms:unmeasured",), "nobody answered for the gate"


def test_a_version_that_takes_another_stance_does_not_pass(tmp_path: Path) -> None:
    """Stable says nothing, which a pattern may read as against; the new version says its name."""
    prompts = [f"Is {n} a good number?" for n in range(20)]
    rules = {"support": "^assist-", "neutral": "^maybe", "oppose": "^$"}
    topics = {"version": "3", "topics": [{"id": "numbers", "question": "?", "prompts": prompts, **rules}]}
    gate = {**PEOPLE["gate"], "measures": [*PEOPLE["gate"]["measures"], "drift"]}
    report = World(tmp_path).run(FakeTraining(), recipe={"topics": topics, "gate": gate}, sampler=FakeSampler())
    (found,) = (m for m in report.stages["gate"]["measures"] if m["name"] == "drift")
    assert (found["outcome"], found["facts"]["version"]) == ("fail", "3")
    assert report.reasons == ("drift:fail",)


def test_no_user_stands_on_both_sides_and_no_holdout_user_on_any(tmp_path: Path) -> None:
    """F05, U09, U15."""
    world, training = World(tmp_path), FakeTraining()
    world.run(training)
    groups = {name: {row["group"] for row in rows} for name, rows in training.seen.items()}
    assert groups["pairs"]
    assert groups["gate"]
    assert not groups["pairs"] & groups["gate"]


def test_after_a_round_words_stand_in_the_pair_sets_alone(tmp_path: Path) -> None:
    """U11: what erasure reaches is all there is."""
    world = World(tmp_path)
    world.run(FakeTraining())
    holding = {
        path.parent.name.split("-")[0]
        for path in (tmp_path / "rounds").rglob("*")
        if path.is_file() and "good answer" in path.read_text(errors="ignore")
    }
    assert holding <= {"pairs", "gate", "evaluation"}


def test_any_program_that_keeps_the_contract_can_train(tmp_path: Path) -> None:
    world = World(tmp_path)
    training = FakeTraining()
    report = world.run(training, recipe={"train": {"command": ["my-trainer"], "min_pairs": 20}})
    assert report.outcome == "published"
    assert training.commands[0] == "my-trainer"


def swapped(rows: list[dict[str, Any]]) -> dict[str, bool]:
    return {row["id"]: row["chosen"].startswith("bad") for row in rows}


def a_swapped_round(folder: Path, share: float = 0.5, **changes: Any) -> FakeTraining:
    training = FakeTraining()
    World(folder).run(training, recipe={"train": {"min_pairs": 20, "swap_share": share}, **changes})
    return training


def test_a_share_of_one_half_exchanges_the_sides_of_about_half_the_training_pairs(tmp_path: Path) -> None:
    """The control that must learn nothing: each pair by a coin of its own."""
    found = swapped(a_swapped_round(tmp_path).seen["pairs"])
    assert len(found) > 200
    assert sum(found.values()) / len(found) == pytest.approx(0.5, abs=0.1)
    rows = a_swapped_round(tmp_path / "again").seen["pairs"]
    assert {frozenset((row["chosen"].split()[0], row["rejected"].split()[0])) for row in rows} == {
        frozenset(("good", "bad"))
    }, "both sides are still there"


@pytest.mark.parametrize(("share", "expected"), [(0.0, {False}), (1.0, {True})])
def test_without_a_share_no_pair_is_exchanged_and_with_all_of_it_every_one(
    share: float, expected: set[bool], tmp_path: Path
) -> None:
    assert set(swapped(a_swapped_round(tmp_path, share).seen["pairs"]).values()) == expected


def test_the_same_pairs_are_exchanged_every_time_and_others_under_another_seed(tmp_path: Path) -> None:
    one, same, other = (
        swapped(a_swapped_round(tmp_path / str(i), seed=seed).seen["pairs"]) for i, seed in enumerate((4, 4, 5))
    )
    assert one == same
    assert one.keys() == other.keys()
    assert one != other


def test_a_pair_of_an_earlier_round_stays_exchanged_in_later_ones(tmp_path: Path) -> None:
    world, recipe_of = World(tmp_path), {"train": {"min_pairs": 20, "swap_share": 0.5}}
    one, two = FakeTraining(), FakeTraining()
    world.run(one, recipe=recipe_of)
    world.run(two, recipe=recipe_of)
    first, both = swapped(one.seen["pairs"]), swapped(two.seen["pairs"])
    assert first.items() <= both.items()
    assert len(both) > len(first)


def test_the_gate_measures_on_pairs_as_they_are_whatever_was_trained_on(tmp_path: Path) -> None:
    found = swapped(a_swapped_round(tmp_path).seen["gate"])
    assert found
    assert not any(found.values())


def starting_from(tmp_path: Path, world: World, **changes: Any) -> dict[str, Any]:
    """The manifest that the newest round handed to its train stage."""
    report = world.run(FakeTraining(), recipe={"train": {"min_pairs": 20, "settings": {"init": "promoted"}}}, **changes)
    return json.loads((tmp_path / "rounds" / "assist" / f"{report.number:06d}" / "train.manifest.json").read_text())


def test_training_goes_on_from_what_is_stable_and_from_the_original_before_there_is_any(tmp_path: Path) -> None:
    world = World(tmp_path)
    first = starting_from(tmp_path, world)
    assert (first["train"]["init"], first["adapters"]) == ("original", {})
    second = starting_from(tmp_path, world, stable="assist-r0001")
    assert second["train"]["init"] == "promoted"
    started = Path(second["adapters"]["promoted"])
    trained = world.artefacts.version("assist", "assist-r0001").facts["train"]
    assert started.resolve() == (world.artefacts.path(trained) / "adapter").resolve()


def test_a_version_that_was_rolled_back_is_nobodys_previous(tmp_path: Path) -> None:
    world = World(tmp_path)
    recipe_of = {"train": {"min_pairs": 20, "settings": {"reference": "previous"}}}

    def read(number: int) -> Any:
        folder = tmp_path / "rounds" / "assist" / f"{number:06d}"
        return json.loads((folder / "train.manifest.json").read_text())

    for _ in range(2):
        world.run(FakeTraining(), recipe=recipe_of)
    assert read(1)["adapters"] == {}
    of = {number: world.artefacts.version("assist", f"assist-r{number:04d}").facts["train"] for number in (1, 2)}
    assert of[1] in read(2)["adapters"]["previous"]
    world.store.create("rolled_back/assist/assist-r0002.json", b"{}")
    world.run(FakeTraining(), recipe=recipe_of)
    assert of[1] in read(3)["adapters"]["previous"]


class Forgetful(FakeLedger):
    """A ledger that takes somebody out while a round works. owns: who is gone, and after how many questions."""

    def __init__(self, count: int, user: str, after: int) -> None:
        super().__init__(count)
        self.user, self.after = user, after

    def window(self, loop: str, number: int, policy: str, cut: Cut, leaving: Leaving | None = None) -> Window:
        built = super().window(loop, number, policy, cut, leaving)
        if len(self.asked) <= self.after:
            return built
        return replace(built, evidence=[e for e in built.evidence if e.interaction.user_id != self.user])


@pytest.mark.parametrize("after", [1, 2])
def test_who_is_erased_while_pairs_are_made_or_written_is_in_no_set(tmp_path: Path, after: int) -> None:
    """F16: the ledger's last look at the sets may have been before they were written. (With `after` 3 the round is over
    its last look, and the ledger's own reaches the sets: they lie there for all of a grace.)"""
    world = World(tmp_path)
    world.ledger = Forgetful(400, "u7", after)
    training = FakeTraining()
    world.run(training)
    written = b"".join(path.read_bytes() for path in (tmp_path / "rounds").rglob("*.jsonl"))
    assert b"good answer 8" in written
    assert b'good answer 7"' not in written
    assert not any("u7" in str(row) for rows in training.seen.values() for row in rows)


def test_a_set_that_a_killed_run_left_is_looked_at_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written whole, and the process died before its last look; started again a day later."""

    def killed(*_: object) -> int:
        raise Killed

    world = World(tmp_path)
    world.ledger = Forgetful(400, "u7", 99)
    monkeypatch.setattr(datasets, "keep", killed)
    with pytest.raises(Killed):
        world.run(FakeTraining())
    monkeypatch.undo()
    sets = list((tmp_path / "rounds").rglob("rows.jsonl"))
    assert any(b'good answer 7"' in path.read_bytes() for path in sets)
    world.ledger.after = 0
    world.run(FakeTraining())
    assert not any(b'good answer 7"' in path.read_bytes() for path in (tmp_path / "rounds").rglob("*.jsonl"))


def test_who_is_erased_between_reading_and_writing_is_in_no_file_for_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F16: the eraser empties the rows after they were read, and finds no file yet that it could take away."""
    world, training, made = World(tmp_path), FakeTraining(), datasets.training_row

    def erased(pair: Preference) -> dict[str, Any]:
        datasets.PairSets(tmp_path / "rounds").erase(lambda tenant, user, at, events: user == "u7")
        return made(pair)

    monkeypatch.setattr(datasets, "training_row", erased)
    world.run(training)
    assert training.seen["pairs"]
    assert not any("u7" in str(row) or 'good answer 7"' in json.dumps(row) for row in training.seen["pairs"])


def test_a_rejected_pair_is_in_no_later_round_s_training_and_a_killed_round_goes_on_with_what_held(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    one, killed, two = FakeTraining(), FakeTraining(dies_in="run"), FakeTraining()
    world.run(one)
    (folder,) = (tmp_path / "rounds" / "assist" / "000001").glob("pairs-*")
    first, second, *_ = datasets.read(folder)
    record(world.store, "assist", Review(pair_digest(first), REJECTED, "ann", 1.0))
    with pytest.raises(Killed):
        world.run(killed)
    record(world.store, "assist", Review(pair_digest(second), REJECTED, "ann", 2.0))
    report = world.run(two)
    learnt = {row["id"] for row in two.seen["pairs"]}
    assert first.id in {row["id"] for row in one.seen["pairs"]}
    assert first.id not in learnt
    assert second.id in learnt, "said after the round had begun: the next one's"
    assert report.stages["reviews"]["rejected"] == 1
