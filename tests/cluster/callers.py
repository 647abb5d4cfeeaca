"""Callers that leave when they are due, and the tally of what became of their calls.

As a program, in a cluster's network: `python -m tests.cluster.callers '{"policy": TARGET, "token": …}'` calls until its
standard input ends, says `calling` once every service has answered, and then its tallies as JSON, by service.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from rejoinder.clients import AsyncFeedbackClient, AsyncPolicyClient, AsyncRewardClient, Connection, End
from rejoinder.clients import channel as channels
from rejoinder.clients.policy import GenerateAsk
from rejoinder.clients.retry import Retries
from rejoinder.core.errors import RejoinderError
from rejoinder.core.ids import uuid7
from rejoinder.core.types import Consent, Feedback, FollowUp, Message, Role, Sampling

#: Of raw attempts may fail.
ALLOWED = 1 / 10_000
ASKED = (Message(Role.USER, "which rivers are there"),)
#: Calls a second in the program.
RATES = {"policy": 3.0, "feedback": 20.0, "reward": 20.0}


@dataclass
class Tally:
    """What callers saw. attempts: calls and what was tried again; failed: of these, by what was said."""

    calls: int = 0
    answered: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)

    @property
    def attempts(self) -> int:
        return self.calls + self.failed.total()


def counted(tally: Tally) -> type[Retries]:
    """To stand in for the clients' retries: says which raw attempts have failed."""

    class Counted(Retries):
        def pause(self, error: RejoinderError, now: float) -> float | None:
            tally.failed[f"{error.reason}: {error.message[:60]}"] += 1
            return super().pause(error, now)

    return Counted


@asynccontextmanager
async def load(call: Callable[[], Awaitable[object]], per_s: float, tally: Tally) -> AsyncIterator[None]:
    """Calls leave when they are due, whatever became of those before; at the end all are waited for."""
    ending = False
    running: set[asyncio.Task[None]] = set()

    async def one() -> None:
        try:
            await call()
            tally.answered += 1
        except RejoinderError as error:
            tally.lost[f"{error.reason}: {error.message[:60]}"] += 1

    async def leave() -> None:
        began = time.monotonic()
        while not ending:
            tally.calls += 1
            await asyncio.sleep(max(0.0, began + tally.calls / per_s - time.monotonic()))
            task = asyncio.create_task(one())
            running.add(task)
            task.add_done_callback(running.discard)

    leaving = asyncio.create_task(leave())
    try:
        yield
    finally:
        ending = True
        await leaving
        await asyncio.gather(*running)


async def answer(client: AsyncPolicyClient, unlogged: bool = False) -> None:
    """A whole streamed answer."""
    ask = GenerateAsk(
        ASKED, user_id="u", sampling=Sampling(1.0, max_tokens=8), consent=Consent.NO_TRAIN, unlogged=unlogged
    )
    parts = [part async for part in client.generate(ask)]
    assert isinstance(parts[-1], End)


async def main(targets: dict[str, str]) -> None:
    token = targets.pop("token")
    raw = Tally()
    channels.Retries = counted(raw)  # type: ignore[attr-defined]
    tallies = {name: Tally() for name in targets}
    async with AsyncExitStack() as stack:

        async def take(kind: type, name: str) -> object:
            client = kind(Connection(targets[name], token=token, deadline_s=30.0))
            stack.push_async_callback(client.close)
            return client

        calls: dict[str, Callable[[], Awaitable[object]]] = {}
        policy = await take(AsyncPolicyClient, "policy")
        calls["policy"] = lambda: answer(policy)
        feedback = await take(AsyncFeedbackClient, "feedback")
        calls["feedback"] = lambda: feedback.record_feedback([said()])
        reward = await take(AsyncRewardClient, "reward")
        calls["reward"] = lambda: reward.score(ASKED, ["many"])
        async with AsyncExitStack() as loads:
            for name, call in calls.items():
                await loads.enter_async_context(load(call, RATES[name], tallies[name]))
            while not all(each.answered for each in tallies.values()):
                await asyncio.sleep(0.1)
            print("calling", flush=True)
            await asyncio.to_thread(sys.stdin.read)
    told = {name: {"calls": each.calls, "lost": each.lost} for name, each in tallies.items()}
    print(json.dumps({**told, "failed": raw.failed}), flush=True)


def said() -> Feedback:
    return Feedback(interaction_id=str(uuid7()), user_id="u", consent=Consent.NO_TRAIN, kind=FollowUp("thank you"))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
