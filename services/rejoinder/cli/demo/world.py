"""The deployment and people of a demonstration: every process on loopback, traffic, rollouts, the panel, the end."""

from __future__ import annotations

import asyncio
import json
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from rejoinder.cli.demo.watch import Watch
from rejoinder.cli.lineage import lineage
from rejoinder.cli.supervisor import Supervisor, addresses, free_ports
from rejoinder.cli.up import plans, processes
from rejoinder.clients.connection import Connection
from rejoinder.clients.feedback import AsyncFeedbackClient
from rejoinder.clients.ledger import LedgerClient
from rejoinder.clients.policy import AsyncPolicyClient
from rejoinder.clients.rollouts import Rollout, RolloutClient
from rejoinder.core.arms import Salts, population, unit_id
from rejoinder.core.errors import FailedPrecondition, RejoinderError
from rejoinder.ledger.reading.trace import TraceNode
from rejoinder.simulate.driver import Driver, LetIn, Moment, write_truth
from rejoinder.simulate.panel import Panel, Score
from rejoinder.simulate.phrases import Phrases
from rejoinder.simulate.reading import Topic
from rejoinder.simulate.recorder import Recorder, read
from rejoinder.simulate.replies import Mixed
from rejoinder.simulate.sdk import Booth, Sdk
from rejoinder.simulate.tastes import people
from rejoinder.simulate.traffic import Visit, visits

TENANT = "default"
#: Rollout phases after which nothing is decided any more.
OVER = ("promoted", "aborted", "superseded")
#: Those in which people are served.
MEASURING = ("canary", "paused")
#: Replicas of the policy service: its engine computes on one core, and everybody waits for it.
POLICIES = 2
#: Drawn at once of those who come.
FEW = 24
#: Follow-ups that may wait for their signals (two batches of the worker), and seconds between two looks at them.
BEHIND, LOOK_S = 64, 0.25
#: How long what was said may stay unread.
PATIENCE_S = 120.0
UNREAD = "what people said was not read in time"
#: How the services are set up for a world in which minutes stand for weeks.
HURRY: Mapping[str, Mapping[str, Any]] = {
    "policy": {
        "engine": {"max_batch": 32, "threads": 1, "text_every_s": 1.0},
        "model": {"max_tokens": 96},
    },
    "rollouts": {"engine": {"poll_s": 0.5}},
    "ledger": {"log": {"wait_s": 0.1}},
    # Small batches: a rollout waits for the signals of the people it judges.
    "signals": {"read": {"idle_s": 0.1, "batch": 32}},
}


@dataclass(frozen=True)
class Population:
    """Who comes: so many people, in random order, each once before anybody comes again."""

    topics: Sequence[Topic]
    phrases: Phrases
    count: int
    seed: int
    concurrency: int = 96


class Door:
    """Lets people in, and no more of them than can be read: what is said waits for the signal worker, and a rollout
    judges nobody sooner. owns: nothing. unread: how many follow-ups wait. phase: of the rollout they come for."""

    def __init__(self, unread: Callable[[], int], phase: Callable[[], str] = lambda: MEASURING[0]) -> None:
        self._unread = unread
        self._phase = phase
        self._looked = -math.inf

    async def let_in(self) -> bool:
        """False once the rollout is over. Raises FailedPrecondition where nothing is read any more."""
        began = time.monotonic()
        if began < self._looked + LOOK_S:
            return True
        while time.monotonic() < began + PATIENCE_S:
            phase, left = await asyncio.to_thread(lambda: (self._phase(), self._unread()))
            if phase in OVER:
                return False
            if phase in MEASURING and left <= BEHIND:
                self._looked = time.monotonic()
                return True
            # The version is being loaded, or more was said than has been read.
            await asyncio.sleep(0.1)
        raise FailedPrecondition(UNREAD)


def unread(ledger: LedgerClient) -> int:
    """Follow-ups of which no signal is in the log yet, up to a constant: each gets one, and either may be there twice
    where somebody tried again."""
    ends = json.loads(ledger.cut())["ends"]
    feedback, signals = (sum(ends.get(topic, {}).values()) for topic in ("feedback", "signals"))
    return feedback - signals


@dataclass
class Course:
    """What a rollout came to. points: (seconds since its start, the engine's status then)."""

    points: list[tuple[float, Rollout]] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)

    @property
    def last(self) -> Rollout:
        return self.points[-1][1]


class World:
    """owns: the processes, the people and the recorder, from entering to leaving."""

    def __init__(self, data: Path, policy: str, who: Population) -> None:
        self.data = data
        self.policy = policy
        self._who = who
        self._rng = np.random.default_rng([who.seed, 1])
        everybody = people(who.count, "person", np.random.default_rng([who.seed, 2]))
        self._queue = [everybody[i] for i in self._rng.permutation(len(everybody))]
        self._next = self._answers = 0
        # What `unread` says where everything has been read.
        self._twice = 0
        self._supervisor = Supervisor(data / "run", lambda name, what: None)
        self._tending = threading.Thread(target=self._tend, name="tend", daemon=True)
        self._stop = threading.Event()
        self._died: RejoinderError | None = None
        self.mixed: Mixed | None = None
        self.silencing: set[str] = set()
        self.addresses: dict[str, str] = {}

    def __enter__(self) -> World:
        names = processes(POLICIES)
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        planned = [_hurried(plan) for plan in plans(self.data, self.policy, names, ports)]
        try:
            self._supervisor.start(planned, [ports[name] for name in names])
        except BaseException:
            self.end()
            raise
        self.addresses = addresses(self.data)
        self._recorder = Recorder(self.data / "acknowledged.txt")
        self._tending.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._tending.join()
        self._recorder.close()
        self.end()

    def end(self) -> None:
        """Stops every process; again does no harm. For whoever was told to end between starting and entering."""
        self._supervisor.stop()

    def _tend(self) -> None:
        while not self._stop.wait(0.2):
            try:
                self._supervisor.tend()
            except RejoinderError as error:
                self._died = error
                return

    def traffic(self, count: int, watch: Watch | None = None) -> list[Moment]:
        """So many conversations, or as many as come before a rollout is over; returns when the last one has ended."""
        with LedgerClient(Connection(self.addresses["ledger"], deadline_s=60.0, tries=100)) as ledger:

            def left() -> int:
                return unread(ledger) - self._twice

            door = Door(left) if watch is None else Door(left, lambda: watch.look().phase)
            return asyncio.run(self._traffic(count, door.let_in))

    def _visits(self, count: int) -> Iterator[Visit]:
        """People as they come, drawn a few at a time so that each comes at the moment of its turn."""
        who = self._who
        for begun in range(0, count, FEW):
            few = min(FEW, count - begun)
            chosen = [self._queue[(self._next + i) % len(self._queue)] for i in range(few)]
            self._next += few
            yield from visits(
                chosen, who.topics, who.phrases, count=few, start=time.time(), per_second=1e3, rng=self._rng
            )

    async def _traffic(self, count: int, let_in: LetIn) -> list[Moment]:
        if self._died is not None:
            raise self._died
        who = self._who
        async with (
            AsyncPolicyClient(Connection(self.addresses["policy"])) as policy,
            AsyncFeedbackClient(Connection(self.addresses["feedback"])) as feedback,
        ):
            driver = Driver(
                Sdk(policy, feedback, self._recorder, self.policy),
                who.phrases,
                concurrency=who.concurrency,
                silencing=self.silencing,
                mixed=self.mixed,
            )
            moments = await driver.run(self._visits(count), let_in)
        write_truth(moments, self.data / "truth.jsonl")
        self._answers += len(moments)
        return moments

    def quiet(self) -> None:
        """Waits until everything that was said has been read. Raises FailedPrecondition where it is not."""
        deadline, before = time.monotonic() + PATIENCE_S, -1
        with LedgerClient(Connection(self.addresses["ledger"], deadline_s=PATIENCE_S, tries=100)) as ledger:
            while time.monotonic() < deadline:
                left = unread(ledger)
                # The report counts the whole ledger, on the cores that those who read need: asked once nothing moves.
                if left <= self._twice or left == before:
                    rows = ledger.satisfaction(tenant=TENANT).rows
                    read_all = rows and rows[0].sat + rows[0].dsat + rows[0].none >= rows[0].replied
                    if read_all and rows[0].interactions >= self._answers:
                        self._twice = left
                        return
                before = left
                time.sleep(0.3)
        raise FailedPrecondition(UNREAD)

    def roll_out(self, version: str, plan: Mapping[str, Any], most: int) -> Course:
        """Begins a rollout and sends people until it is decided; `most` conversations at the utmost."""
        course = Course()
        with RolloutClient(Connection(self.addresses["rollouts"], deadline_s=60.0)) as engine:
            engine.start(self.policy, version, json.dumps(plan))
            with Watch(lambda: engine.get(self.policy)) as watch:
                course.points = watch.points
                course.moments = self.traffic(most, watch)
                while watch.look().phase not in OVER:
                    # Nobody comes any more: the step's deadline ends the wait.
                    time.sleep(0.2)
        return course

    def trace(self, interaction_id: str) -> list[TraceNode]:
        """One answer, back to the events that made its version."""
        with LedgerClient(Connection(self.addresses["ledger"])) as ledger:
            return lineage(self.data, TENANT, ledger.trace(interaction_id))

    def ask(self, panel: Panel, version: str) -> tuple[Score, Score]:
        """What the panel thinks of a version: of its first answer, and after having said what they want."""
        return asyncio.run(self._ask(panel, version))

    async def _ask(self, panel: Panel, version: str) -> tuple[Score, Score]:
        async with AsyncPolicyClient(Connection(self.addresses["policy"])) as policy:
            booth = Booth(policy, self.policy, self._who.concurrency)
            seeds = [seat.sampling_seed for seat in panel.seats]
            first = await booth.answers([seat.prompt for seat in panel.seats], seeds, version)
            wishes = panel.wishes(first)
            again = await booth.answers(list(wishes.values()), [seeds[i] + 1 for i in wishes], version)
            return panel.first_answer(first), panel.after_wish(first, dict(zip(wishes, again, strict=True)))

    def parity(self) -> dict[str, int]:
        """Every acknowledged id against what the ledger holds, once the services have stopped."""
        acknowledged, sent = read(self.data / "acknowledged.txt")
        stored: dict[str, int] = {}
        with sqlite3.connect(f"file:{self.data / 'ledger.db'}?mode=ro", uri=True) as ledger:
            for query in ("select interaction_id from interactions", "select event_id from feedback"):
                for (id,) in ledger.execute(query):
                    stored[id] = stored.get(id, 0) + 1
        return {
            "acknowledged": len(acknowledged),
            "stored": sum(stored.values()),
            "duplicated": sum(count > 1 for count in stored.values()),
            "lost": len(acknowledged - set(stored)),
            "unacked_stored": len((sent - acknowledged) & set(stored)),
        }


def held_out(user_id: str, share: float = 0.05) -> bool:
    """Whether a person may never meet a canary, worked out from the salts alone."""
    return population(unit_id(TENANT, user_id, ""), Salts(), share) == "holdout"


def _hurried(plan: Any) -> Any:
    from dataclasses import replace

    settings = {name: dict(theme) for name, theme in plan.settings.items()}
    for theme, values in HURRY.get(plan.service, {}).items():
        settings[theme] = {**settings.get(theme, {}), **values}
    return replace(plan, settings=settings)


def steps_of(course: Course) -> Iterator[dict[str, Any]]:
    """The course of a rollout as figures."""
    for seconds, seen in course.points:
        yield {
            "seconds": round(seconds, 2),
            "judged": seen.judged_canary + seen.judged_stable,
            "judged_canary": seen.judged_canary,
            "difference": seen.difference,
            "low": seen.low,
            "high": seen.high,
            "reply_stable": seen.stable.reply_rate if seen.stable else None,
            "reply_canary": seen.canary.reply_rate if seen.canary else None,
            "weight": seen.weight,
        }
