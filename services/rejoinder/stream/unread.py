"""Reading a topic on from where one stopped, without a group: for topics that everybody reads whole, like `arms`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Protocol

from rejoinder.stream.port import Record


class Topic(Protocol):
    """What is read of a log."""

    def end_offsets(self, topic: str) -> Mapping[int, int]: ...

    def read(self, topic: str, partition: int, offset: int) -> Sequence[Record]: ...


def unread(log: Topic, topic: str, positions: MutableMapping[int, int]) -> Iterator[Sequence[Record]]:
    """What lies behind some positions, run by run; a position is moved once its run has been taken up.

    positions: partition → next offset, 0 where none stands.
    """
    for partition, end in log.end_offsets(topic).items():
        while (at := positions.get(partition, 0)) < end and (records := log.read(topic, partition, at)):
            yield records
            positions[partition] = records[-1].offset + 1
