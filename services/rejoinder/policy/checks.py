"""What may be asked for. Whatever passes here is an interaction that ingest takes: no answer goes unrecorded for its
form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rejoinder.core.errors import EmptyField, InvalidArgument, NotFound, TooLong
from rejoinder.core.ids import MAX_PARTS, check_name
from rejoinder.core.types import Interaction, Message, Role, Sampling, Served

#: 2000-01-01, and a day ahead: a time outside is a clock that was never set.
_EARLIEST, _AHEAD_S = 946_684_800.0, 86_400.0
_MAX_STOPS, _MAX_STOP_BYTES = 16, 256


@dataclass(frozen=True)
class Limits:
    """max_prompt_bytes: UTF-8 of a conversation. max_tokens: of an answer. temperature: where nobody says one."""

    max_prompt_bytes: int
    max_tokens: int
    temperature: float


def check_policy(asked: str, served: str) -> None:
    """Raises NotFound for a policy that this process does not serve; "" is the one it does."""
    if asked and asked != served:
        raise NotFound("this process serves another policy", serves=served)


def check_messages(messages: Sequence[Message], limits: Limits) -> None:
    if not messages or not messages[-1].content.strip():
        raise EmptyField("messages")
    if messages[-1].role not in (Role.USER, Role.TOOL):
        raise InvalidArgument("the last message must be the user's", field="messages")
    if len(messages) > MAX_PARTS:
        raise TooLong("messages", len(messages), MAX_PARTS, "messages")
    for message in messages:
        if message.role is Role.UNSPECIFIED:
            raise InvalidArgument("every message needs a role", field="messages.role")
        if message.role is Role.USER and not message.content.strip():
            raise EmptyField("messages.content")
    size = sum(len(m.content.encode()) for m in messages)
    if size > limits.max_prompt_bytes:
        raise TooLong("messages", size, limits.max_prompt_bytes)


def checked_sampling(sampling: Sampling | None, limits: Limits) -> Sampling:
    """The sampling with what was left open filled in."""
    if sampling is None:
        return Sampling(temperature=limits.temperature, max_tokens=limits.max_tokens)
    ranges = (
        ("temperature", sampling.temperature, 100.0),
        ("top_p", sampling.top_p, 1.0),
        ("top_k", sampling.top_k, math.inf),
        ("max_tokens", sampling.max_tokens, math.inf),
    )
    for name, value, most in ranges:
        # Written so that a NaN is out of range too.
        if not 0 <= value <= most:
            raise InvalidArgument(f"sampling.{name} is out of range", field=f"sampling.{name}")
    if sampling.max_tokens > limits.max_tokens:
        raise TooLong("sampling.max_tokens", sampling.max_tokens, limits.max_tokens, "tokens")
    if len(sampling.stop) > _MAX_STOPS:
        raise TooLong("sampling.stop", len(sampling.stop), _MAX_STOPS, "sequences")
    for stop in sampling.stop:
        if not stop:
            raise EmptyField("sampling.stop")
        if len(stop.encode()) > _MAX_STOP_BYTES:
            raise TooLong("sampling.stop", len(stop.encode()), _MAX_STOP_BYTES)
    return replace(sampling, max_tokens=sampling.max_tokens or limits.max_tokens)


def check_interaction(asked: Interaction, now: float) -> None:
    """Ids, turn and time; `now` in seconds since the epoch."""
    names = ("tenant", "interaction_id", "conversation_id", "parent_interaction_id", "user_id")
    for name in names:
        check_name(name, getattr(asked, name))
    if asked.turn < 0:
        raise InvalidArgument("turn must not be below zero", field="turn")
    began = asked.conversation_started_at
    if began is not None and not _EARLIEST <= began <= now + _AHEAD_S:
        raise InvalidArgument("conversation_started_at is before 2000 or ahead of the clock", field="time")


def check_forced(forced: Served) -> None:
    """What whoever assigned the arm says about it; policy, version and digest are looked up, not believed."""
    for name, share in (("propensity", forced.propensity), ("bucket", forced.bucket)):
        if not 0 <= share <= 1:
            raise InvalidArgument(f"served.{name} must lie in [0, 1]", field=f"served.{name}")
    if forced.generation < 0:
        raise InvalidArgument("served.generation must not be below zero", field="served.generation")
