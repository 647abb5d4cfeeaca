"""The product as simulated people reach it: the policy and feedback services through the public SDK."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from rejoinder.clients.feedback import AsyncFeedbackClient
from rejoinder.clients.policy import AsyncPolicyClient, GenerateAsk, Start
from rejoinder.core.errors import FailedPrecondition
from rejoinder.core.types import Feedback, FollowUp, Message, Role, Sampling, Served
from rejoinder.simulate.driver import Answer, Ask, Say, Turns
from rejoinder.simulate.recorder import Recorder

#: A person's patience with one answer, in seconds.
PATIENCE_S = 60.0


class Sdk:
    """`driver.Service` on a running deployment. owns: nothing; clients and recorder are given.

    The plan's own clock decides nothing here: what is sent is as old as it is.
    """

    def __init__(
        self, policy: AsyncPolicyClient, feedback: AsyncFeedbackClient, recorder: Recorder, name: str = ""
    ) -> None:
        self._policy = policy
        self._feedback = feedback
        self._recorder = recorder
        self._name = name
        self._began: dict[str, float] = {}

    async def chat(self, ask: Ask) -> Answer:
        began = self._began.setdefault(ask.conversation_id, time.time())
        request = GenerateAsk(
            messages(ask.turns),
            policy=self._name,
            interaction_id=ask.interaction_id,
            conversation_id=ask.conversation_id,
            conversation_started_at=began,
            parent_interaction_id=ask.parent,
            turn=ask.turn,
            user_id=ask.user_id,
        )
        self._recorder.sent([ask.interaction_id])
        start, text = Start(), []
        async for part in self._policy.generate(request, PATIENCE_S):
            if isinstance(part, Start):
                start = part
            elif isinstance(part, str):
                text.append(part)
        # The last message came: the answer is acknowledged.
        await asyncio.to_thread(self._recorder.acknowledged, [ask.interaction_id])
        served = start.served or Served()
        return Answer("".join(text), start.attempt_id, served.version, served.arm.value)

    async def feedback(self, said: Say) -> None:
        event = Feedback(
            event_id=said.event_id,
            interaction_id=said.interaction_id,
            attempt_id=said.attempt_id,
            conversation_id=said.conversation_id,
            user_id=said.user_id,
            occurred_at=time.time(),
            kind=FollowUp(said.text),
        )
        self._recorder.sent([said.event_id])
        [result] = await self._feedback.record_feedback([event], PATIENCE_S)
        if not result.recorded:
            raise FailedPrecondition(f"a follow-up was refused: {result.reason}", field=result.field)
        await asyncio.to_thread(self._recorder.acknowledged, [said.event_id])


class Booth:
    """Asks one version, and leaves no event anywhere. owns: nothing."""

    def __init__(self, policy: AsyncPolicyClient, name: str = "", at_once: int = 64) -> None:
        self._policy = policy
        self._name = name
        self._at_once = at_once

    async def answers(self, prompts: Sequence[Turns], seeds: Sequence[int], version: str) -> list[str]:
        """One answer to each prompt, in order; the same seeds give the same answers of a version."""
        gate = asyncio.Semaphore(self._at_once)

        async def one(turns: Turns, seed: int) -> str:
            async with gate:
                sampling = Sampling(temperature=1.0, seed=seed)
                found = await self._policy.sample(
                    messages(turns), 1, sampling, policy=self._name, version=version, deadline_s=PATIENCE_S
                )
                return found.answers[0].text

        return list(await asyncio.gather(*(one(t, s) for t, s in zip(prompts, seeds, strict=True))))


def messages(turns: Turns) -> tuple[Message, ...]:
    return tuple(Message(Role(role.upper()), text) for role, text in turns)
