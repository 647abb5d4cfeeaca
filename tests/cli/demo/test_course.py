"""cli/demo/course: the figures of a story, on a world that needs no process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rejoinder.cli.demo.course import BASE, ROLLOUT, Sizes, Story, Told, changes, estimate, exposed_users, machine
from rejoinder.cli.demo.world import HURRY, Course
from rejoinder.clients.rollouts import Rollout, Verdict
from rejoinder.core.errors import BadSettings
from rejoinder.core.types import Rating, RoundEvent
from rejoinder.ledger.reading.trace import TraceNode
from rejoinder.rollout.plan import RolloutPlan
from rejoinder.rollouts.judging import check_kept
from rejoinder.rollouts.settings import RolloutsSettings
from rejoinder.rounds import recipe as recipes
from rejoinder.rounds.gate import prompts_of
from rejoinder.rounds.runner import Report
from rejoinder.simulate import phrases
from rejoinder.simulate.driver import Moment
from rejoinder.simulate.panel import Panel, Score
from rejoinder.simulate.reading import load_topics
from rejoinder.training.embedded.facts import FACTS, Style
from rejoinder.training.embedded.facts import load as facts

from tests.ledger.conftest import Bench

TOPICS = list(load_topics(FACTS))
SAID = phrases.load()


class FakeWorld:
    """Answers everything in one style, rightly. owns: what was asked of it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.policy = "assist"
        self.asked: list[str] = []
        self.conversations: list[int] = []
        self.waited = 0

    def traffic(self, count: int) -> list[Moment]:
        self.conversations.append(count)
        return []

    def quiet(self) -> None:
        self.waited += 1

    def ask(self, panel: Panel, version: str) -> tuple[Score, Score]:
        self.asked.append(version)
        rng, known = np.random.default_rng(0), dict(zip(TOPICS, facts(), strict=True))
        answers = [known[s.topic].answer(Style("brief", "prose", "metric"), rng) for s in panel.seats]
        revised = {i: known[panel.seats[i].topic].answer(_own(panel, i), rng) for i in panel.wishes(answers)}
        return panel.first_answer(answers), panel.after_wish(answers, revised)


def _own(panel: Panel, number: int) -> Style:
    seat = panel.seats[number]
    return Style(*seat.person.tastes[seat.topic.kind])


def a_story(data: Path, **sizes: Any) -> tuple[Story, FakeWorld, Told]:
    world, told = FakeWorld(data), Told(lambda what: None)
    panel = Panel(TOPICS, SAID, count=60, seed=1)
    story = Story(world, recipes.load("demo"), Sizes(**sizes), panel, TOPICS, told)  # type: ignore[arg-type]
    return story, world, told


def test_an_estimate_is_the_mean_of_one_value_a_person_with_its_95_percent_interval() -> None:
    found = estimate(np.array([0.0, 1.0, 0.0, 1.0]))
    half = 1.96 * (1 / 3) ** 0.5 / 2
    assert found == pytest.approx({"value": 0.5, "low": 0.5 - half, "high": 0.5 + half})


def test_the_interval_holds_the_truth_in_95_of_100_runs() -> None:
    rng = np.random.default_rng(0)
    found = [estimate(rng.random(400)) for _ in range(1000)]
    assert np.mean([one["low"] <= 0.5 <= one["high"] for one in found]) == pytest.approx(0.95, abs=0.02)


def test_the_same_people_twice_gain_exactly_nothing() -> None:
    values = np.random.default_rng(0).random(50)
    assert estimate(values - values) == {"value": 0.0, "low": 0.0, "high": 0.0}


def moment(user: str, version: str, arm: str = "CANARY") -> Moment:
    return Moment("i", user, "measure", 0, version, arm, 0.5, True, True, (), "", (), 0.0)


def test_exposed_are_those_whom_the_version_answered_as_a_canary_each_once() -> None:
    seen = [moment("a", "push"), moment("b", "base"), moment("a", "push"), moment("c", "push"), moment("c", "base")]
    # Whoever meets it after its promotion, a held-out person perhaps, was not exposed to a canary.
    seen.append(moment("d", "push", "STABLE"))
    assert exposed_users(seen, "push") == {"a", "c"}
    assert exposed_users(seen, "another") == set()


def test_where_nothing_is_trained_every_round_is_the_untrained_policy_and_nothing_is_gained(tmp_path: Path) -> None:
    """The no-training control: people talk as much, the panel is asked once and thinks the same."""
    story, world, told = a_story(tmp_path, rounds=3, visits=40)
    story.run("no-training")
    assert world.conversations == [40, 40, 40]
    assert world.waited == 3
    assert world.asked == [""]
    assert [(row["round"], row["version"], row["promoted"]) for row in story.rounds] == [
        (0, BASE, True),
        (1, BASE, False),
        (2, BASE, False),
        (3, BASE, False),
    ]
    assert [row["paired_gain"] for row in story.rounds] == [None, *[{"value": 0.0, "low": 0.0, "high": 0.0}] * 3]
    first = story.rounds[0]
    assert first["first_answer"]["value"] < first["after_wish"]["value"] == pytest.approx(0.95)
    assert first["facts"] == 1.0
    assert (story.rise(), story.pushes, story.trace) == (None, [], {})
    assert [row["reward"] for row in story.rounds] == [{"train": None, "gate": None}] * 4
    assert [stage["stage"].split(":")[0] for stage in told.timeline] == [
        f"panel of 60 answers {BASE}",
        "round 1",
        "round 2",
        "round 3",
        "rewards by two heads",
    ]
    assert all(stage["seconds"] >= 0 for stage in told.timeline)


def test_of_the_looks_at_one_count_the_last_stays() -> None:
    looks = [{"judged": n, "at": i} for i, n in enumerate((5, 5, 9, 12, 12, 12))]
    assert [(look["judged"], look["at"]) for look in changes(looks)] == [(5, 1), (9, 2), (12, 5)]
    assert list(changes([])) == []


class Deployed(FakeWorld):
    """A world in which every round's version is rolled out and promoted, and whose ledger is a real one.

    owns: the ledger, the log behind it, and who was sent.
    """

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self._bench = Bench(data)
        self._log = self._bench.of()
        self.ledger = self._bench.ledger()
        self._numbers = count()
        self.courses: list[Course] = []

    def close(self) -> None:
        self._bench.close()

    def traffic(self, count: int) -> list[Moment]:
        self.conversations.append(count)
        return [self._talk(BASE, "STABLE") for _ in range(3)]

    def roll_out(self, version: str, plan: Mapping[str, Any], most: int) -> Course:
        verdict = Rollout(phase="promoted", verdict=Verdict.INCONCLUSIVE, judged_canary=60, judged_stable=60)
        arms = ((BASE, "STABLE"), (version, "CANARY"), (version, "CANARY"), (version, "CANARY"), (version, "CANARY"))
        found = [self._talk(v, arm) for v, arm in arms]
        # Who answers back a second time met the version in the middle of a conversation.
        found = [replace(one, turn=int(i in (1, 2))) for i, one in enumerate(found)]
        self.courses.append(Course([(1.0, verdict)], found))
        return self.courses[-1]

    def _talk(self, version: str, arm: str) -> Moment:
        """An answer that is on the log; whoever has an even number says something."""
        name = f"i{next(self._numbers)}"
        self._log.put(self._bench.answer(name, version=version))
        said = int(name[1:]) % 2 == 0
        if said:
            self._log.put(self._bench.said(f"f-{name}", name, kind=Rating(number=0.0, scale_max=1.0)))
        self.ledger.project(self._log)
        return replace(moment(f"user-{name}", version, arm), interaction_id=name, reply="wish" if said else "")

    def learn(self, version: str, number: int) -> None:
        """As a round does: a window, and the events of its stages."""
        self.ledger.window(self.policy, number, "", self.ledger.cut())
        for stage in ("window", "pairs", "train", "export"):
            event = f"{version}-{stage}"
            self._log.put(RoundEvent("t", event, self.policy, number, stage, f"digest of {event}", "", 1.0, 1.0))
        self._log.put(RoundEvent("t", version, self.policy, number, "publish", "d", version, 1.0, 1.0))
        self.ledger.project(self._log)

    def trace(self, interaction_id: str) -> list[TraceNode]:
        return list(self.ledger.trace("t", interaction_id))


class Learning(Story):
    """A story whose rounds train nothing and publish all the same."""

    def _round(self, number: int) -> Report:
        version = f"assist-r{number:04d}"
        self._world.learn(version, number)  # type: ignore[attr-defined]
        stages = {"pairs": {"pairs": 60, "counts": {}}}
        return Report("assist", number, "published", version, (), stages)


def test_the_answer_that_is_traced_is_the_last_promoted_rounds_and_leads_to_the_events_that_made_it(
    tmp_path: Path,
) -> None:
    """U07: a version that is pushed afterwards, and promoted, has no round; its answers lead nowhere."""
    world = Deployed(tmp_path)
    panel = Panel(TOPICS, SAID, count=60, seed=1)
    sizes = Sizes(rounds=2, visits=40, pushes=())
    story = Learning(world, recipes.load("demo"), sizes, panel, TOPICS, Told(lambda what: None))  # type: ignore[arg-type]
    story.run("")
    world.close()
    found = {(node["kind"], node["id"]): node for node in story.trace["nodes"]}
    answer = next(node for (kind, _), node in found.items() if kind == "interaction")
    assert answer["facts"]["version"] == "assist-r0002"
    (last,) = [course for course in world.courses if course.moments[-1].version == "assist-r0002"]
    (chosen,) = [one for one in last.moments if one.interaction_id == story.trace["id"]]
    assert (chosen.turn, chosen.reply) == (0, "wish")
    assert [node["sources"] for (kind, _), node in found.items() if kind == "feedback"] == [[story.trace["id"]]]
    version = found["version", "assist-r0002"]
    assert version["digest"] == "digest of assist-r0002-export"
    assert version["facts"]["dataset_digest"] == "digest of assist-r0002-pairs"
    assert version["facts"]["round"] == "assist#2"
    assert ("round", "assist#2/pairs") in found
    window = found["window", "assist#2"]
    assert window["sources"]
    assert set(window["sources"]) <= {f"f-i{i}" for i in range(0, 20, 2)}
    assert json.loads(json.dumps(story.trace)) == story.trace
    assert [set(row["reward"]) for row in story.rounds] == [{"train", "gate"}] * 3


def test_without_a_promoted_round_a_base_answer_is_traced_and_nobody_met_a_push(tmp_path: Path) -> None:
    world = Deployed(tmp_path)
    panel = Panel(TOPICS, SAID, count=60, seed=1)

    class Refused(Story):
        def _round(self, number: int) -> Report:
            return Report("assist", number, "refused", "", ("pairs:3_below_50",), {"pairs": {"pairs": 3, "counts": {}}})

    sizes = Sizes(rounds=1, visits=40)
    story = Refused(world, recipes.load("demo"), sizes, panel, TOPICS, Told(lambda what: None))  # type: ignore[arg-type]
    story.run("")
    world.close()
    assert {node["id"] for node in story.trace["nodes"] if node["kind"] == "version"} == {BASE}
    assert [push["kind"] for push in story.pushes] == ["style", "silent", "harmless"]
    for push in story.pushes:
        assert (push["judged"], push["exposed_users"], push["holdout_exposed"]) == (0, 0, 0)
        assert push["verdict"] == "unmeasured"


def test_probes_are_prompts_as_the_gate_reads_them_and_are_drawn_once(tmp_path: Path) -> None:
    story, _, _ = a_story(tmp_path, probes=24)
    path = story._probes()
    rows = prompts_of(replace(recipes.load("demo").gate, prompts=str(path)))
    assert len({row["id"] for row in rows}) == 24
    path.write_text("kept")
    assert story._probes().read_text() == "kept", "every round asks the same"


def test_the_demonstrations_rollout_is_a_plan_that_the_engine_takes() -> None:
    """Its lease must outlive several looks at the pace that the demonstration sets."""
    plan = RolloutPlan.from_mapping({**RolloutsSettings().plan, **ROLLOUT})
    check_kept(plan, HURRY["rollouts"]["engine"]["poll_s"])
    assert [step.weight for step in plan.steps] == [0.5]
    with pytest.raises(BadSettings, match="lease_ttl_s"):
        check_kept(replace(plan, lease_ttl_s=2.0), HURRY["rollouts"]["engine"]["poll_s"])


def test_a_machine_is_told_by_its_processor_and_cores() -> None:
    found = machine()
    assert found["cpu"]
    assert found["cores"] >= 1
