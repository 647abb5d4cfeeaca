"""Consumer groups inside the process that owns a log: who is a member, and who reads which partition.

Members live in this process (workers elsewhere read beside the log with partitions they are given), so membership is
kept in memory, as a broker keeps it: when the process dies all its members are dead, and no lease of theirs delays the
next ones. What is durable are the positions, and those are the log's.

Every change of a partition's owner gives it a new generation. A commit names the generations it was polled under, so a
member that lost a partition, even one that has got it back since, cannot move the group's position.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rejoinder.core.clock import Clock
from rejoinder.core.errors import Fenced
from rejoinder.stream.port import Partition, Rebalanced


@dataclass(frozen=True)
class Commit:
    """Positions that a member wants to make the group's.

    generations: what each partition was polled under. member: "" for a reader that shares with nobody; it may commit
    only while the group has no members.
    """

    group: str
    positions: Mapping[Partition, int]
    member: str = ""
    incarnation: int = 0
    generations: Mapping[Partition, int] = field(default_factory=dict)


@dataclass
class _Member:
    incarnation: int
    topics: frozenset[str]
    heard: float


@dataclass(frozen=True)
class _Holding:
    member: str
    incarnation: int
    generation: int


@dataclass
class _Group:
    members: dict[str, _Member] = field(default_factory=dict)
    held: dict[Partition, _Holding] = field(default_factory=dict)
    incarnations: dict[str, int] = field(default_factory=dict)
    generation: int = 0


class Coordinator:
    """owns: the members of every group and the assignment; safe to call from any thread.

    partitions: topic → its present number of partitions.
    """

    def __init__(self, partitions: Callable[[str], int], clock: Clock, session_timeout_s: float) -> None:
        self._partitions = partitions
        self._clock = clock
        self._timeout_s = session_timeout_s
        self._groups: dict[str, _Group] = {}
        self._lock = threading.Lock()

    def join(self, group: str, member: str, topics: Sequence[str]) -> int:
        """The member's incarnation. An earlier holder of the name is fenced, and its partitions are the new one's."""
        with self._lock:
            state = self._groups.setdefault(group, _Group())
            incarnation = state.incarnations.get(member, 0) + 1
            state.incarnations[member] = incarnation
            state.members[member] = _Member(incarnation, frozenset(topics), self._clock.monotonic())
            self._settle(state)
            return incarnation

    def beat(self, group: str, member: str, incarnation: int, topics: Sequence[str]) -> Mapping[Partition, int]:
        """The member's partitions with their generations; it joins again when its session had run out.

        Raises Fenced when another process took the member's name.
        """
        with self._lock:
            state = self._groups.setdefault(group, _Group())
            if state.incarnations.get(member) != incarnation:
                raise Fenced("another consumer joined under this member's name", group=group, member=member)
            now = self._clock.monotonic()
            known = state.members.get(member)
            if known is None:
                state.members[member] = _Member(incarnation, frozenset(topics), now)
            else:
                known.heard = now
            self._settle(state)
            return {
                partition: holding.generation
                for partition, holding in state.held.items()
                if holding.member == member and holding.incarnation == incarnation
            }

    def leave(self, group: str, member: str, incarnation: int) -> None:
        with self._lock:
            state = self._groups.get(group)
            known = state.members.get(member) if state else None
            if state and known and known.incarnation == incarnation:
                del state.members[member]
                self._settle(state)

    def check(self, commit: Commit) -> None:
        """Raises Rebalanced unless the committer still holds every partition, and has held it since it polled."""
        with self._lock:
            state = self._groups.get(commit.group)
            if not commit.member:
                if state and state.members:
                    raise Fenced("the group has members: a reader outside it may not commit", group=commit.group)
                return
            for partition in commit.positions:
                holding = _Holding(commit.member, commit.incarnation, commit.generations.get(partition, -1))
                if state is None or state.held.get(partition) != holding:
                    raise Rebalanced("the member lost a partition", group=commit.group, member=commit.member)

    def _settle(self, state: _Group) -> None:
        """Drops members whose session ran out and shares the partitions out anew where anything changed."""
        now = self._clock.monotonic()
        for name in [n for n, m in state.members.items() if now - m.heard > self._timeout_s]:
            del state.members[name]
        for partition, name in self._share(state).items():
            incarnation = state.members[name].incarnation
            held = state.held.get(partition)
            if held is None or (held.member, held.incarnation) != (name, incarnation):
                state.generation += 1
                state.held[partition] = _Holding(name, incarnation, state.generation)
        for partition in [p for p, h in state.held.items() if h.member not in state.members]:
            del state.held[partition]

    def _share(self, state: _Group) -> dict[Partition, str]:
        """Evenly, moving as little as possible: everyone keeps up to the floor, the rest goes to the least laden."""
        readers: dict[str, list[str]] = {}
        for name in sorted(state.members):
            for topic in state.members[name].topics:
                readers.setdefault(topic, []).append(name)
        wanted = [(topic, p) for topic in sorted(readers) for p in range(self._partitions(topic))]
        floor = len(wanted) // max(1, len(state.members))
        load = dict.fromkeys(state.members, 0)
        shared: dict[Partition, str] = {}
        for partition in wanted:
            holding = state.held.get(partition)
            if holding and holding.member in readers[partition[0]] and load[holding.member] < floor:
                shared[partition] = holding.member
                load[holding.member] += 1
        for partition in wanted:
            if partition not in shared:
                holding = state.held.get(partition)
                before = holding.member if holding else ""
                chosen = min(readers[partition[0]], key=lambda n: (load[n], n != before, n))
                shared[partition] = chosen
                load[chosen] += 1
        return shared
