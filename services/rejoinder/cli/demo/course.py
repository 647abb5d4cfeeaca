"""The story of a demonstration: rounds that learn, versions pushed past the gate, and what all of it came to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from rejoinder.cli.demo.pushes import Push, pushed
from rejoinder.cli.demo.rewards import rewards
from rejoinder.cli.demo.world import Course, World, held_out, steps_of
from rejoinder.cli.loop import Wanted, round_of
from rejoinder.clients.connection import Connection
from rejoinder.clients.rollouts import RolloutClient
from rejoinder.core.types import ArmKind
from rejoinder.evaluate import facts
from rejoinder.registry.embedded import folder_of
from rejoinder.rounds.recipe import Recipe
from rejoinder.rounds.runner import Report, Round
from rejoinder.rounds.warm import Warm
from rejoinder.simulate.driver import Moment
from rejoinder.simulate.panel import Panel, Score
from rejoinder.simulate.reading import Topic

#: Minutes stand for weeks: nobody waits for a reply longer than this, and a step ends within a minute. So few people
#: can rule out no smaller loss than these margins: the product's own, 5 points of satisfaction and 8 of replies, ask
#: for several times as many.
ROLLOUT: Mapping[str, Any] = {
    "steps": [{"weight": 0.5, "duration_s": 0.0, "deadline_s": 45.0}],
    "margin": 0.15,
    "reply_margin": 0.15,
    "maturity_s": 2.0,
    "min_units": 50,
    "base_rate": 0.2,
    "reply_rate": 0.6,
    "watch_s": 0.0,
    "load_deadline_s": 60.0,
    "lease_ttl_s": 10.0,
}
BASE = "assist-base"


@dataclass(frozen=True)
class Sizes:
    """visits: conversations between two rounds, at least. most: of one rollout. panel: evaluation users."""

    rounds: int = 3
    visits: int = 1700
    most: int = 3000
    panel: int = 1500
    probes: int = 900
    pushes: tuple[str, ...] = ("style", "silent", "harmless")


@dataclass
class Told:
    """owns: the timeline. say: hears what happens."""

    say: Callable[[str], None]
    timeline: list[dict[str, Any]] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.say(name)
        began = time.monotonic()
        yield
        self.timeline.append({"stage": name, "seconds": round(time.monotonic() - began, 2)})

    def part(self, name: str, how: str) -> None:
        """A round's stage begins."""
        self.say(f"  {name}")


class Story:
    """owns: nothing beyond what it has seen; the world is given."""

    def __init__(
        self, world: World, recipe: Recipe, sizes: Sizes, panel: Panel, topics: list[Topic], told: Told
    ) -> None:
        self._world = world
        self._recipe = recipe
        self._sizes = sizes
        self._panel = panel
        self._topics = topics
        self._told = told
        self._sent = 0
        self._scores: dict[str, tuple[Score, Score]] = {}
        # By version: one answer that it gave to people, whose trace is told.
        self._answers: dict[str, Moment] = {}
        self.rounds: list[dict[str, Any]] = []
        self.verdicts: list[dict[str, Any]] = []
        self.pushes: list[dict[str, Any]] = []
        self.trace: dict[str, Any] = {}
        self.reward_heads: dict[str, Any] = {}

    def run(self, control: str) -> None:
        """The rounds; then, where it is no control, the pushes and the trace."""
        with Warm() as self._stages:
            self._run(control)

    def _run(self, control: str) -> None:
        self._measured(
            BASE, "", {"round": 0, "version": BASE, "promoted": True, "pairs": 0, "outcome": "", "reasons": []}
        )
        for number in range(1, self._sizes.rounds + 1):
            self._visits(number)
            if control == "no-training":
                self._measured(BASE, "", self._row(number, None, promoted=False))
                continue
            with self._told.stage(f"round {number}: pairs, training, gate"):
                report = self._round(number)
            self._settle(number, report, control)
        if not control:
            self._traced()
            for push in self._sizes.pushes:
                self._push(push)
        self._rewarded()

    def _visits(self, number: int) -> None:
        """Conversations until there are enough for a round; those of the rollout before count."""
        missing = self._sizes.visits - self._sent
        if missing > 0:
            with self._told.stage(f"round {number}: {missing} conversations"):
                self._heard(self._world.traffic(missing))
        self._sent = 0
        self._world.quiet()

    def _heard(self, moments: Sequence[Moment]) -> None:
        """Keeps of each version an answer that shows most: somebody said something about it, a conversation began."""
        for moment in moments:
            known = self._answers.setdefault(moment.version, moment)
            if (bool(moment.reply), moment.turn == 0) > (bool(known.reply), known.turn == 0):
                self._answers[moment.version] = moment

    def _round(self, number: int) -> Report:
        world = self._world
        wanted = Wanted(world.policy, world.policy, checks={"facts": facts.load(folder_of("base") / "facts.json")})
        recipe = replace(self._recipe, gate=replace(self._recipe.gate, prompts=str(self._probes())))
        services = {"policy": world.addresses["policy"]}
        with round_of(world.data, wanted, services, self._told.part, self._stages) as (loop, ports):
            return Round(loop, recipe, ports).run()

    def _settle(self, number: int, report: Report, control: str) -> None:
        """What becomes of a round's version: a rollout; in a control a person promotes it, whatever the gate said."""
        row = self._row(number, report, promoted=False)
        if report.version and control:
            with self._told.stage(f"round {number}: promoted by hand, for the control"):
                self._promote_by_hand(report.version)
            row["promoted"] = True
        elif report.outcome == "published":
            with self._told.stage(f"round {number}: rollout of {report.version}"):
                course = self._world.roll_out(report.version, ROLLOUT, self._sizes.most)
            self._heard(course.moments)
            self._sent = len({moment.interaction_id for moment in course.moments if moment.turn == 0})
            row["promoted"] = course.last.phase == "promoted"
            self._judged(report.version, "round", course)
        self._measured(report.version or BASE, report.version, row)

    def _promote_by_hand(self, version: str) -> None:
        with RolloutClient(Connection(self._world.addresses["rollouts"], deadline_s=60.0)) as engine:
            engine.start(self._world.policy, version, json.dumps(ROLLOUT))
            while engine.get(self._world.policy).phase not in ("canary", "paused"):
                time.sleep(0.2)
            engine.promote(self._world.policy, engine.get(self._world.policy).generation)

    def _row(self, number: int, report: Report | None, *, promoted: bool) -> dict[str, Any]:
        row: dict[str, Any] = {"round": number, "promoted": promoted, "pairs": 0, "outcome": "", "reasons": []}
        if report is None:
            return row
        stages = report.stages
        train = stages.get("train", {}).get("metrics", {})
        return row | {
            "version": report.version,
            "outcome": report.outcome,
            "reasons": list(report.reasons),
            "pairs": stages["pairs"]["pairs"],
            "trained_on": train.get("pairs", {}).get("trained", 0),
            "counts": dict(stages["pairs"]["counts"]),
            "kl": train.get("after", {}).get("kl_to_original_per_token"),
            "gate": [
                {name: measure[name] for name in ("name", "value", "low", "high", "n", "outcome")}
                for measure in stages.get("gate", {}).get("measures", ())
            ],
            "wishes": stages.get("gate", {}).get("wishes"),
        }

    def _measured(self, name: str, version: str, row: dict[str, Any]) -> None:
        """Adds a round's row with what the panel thinks of its version, person by person against the round before."""
        if name not in self._scores:
            with self._told.stage(f"panel of {len(self._panel.seats)} answers {name}"):
                self._scores[name] = self._world.ask(self._panel, version)
        first, after = self._scores[name]
        earlier = [r for r in self.rounds if r["promoted"]]
        gain = None
        if earlier:
            before = self._scores[earlier[-1]["version"]][0]
            gain = estimate(first.satisfaction - before.satisfaction)
        self.rounds.append(
            {
                "version": name,
                "kl": 0.0,
                **row,
                "first_answer": estimate(first.satisfaction),
                "after_wish": estimate(after.satisfaction),
                "facts": float(first.right.mean()),
                "words": float(first.words.mean()),
                "paired_gain": gain,
            }
        )

    def rise(self) -> dict[str, float] | None:
        """From the untrained policy to the last promoted version, person by person."""
        promoted = [row["version"] for row in self.rounds if row["promoted"]]
        if len(promoted) < 2:
            return None
        last, first = (self._scores[name][0].satisfaction for name in (promoted[-1], promoted[0]))
        return estimate(last - first)

    def _rewarded(self) -> None:
        """What two heads without a common user make of the panel's answers, round by round."""
        with self._told.stage("rewards by two heads"):
            questions = [seat.question for seat in self._panel.seats]
            answers = {name: first.answers for name, (first, _) in self._scores.items()}
            found = rewards(self._world.data, self._world.policy, questions, answers, BASE)
        self.reward_heads = {name: dict(facts) for name, facts in found.heads.items()}
        for row in self.rounds:
            row["reward"] = dict(found.of_version[row["version"] or BASE])

    def _judged(self, version: str, kind: str, course: Course) -> dict[str, Any]:
        last, judged = course.last, [seen for _, seen in course.points if seen.verdict != "UNSPECIFIED"]
        verdict = str(judged[-1].verdict).lower() if judged else "unmeasured"
        action = {"promoted": "promoted", "aborted": "rolled back"}.get(last.phase, "held")
        found = {
            "version": version,
            "kind": kind,
            "margin": ROLLOUT["margin"],
            "verdict": verdict,
            "action": action,
            "reason": last.reason,
            "reasons": list(judged[-1].reasons) if judged else [],
            "points": list(changes(point for point in steps_of(course) if point["judged"])),
            "vetoes": [asdict(veto) for veto in judged[-1].vetoes] if judged else [],
        }
        self.verdicts.append(found)
        return found

    def _push(self, kind: str) -> None:
        world = self._world
        stable = [row for row in self.rounds if row["promoted"] and row["round"]]
        if not stable:
            # Nothing was learnt, so there is nothing to push worse, silent or harmless variants of.
            nobody = {"judged": 0, "exposed_users": 0, "holdout_exposed": 0}
            held = {"kind": kind, "verdict": "unmeasured", "action": "held", "reasons": ["no_version"]}
            self.pushes.append(held | nobody)
            return
        with self._told.stage(f"pushed past the gate: {kind}"):
            push: Push = pushed(world.data, world.policy, stable[-1]["version"], kind)
            if kind == "silent":
                world.silencing.add(push.version)
            course = world.roll_out(push.version, ROLLOUT, self._sizes.most)
        found = self._judged(push.version, kind, course)
        exposed = exposed_users(course.moments, push.version)
        row = {name: found[name] for name in ("kind", "version", "verdict", "action", "reasons")}
        self.pushes.append(
            row
            | {
                "reason": found["reason"],
                "judged": max((seen.judged_canary + seen.judged_stable for _, seen in course.points), default=0),
                "exposed_users": len(exposed),
                "holdout_exposed": sum(map(held_out, exposed)),
                "override": push.override,
            }
        )

    def _traced(self) -> None:
        """One answer of the last promoted round's version, back to the events that made it."""
        learnt = [row["version"] for row in self.rounds if row["promoted"] and row["round"]]
        with self._told.stage("trace of one answer"):
            chosen = self._answers[learnt[-1] if learnt else BASE]
            # Its own user's reply may be read only now.
            self._world.quiet()
            nodes = self._world.trace(chosen.interaction_id)
        self.trace = {
            "id": chosen.interaction_id,
            "nodes": [{**asdict(node), "facts": dict(node.facts), "sources": list(node.sources)} for node in nodes],
        }

    def _probes(self) -> Path:
        """Questions that the gate asks besides the users' own; nobody of the panel asks them."""
        path = self._world.data / "probes.jsonl"
        if not path.exists():
            panel = Panel(self._topics, self._panel.phrases, count=self._sizes.probes, seed=990_001)
            rows = [
                {"id": f"probe-{i}", "prompt": [{"role": "user", "content": seat.question}]}
                for i, seat in enumerate(panel.seats)
            ]
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path


def estimate(values: np.ndarray) -> dict[str, float]:
    """Mean of one value a person, with its 95 % interval."""
    half = 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5
    mean = float(values.mean())
    return {"value": mean, "low": mean - half, "high": mean + half}


def changes(points: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Of the looks at each count of judged people the last, so that the decision's is among them."""
    for _, same in groupby(points, key=itemgetter("judged")):
        *_, last = same
        yield last


def exposed_users(moments: list[Moment], version: str) -> set[str]:
    """Who met a version while it was a canary; once promoted it is everybody's, held-out people included."""
    return {moment.user_id for moment in moments if moment.version == version and moment.arm == ArmKind.CANARY}


def machine() -> dict[str, Any]:
    """What the figures were made on."""
    cpu = "unknown"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {"cpu": cpu, "cores": os.cpu_count() or 1}


def commit() -> str:
    """The commit this ran from, "" outside a checkout."""
    git = shutil.which("git")
    if git is None:
        return ""
    here = Path(__file__).resolve().parent
    found = subprocess.run(
        [git, "-C", str(here), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip()
