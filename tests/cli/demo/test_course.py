"""cli/demo/course: the figures of a story, on a world that needs no process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rejoinder.cli.demo.course import BASE, ROLLOUT, Sizes, Story, Told, estimate, exposed_users, machine
from rejoinder.cli.demo.world import HURRY
from rejoinder.core.errors import BadSettings
from rejoinder.rollout.plan import RolloutPlan
from rejoinder.rollouts.judging import check_kept
from rejoinder.rollouts.settings import RolloutsSettings
from rejoinder.rounds import recipe as recipes
from rejoinder.rounds.gate import prompts_of
from rejoinder.simulate import phrases
from rejoinder.simulate.driver import Moment
from rejoinder.simulate.panel import Panel, Score
from rejoinder.simulate.reading import load_topics
from rejoinder.training.embedded.facts import FACTS, Style
from rejoinder.training.embedded.facts import load as facts

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
    assert [stage["stage"].split(":")[0] for stage in told.timeline] == [
        f"panel of 60 answers {BASE}",
        "round 1",
        "round 2",
        "round 3",
    ]
    assert all(stage["seconds"] >= 0 for stage in told.timeline)


def test_probes_are_prompts_as_the_gate_reads_them_and_are_drawn_once(tmp_path: Path) -> None:
    story, _, _ = a_story(tmp_path, probes=24)
    path = story._probes()
    rows = prompts_of(replace(recipes.load("demo").gate, prompts=str(path)))
    assert len({row["id"] for row in rows}) == 24
    path.write_text("kept")
    assert story._probes().read_text() == "kept", "every round asks the same"


def check(story: Story, question: str, answer: str) -> bool | None:
    prompt: Sequence[dict[str, str]] = ({"role": "system", "content": "x"}, {"role": "user", "content": question})
    return story._facts(prompt, answer)


def test_the_deployments_check_of_facts_knows_right_from_wrong_and_what_it_cannot_judge(tmp_path: Path) -> None:
    story, _, _ = a_story(tmp_path)
    rng = np.random.default_rng(0)
    known = dict(zip(TOPICS, facts(), strict=True))
    for topic, other in zip(TOPICS, TOPICS[1:] + TOPICS[:1], strict=True):
        asked = f"Any idea of {topic.asks[0].upper()}?"
        style = Style("detailed", "prose", "metric")
        assert check(story, asked, known[topic].answer(style, rng)) is True
        assert check(story, asked, known[other].answer(style, rng)) is False
        assert check(story, asked, "") is False
    assert check(story, "Who are you?", "Nobody.") is None


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
