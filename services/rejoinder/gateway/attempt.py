"""What passes through from an OpenAI-compatible server, and what it leaves in the log: an interaction a choice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rejoinder.core.clock import Clock
from rejoinder.core.ids import uuid7
from rejoinder.core.types import AttemptStatus, Interaction, Message, Role, Served
from rejoinder.gateway.asked import with_tools

#: What stands for a turn without text, where ingest wants some.
_NO_TEXT = "[no text]"


@dataclass
class _Choice:
    """What was heard of one choice. owns: it."""

    attempt_id: str
    texts: list[str] = field(default_factory=list)
    calls: dict[int, list[str]] = field(default_factory=dict)
    log_prob: float = 0.0
    heard: bool = False
    finished: bool = False

    @property
    def response(self) -> str:
        calls = [(name, text) for _, (name, text) in sorted(self.calls.items())]
        return _whole_characters(with_tools("".join(self.texts), calls))

    def take(self, said: Mapping[str, Any]) -> None:
        """A message or a delta."""
        for name in ("content", "refusal"):
            if isinstance(said.get(name), str):
                self.texts.append(said[name])
        for place, call in enumerate(_list(said.get("tool_calls"))):
            function = call.get("function") if isinstance(call, Mapping) else None
            if not isinstance(function, Mapping):
                continue
            at = call.get("index")
            kept = self.calls.setdefault(at if isinstance(at, int) else place, ["", ""])
            kept[0] += str(function.get("name") or "")
            kept[1] += str(function.get("arguments") or "")

    def take_logprobs(self, said: Any) -> None:
        for token in _list(said.get("content") if isinstance(said, Mapping) else None):
            value = token.get("logprob") if isinstance(token, Mapping) else None
            if isinstance(value, (int, float)) and math.isfinite(value):
                self.log_prob += value


class Attempt:
    """One request behind the gateway. owns: what was heard of it."""

    def __init__(self, asked: Interaction, served: Served, n: int, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self._first: float | None = None
        self._usage: Mapping[str, Any] = {}
        now = clock.now()
        messages = tuple(_recordable(message) for message in asked.messages)
        self._interaction = replace(
            asked,
            interaction_id=asked.interaction_id or uuid7(now),
            messages=messages,
            served=served,
            occurred_at=now,
        )
        self._choices = [_Choice(uuid7(now)) for _ in range(n)]

    @property
    def interaction_id(self) -> str:
        return self._interaction.interaction_id

    @property
    def served(self) -> Served:
        assert self._interaction.served is not None
        return self._interaction.served

    def was(self, served: Served) -> None:
        """Who answered in truth."""
        self._interaction = replace(self._interaction, served=served)

    @property
    def attempt_ids(self) -> list[str]:
        return [choice.attempt_id for choice in self._choices]

    @property
    def finished(self) -> bool:
        """Whether the end of every choice was heard."""
        return all(choice.finished for choice in self._choices)

    @property
    def first(self) -> float | None:
        """Seconds until the first words, None before them."""
        return self._first

    def take(self, said: Mapping[str, Any]) -> None:
        """A completion, or a chunk of one. What is no such thing is passed over: it goes to the caller as it is."""
        if isinstance(said.get("usage"), Mapping):
            self._usage = said["usage"]
        for each in _list(said.get("choices")):
            if not isinstance(each, Mapping):
                continue
            index = each.get("index", 0)
            if not isinstance(index, int) or not 0 <= index < len(self._choices):
                continue
            choice = self._choices[index]
            choice.heard = True
            if self._first is None:
                self._first = self._clock.monotonic() - self._began
            for name in ("message", "delta"):
                if isinstance(each.get(name), Mapping):
                    choice.take(each[name])
            choice.take_logprobs(each.get("logprobs"))
            choice.finished = choice.finished or each.get("finish_reason") is not None

    def end(self) -> None:
        """The server says that this was all: some say no reason for it, and some give fewer choices than were asked
        for. What was never begun is nobody's attempt."""
        heard = [choice for choice in self._choices if choice.heard]
        for choice in heard:
            choice.finished = True
        self._choices = heard or self._choices

    def records(self, failure: str = "", cancelled: bool = False) -> list[Interaction]:
        """An interaction for each choice; those that were finished count as completed whatever became of the others.

        accepted_at: the gateway answers for the record from here on.
        """
        now, latency = self._clock.now(), self._clock.monotonic() - self._began
        out = []
        for place, choice in enumerate(self._choices):
            status = AttemptStatus.COMPLETED
            if not choice.finished or failure:
                status = AttemptStatus.CANCELLED if cancelled and not failure else AttemptStatus.FAILED
            out.append(
                replace(
                    self._interaction,
                    event_id=choice.attempt_id,
                    attempt_id=choice.attempt_id,
                    response=choice.response,
                    status=status,
                    failure_reason=(failure or "UNAVAILABLE") if status is AttemptStatus.FAILED else "",
                    accepted_at=now,
                    latency=latency,
                    time_to_first_token=self._first,
                    prompt_tokens=self._count("prompt_tokens"),
                    # Of all choices together: it is the first one's, so that sums are right.
                    completion_tokens=self._count("completion_tokens") if place == 0 else 0,
                    log_prob=choice.log_prob,
                )
            )
        return out

    def _count(self, name: str) -> int:
        value = self._usage.get(name)
        return value if isinstance(value, int) and 0 <= value < 2**31 else 0


def _recordable(message: Message) -> Message:
    if message.role is Role.USER and not message.content.strip():
        return replace(message, content=_NO_TEXT)
    return message


def _whole_characters(text: str) -> str:
    """Some servers send halves of surrogate pairs, which the log cannot hold. Halves that meet are one."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
