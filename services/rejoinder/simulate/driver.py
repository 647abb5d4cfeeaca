"""Sends simulated people through the product: they ask, read, feel, and some of them answer back.

What is sent and what is true never meet: the port gets words and ids, `Moment`s stay with the caller.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Container, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from rejoinder.simulate.phrases import Phrases
from rejoinder.simulate.replies import Mixed, Voice
from rejoinder.simulate.traffic import Visit, event_id

Turns = tuple[tuple[str, str], ...]
REPLY_AFTER_S = (20.0, 0.6)  # median and sigma of the log-normal wait before an answer is answered


@dataclass(frozen=True)
class Ask:
    """One turn to be answered. turns: (role, text), the user's last; parent: the interaction it follows, or ""."""

    interaction_id: str
    conversation_id: str
    conversation_started_at: float
    parent: str
    turn: int
    user_id: str
    turns: Turns
    at: float


@dataclass(frozen=True)
class Say:
    """What a user says about an answer."""

    event_id: str
    interaction_id: str
    attempt_id: str
    conversation_id: str
    turn: int
    user_id: str
    text: str
    at: float


@dataclass(frozen=True)
class Answer:
    """What came back: the text, the attempt that made it, the version that says it served it, and on which arm."""

    text: str
    attempt_id: str = ""
    version: str = ""
    arm: str = ""


class Service(Protocol):
    """The product as an application sees it."""

    async def chat(self, ask: Ask) -> Answer:
        """Raises RejoinderError where the product gives no answer."""

    async def feedback(self, said: Say) -> None:
        """Returns when the product has acknowledged it."""


@dataclass(frozen=True)
class Moment:
    """The truth about one answered turn. reply: what the person then did ("" for silence)."""

    interaction_id: str
    user_id: str
    kind: str
    turn: int
    version: str
    arm: str
    satisfaction: float
    satisfied: bool
    right: bool
    missed: tuple[str, ...]
    reply: str
    wished: tuple[str, ...]
    at: float


LetIn = Callable[[], Awaitable[bool]]


async def everybody() -> bool:
    return True


class Driver:
    """owns: nothing; one call of `run` is one stretch of traffic.

    max_turns: answers in one conversation. concurrency: conversations under way at once. Someone who complains
    asks on in the same conversation with the complaint as the next turn. silencing: versions that leave displeased
    people without a word. mixed: makes what people say say nothing, for the control that must not learn.
    """

    def __init__(
        self,
        service: Service,
        phrases: Phrases,
        *,
        max_turns: int = 2,
        concurrency: int = 64,
        silencing: Container[str] = (),
        mixed: Mixed | None = None,
    ) -> None:
        self._service = service
        self._phrases = phrases
        self._max_turns = max_turns
        self._concurrency = concurrency
        self._silencing = silencing
        self._mixed = mixed

    async def run(self, plan: Iterable[Visit], let_in: LetIn = everybody) -> list[Moment]:
        """The truth of every answered turn, in the plan's order. The first failing call ends the run.

        let_in: is asked before each visit is taken from the plan, one at a time, and may keep it waiting; once it
        says False nobody else comes.
        """
        gate = asyncio.Semaphore(self._concurrency)
        visits, tasks = iter(plan), []

        async def one(visit: Visit) -> list[Moment]:
            try:
                return await self._visit(visit)
            finally:
                gate.release()

        try:
            async with asyncio.TaskGroup() as group:
                while await gate.acquire() and await let_in() and (visit := next(visits, None)):
                    tasks.append(group.create_task(one(visit)))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [moment for task in tasks for moment in task.result()]

    async def _visit(self, visit: Visit) -> list[Moment]:
        rng = np.random.default_rng(visit.seed)
        voice = Voice(self._phrases, rng)
        person, topic = visit.person, visit.topic
        conversation, at, parent = event_id(visit.at, rng), visit.at, ""
        turns: Turns = (("user", visit.question),)
        moments: list[Moment] = []
        for turn in range(self._max_turns):
            interaction = event_id(at, rng)
            ask = Ask(interaction, conversation, visit.at, parent, turn, person.id, turns, at)
            answer = await self._service.chat(ask)
            reading = topic.read(answer.text)
            chance = person.satisfaction(topic.kind, reading)
            satisfied = bool(rng.random() < chance)
            reply = voice.reply(person, topic.kind, reading, satisfied, silent=answer.version in self._silencing)
            if reply is not None and self._mixed is not None:
                reply = self._mixed.instead(topic.kind, reply)
            moments.append(
                Moment(
                    interaction_id=interaction,
                    user_id=person.id,
                    kind=topic.kind,
                    turn=turn,
                    version=answer.version,
                    arm=answer.arm,
                    satisfaction=chance,
                    satisfied=satisfied,
                    right=reading.right,
                    missed=person.displeased_by(topic.kind, reading),
                    reply=reply.kind if reply else "",
                    wished=reply.wished if reply else (),
                    at=at,
                )
            )
            if reply is None:
                break
            median, sigma = REPLY_AFTER_S
            at += median * float(np.exp(sigma * rng.standard_normal()))
            said = event_id(at, rng), interaction, answer.attempt_id, conversation, turn, person.id, reply.text, at
            await self._service.feedback(Say(*said))
            if not reply.complaint:
                break
            turns = (*turns, ("assistant", answer.text), ("user", reply.text))
            parent = interaction
        return moments


def write_truth(moments: Iterable[Moment], path: Path) -> None:
    """Adds the truth as JSON lines to a file, apart from everything that was sent."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(m)) + "\n" for m in moments)
