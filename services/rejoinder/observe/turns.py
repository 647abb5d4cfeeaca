"""Conversations whose messages are records of their own: which answer answers what, whatever order they come in.

The rule. Where every message up to the first is known (each names its parent, or its number and the roles take turns),
a message is settled at once. Else it is settled when every partition has been read `settle_s` beyond it in the log's
own time; a message that comes later than that is settled by what stands there then. A history reaches back `context_s`
and `max_turns`. An answer with no question before it is not an interaction (where it is known to be the first message,
nobody misses one: a greeting); a message of the user right behind an answer is a follow-up; an answer right behind
another is one more answer to the same question.

A message that is not settled holds its partition's position back, and positions carry the moment from which on messages
are needed, so that a process that is killed finds the same histories again in the topic itself: nothing is on disk.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rejoinder.core.types import Feedback, Interaction, Role
from rejoinder.observe.mapped import Mapper, Said
from rejoinder.observe.paths import Unmapped

_ORDER = {Role.SYSTEM: 0, Role.USER: 1, Role.TOOL: 2, Role.ASSISTANT: 3}
_PEOPLE = (Role.USER, Role.ASSISTANT)
#: What a message takes beside its text: without it, a flood of short ones would take many times what is allowed.
_EACH = 1000
#: Times `max_turns` messages of one conversation are kept: they may come in any order.
_KEPT_TURNS = 4


@dataclass(frozen=True)
class Order:
    """Seconds of the log's own time; messages of one history; characters kept, each message taken for _EACH more."""

    settle_s: float = 10.0
    context_s: float = 3600.0
    max_turns: int = 200
    max_bytes: int = 256 << 20


@dataclass(frozen=True)
class Settled:
    """What became of a message. fault: why it is no event. tag: what it was added with."""

    said: Said
    tag: Any
    events: tuple[Interaction | Feedback, ...] = ()
    fault: Unmapped | None = None


@dataclass
class _Waiting:
    said: Said
    mapper: Mapper
    tag: Any


class Conversations:
    """owns: the messages of the last `context_s`, and those that wait."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._turns: dict[str, dict[str, Said]] = {}
        self._waiting: dict[tuple[str, int, int], _Waiting] = {}
        self._touched: set[str] = set()
        #: Everything kept and everything that waits, the earliest first.
        self._kept: list[tuple[float, int, str, str]] = []
        self._due: list[tuple[float, int, tuple[str, int, int]]] = []
        self._serial = itertools.count()
        self._bytes = 0
        #: Messages that were settled, or forgotten, before their time because too much was kept.
        self.hurried = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, said: Said, mapper: Mapper, tag: Any = None, context: bool = False) -> bool:
        """Takes a message. context: it was settled before, and is here for the histories of others. False for one that
        is here already."""
        turns = self._turns.setdefault(said.conversation, {})
        known = turns.get(said.id)
        if known is not None and (known.role, known.text) == (said.role, said.text):
            return False
        if known is None:
            turns[said.id] = said
            self._bytes += _EACH + len(said.text)
            heapq.heappush(self._kept, (said.recorded_at, next(self._serial), said.conversation, said.id))
            if len(turns) > _KEPT_TURNS * self._order.max_turns:
                # One id for everybody's messages, as a rule: it must not cost more with each of them.
                self._bytes -= _EACH + len(turns.pop(next(iter(turns))).text)
        if not context:
            where = _where(said)
            self._waiting[where] = _Waiting(said, mapper, tag)
            heapq.heappush(self._due, (said.recorded_at, next(self._serial), where))
        self._touched.add(said.conversation)
        return True

    def settle(self, watermark: float) -> list[Settled]:
        """What is settled now. watermark: every partition has been read up to this moment."""
        out = list(self._sure())
        out += self._until(watermark - self._order.settle_s)
        self._forget(watermark - self._order.settle_s - self._order.context_s)
        while self._bytes > self._order.max_bytes and self._kept:
            self.hurried += 1
            at = self._kept[0][0]
            out += self._until(at)
            self._forget(at, at_least=1)
        return out

    def held(self) -> Mapping[tuple[str, int], int]:
        """The first message of each partition that waits: positions may not pass it."""
        out: dict[tuple[str, int], int] = {}
        for topic, partition, offset in self._waiting:
            out[topic, partition] = min(offset, out.get((topic, partition), offset))
        return out

    def since(self, watermark: float) -> float:
        """The moment from which on messages are needed by those that wait or come; 0 where nothing says."""
        if not watermark:
            return self._kept[0][0] if self._kept else 0.0
        oldest = min((waiting.said.recorded_at for waiting in self._waiting.values()), default=watermark)
        return min(oldest, watermark - self._order.settle_s) - self._order.context_s

    def _sure(self) -> Iterator[Settled]:
        touched, self._touched = self._touched, set()
        if not touched:
            return
        linked = {name for name in touched if any(turn.parent for turn in self._turns.get(name, {}).values())}
        # Without either nothing is ever known to be whole: no reason to look at all of a conversation for each of it.
        waiting = [
            w
            for w in self._waiting.values()
            if w.said.conversation in (touched if w.said.number is not None else linked)
        ]
        for one in waiting:
            history, whole, sure = self._before(one.said)
            if sure:
                yield self._decided(one, history, whole)

    def _until(self, moment: float) -> Iterator[Settled]:
        while self._due and self._due[0][0] <= moment:
            _, _, where = heapq.heappop(self._due)
            one = self._waiting.get(where)
            if one is not None:
                history, whole, _ = self._before(one.said)
                yield self._decided(one, history, whole)

    def _decided(self, one: _Waiting, history: Sequence[Said], whole: bool) -> Settled:
        said = one.said
        del self._waiting[_where(said)]
        if said.role is Role.USER:
            people = [turn for turn in history if turn.role in _PEOPLE]
            # What is said behind a greeting that nobody asked for is no follow-up: there is no interaction.
            answered = bool(people) and people[-1].role is Role.ASSISTANT and any(t.role is Role.USER for t in people)
            return Settled(said, one.tag, (one.mapper.followed(said, people[-1]),) if answered else ())
        if said.role is not Role.ASSISTANT:
            return Settled(said, one.tag)
        asked = tuple(history)
        while asked and asked[-1].role is Role.ASSISTANT:
            asked = asked[:-1]
        if not any(turn.role is Role.USER for turn in asked):
            if whole:
                return Settled(said, one.tag)
            return Settled(said, one.tag, fault=Unmapped("no_question", "content"))
        return Settled(said, one.tag, (one.mapper.answered(said, asked, whole), *said.reactions))

    def _before(self, said: Said) -> tuple[Sequence[Said], bool, bool]:
        """What stands before a message, oldest first; whether it is all; whether nothing can come in between."""
        history, whole, sure = self._all_before(said)
        most = self._order.max_turns
        return (history, whole, sure) if len(history) <= most else (history[-most:], False, sure)

    def _all_before(self, said: Said) -> tuple[Sequence[Said], bool, bool]:
        turns = self._turns.get(said.conversation, {})
        since = said.recorded_at - self._order.context_s
        near = {name: turn for name, turn in turns.items() if turn.recorded_at >= since and name != said.id}
        if any(turn.parent for turn in turns.values()):
            history, whole = _by_parent(said, near)
            return history, whole, whole
        if said.number is not None:
            history, whole = _by_number(said, near)
            return history, whole, whole and _alternates([*history, said])
        earlier = [turn for turn in near.values() if _moment(turn) < _moment(said)]
        return sorted(earlier, key=_moment), False, False

    def _forget(self, moment: float, at_least: int = 0) -> None:
        while self._kept and (self._kept[0][0] < moment or at_least > 0):
            at_least -= 1
            _, _, conversation, name = heapq.heappop(self._kept)
            turns = self._turns.get(conversation, {})
            said = turns.pop(name, None)
            self._bytes -= 0 if said is None else _EACH + len(said.text)
            if not turns:
                self._turns.pop(conversation, None)


def _by_parent(said: Said, near: Mapping[str, Said]) -> tuple[Sequence[Said], bool]:
    out: list[Said] = []
    seen = {said.id}
    parent = said.parent
    while parent and parent in near and parent not in seen:
        seen.add(parent)
        out.append(near[parent])
        parent = near[parent].parent
    return out[::-1], not parent


def _by_number(said: Said, near: Mapping[str, Said]) -> tuple[Sequence[Said], bool]:
    """The run of numbers without a hole behind a message; of several under one number and role, the last recorded."""
    last: dict[tuple[float, int], Said] = {}
    for turn in sorted(near.values(), key=_moment):
        if turn.number is not None:
            last[_number(turn)] = turn
    run: list[Said] = []
    lowest = _number(said)[0]
    for place in sorted((place for place in last if place < _number(said)), reverse=True):
        if lowest - place[0] > 1:
            break
        run.append(last[place])
        lowest = place[0]
    return run[::-1], lowest <= 1


def _alternates(turns: Sequence[Said]) -> bool:
    roles = [turn.role for turn in turns if turn.role in _PEOPLE]
    return all(a is not b for a, b in itertools.pairwise(roles)) and roles[:1] != [Role.ASSISTANT]


def _number(turn: Said) -> tuple[float, int]:
    return turn.number or 0.0, _ORDER[turn.role]


def _moment(turn: Said) -> tuple[float, int, str, int, int]:
    at = turn.recorded_at if turn.occurred_at is None else turn.occurred_at
    # Of one moment, what asks comes before what answers; without any, the order in which they lie is all there is.
    return at, _ORDER[turn.role] if at else 0, turn.place.source, turn.place.partition, turn.place.offset


def _where(said: Said) -> tuple[str, int, int]:
    return said.place.source, said.place.partition, said.place.offset
