"""People at the other end of the policy service: they ask, they are shown an answer, they say what they think of it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random

from rejoinder.clients import Connection, FeedbackClient, PolicyClient
from rejoinder.clients.policy import GenerateAsk, Start
from rejoinder.core.types import Consent, Edit, Feedback, FollowUp, Message, Role, Served

PLEASED = "Thanks, that is exactly what I wanted to know."
DISPLEASED = "No, that is wrong. That is not what I asked for at all."


def _matter(user: str) -> str:
    """What somebody asks about: like nobody else's, since of near duplicates a round keeps one."""
    drawn = Random(user)
    return " ".join(
        "".join(drawn.choice("bdfgklmnprst") + drawn.choice("aeiou") for _ in range(3))
        for _ in range(drawn.randint(5, 8))
    )


@dataclass
class People:
    """policy, feedback: addresses. token: of role app. at_once: how many ask at a time. owns: its clients.

    seen: (when it was answered by our clock, version, whether it is the canary's) of every answer.
    """

    policy: str
    feedback: str
    token: str
    at_once: int = 6
    seen: list[tuple[float, str, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._policy = PolicyClient(Connection(self.policy, token=self.token, deadline_s=30.0))
        self._feedback = FeedbackClient(Connection(self.feedback, token=self.token, deadline_s=30.0))
        self._pool = ThreadPoolExecutor(self.at_once)
        self._count = itertools.count(1)

    def edit(self, count: int) -> None:
        """As many people rewrite the answer that they were shown."""

        def one(user: str) -> None:
            start, text = self._asked(user)
            self._say(start, user, Edit(f"{text} Gladly: {_matter(user)} comes first, and the rest follows from it."))

        list(self._pool.map(one, self._users(count)))

    def react(self, count: int, pleased: Callable[[Served], bool]) -> None:
        """As many people say what they think of the answer, by who gave it."""

        def one(user: str) -> None:
            start, _ = self._asked(user)
            self._say(start, user, FollowUp(PLEASED if pleased(start.served) else DISPLEASED))

        list(self._pool.map(one, self._users(count)))

    def versions(self, users: Sequence[str]) -> dict[str, str]:
        """Whose answer each of them is shown."""

        def one(user: str) -> str:
            start, _ = self._asked(user)
            return start.served.version if start.served else ""

        return dict(zip(users, self._pool.map(one, users), strict=True))

    def close(self) -> None:
        self._pool.shutdown()
        self._policy.close()
        self._feedback.close()

    def _users(self, count: int) -> list[str]:
        return [f"person-{next(self._count)}" for _ in range(count)]

    def _asked(self, user: str) -> tuple[Start, str]:
        ask = GenerateAsk((Message(Role.USER, f"{_matter(user)}?"),), user_id=user, consent=Consent.TRAIN)
        start, *parts = self._policy.generate(ask)
        assert isinstance(start, Start)
        assert start.served is not None
        self.seen.append((time.time(), start.served.version, start.served.arm == "CANARY"))
        return start, "".join(part for part in parts if isinstance(part, str))

    def _say(self, start: Start, user: str, kind: Edit | FollowUp) -> None:
        said = Feedback(interaction_id=start.interaction_id, user_id=user, consent=Consent.TRAIN, kind=kind)
        (result,) = self._feedback.record_feedback([said])
        assert result.recorded, result.reason
